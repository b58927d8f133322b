"""`budget transform` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_models as models
from typer.testing import CliRunner

import budget
from budget.analysis.costs import total_cost
from budget.api.transform import join_weights, write_transformation
from budget.cli.app import application
from budget.errors import BudgetError, ModelError, UnsupportedModelError, UsageError
from budget.transforms.tool.round_weights import RoundWeights


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "in.pb"
    path.write_bytes(models.frozen("convolutions")[0])
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "budget", "transform", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_steps_are_priced_and_the_result_is_written(frozen: Path, tmp_path: Path) -> None:
    """A row for each step, within 80 columns, and a file that reads back as the result."""
    out = tmp_path / "out.pb"
    result = run(frozen, out, "-t", "deploy", "--tolerance", "1e-5")
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    for word in (
        "as read",
        "fold_batch_norms",
        "nodes",
        "weights",
        "zip",
        "MACs",
        "arena",
        "change",
    ):
        assert word in result.stdout
    assert "Identity (Identity) stays" in result.stderr
    expected = budget.transform(frozen, "deploy")
    assert out.read_bytes() == expected.encode()
    assert budget.summarize(out).raw_operators["tf.BiasAdd"] == 3


def test_json_and_text(frozen: Path, tmp_path: Path) -> None:
    """One document; a name that ends in .pbtxt asks for text."""
    out = tmp_path / "out.pbtxt"
    result = run(
        frozen, out, "-t", "remove_nodes(op=Identity) round_weights(num_steps=4)", "--json"
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["before"]["node_count"] > document["steps"][0]["node_count"]
    first, second = document["steps"]
    assert first["change"] == {"absolute": 0.0, "relative": 0.0, "reason": ""}
    assert second["change"]["absolute"] > 0
    assert second["weight_bytes"] == first["weight_bytes"]
    assert second["compressed_bytes"] < first["compressed_bytes"]
    again = budget.transform(out, "remove_device", compare=False)
    assert len(again.nodes.nodes) == second["node_count"]


def test_tolerance_keeps_the_file(frozen: Path, tmp_path: Path) -> None:
    """Beyond the tolerance nothing is written and the status is 1."""
    out = tmp_path / "out.pb"
    out.write_bytes(b"mine")
    result = run(frozen, out, "-t", "round_weights(num_steps=1)", "--tolerance", "0")
    assert result.returncode == 1
    assert "nothing was written" in result.stderr
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out.onnx", "-t", "deploy"), "not .onnx"),
        (("out.pb", "-t", "deploi"), "'deploi' is not recognised"),
        (("out.pb", "-t", "deploy", "--inputs", "nothing"), "no node called 'nothing'"),
        (("out.pb", "-t", "deploy", "--compat", "tf1"), "'tf1' is not a tool"),
    ],
)
def test_refusals(frozen: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """What makes no sense is refused with status 2, and nothing is written."""
    out, *rest = arguments
    result = run(frozen, tmp_path / out, *rest)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


def test_python_takes_graphs_and_transforms(frozen: Path) -> None:
    """A loaded graph and transform objects give what the text gives."""
    graph = budget.load(frozen)
    by_text = budget.transform(graph, "fold_constants round_weights(num_steps=8)")
    by_object = budget.transform(graph, ["fold_constants", RoundWeights(8)])
    assert by_object.encode() == by_text.encode()
    assert by_text.graph.outputs == graph.outputs
    assert not by_text.failure
    assert budget.lower(by_text.graph).outputs == budget.lower(graph).outputs


def test_refusals_in_python(frozen: Path, tmp_path: Path) -> None:
    """The same refusals as on the command line."""
    with pytest.raises(UsageError, match="'tf1' is not a tool"):
        budget.transform(frozen, "deploy", compat="tf1")
    result = budget.transform(frozen, "remove_device", compare=False)
    with pytest.raises(UsageError, match=r"not \.onnx"):
        write_transformation(result, tmp_path / "out.onnx")
    command = [
        "transform",
        str(frozen),
        str(tmp_path / "out.pb"),
        "-t",
        "round_weights(num_steps=1)",
    ]
    app = application(["transform"])
    assert CliRunner().invoke(app, [*command, "--tolerance", "0"]).exit_code == 1
    assert not list(tmp_path.iterdir())


def test_failure_says_why(frozen: Path) -> None:
    """A tolerance that cannot be judged is not kept."""
    blind = budget.transform(frozen, "remove_device", tolerance=0.1, compare=False)
    assert "nothing was run" in blind.failure
    odd = budget.transform(frozen, "rename_op(old_op_name=Relu6, new_op_name=Odd)", tolerance=0.1)
    assert "could not be compared" in odd.failure
    assert "Odd" in odd.failure


def test_other_models_are_refused(tmp_path: Path) -> None:
    """What is no TensorFlow graph cannot be transformed yet, and that is said."""
    with pytest.raises(UnsupportedModelError, match="cannot be written as GraphDef"):
        budget.transform("zoo:hotword", "deploy")
    with pytest.raises(ModelError):
        budget.transform(tmp_path / "missing.pb", "deploy")
    with pytest.raises(UsageError):
        budget.transform("zoo:hotword", [])
    assert issubclass(UsageError, BudgetError)


def test_saved_models_are_read(tmp_path: Path) -> None:
    """A SavedModel's signature is a graph like any other."""
    folder = models.exported("convolutions", tmp_path)
    result = budget.transform(folder, "deploy", tolerance=1e-5)
    assert not result.failure
    assert len(result.nodes.nodes) < result.before.node_count


def outputs_of(model: object, x: Any) -> Any:
    (result,) = budget.run(model, x).results  # type: ignore[arg-type]
    return next(iter(result.outputs.values()))


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    models.quietly(lambda: models.keras_model("convolutions").save(path))
    return path


FAST = {("keras", "out.tflite"), ("tflite", "out.pb"), ("frozen", "out.pbtxt"),
        ("saved_model", "folder")}  # fmt: skip
PAIRS = [
    pytest.param(kind, out, marks=() if (kind, out) in FAST else pytest.mark.slow)
    for kind in ("keras", "tflite", "frozen", "saved_model")
    for out in ("out.pb", "out.pbtxt", "out.tflite", "folder")
]


@pytest.mark.parametrize(("kind", "out"), PAIRS)
def test_formats_in_and_out(
    keras_file: Path, frozen: Path, tmp_path: Path, kind: str, out: str
) -> None:
    """Every format can be read and written, and computes what TensorFlow made of the first."""
    if kind == "keras":
        model = keras_file
    elif kind == "frozen":
        model = frozen
    elif kind == "saved_model":
        model = models.exported("convolutions", tmp_path)
    else:
        model = tmp_path / "model.tflite"
        write_transformation(budget.transform(keras_file, "deploy"), model)
    path = tmp_path / out
    result = run(model, path, "-t", "deploy", "--tolerance", "1e-5", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["steps"][-1]["macs"] == total_cost(budget.lower(budget.load(model))).macs
    assert document["steps"][-1]["arena_bytes"] > 0
    _, x, y = models.frozen("convolutions")
    np.testing.assert_allclose(outputs_of(path, x).reshape(y.shape), y, atol=1e-5)
    if kind == "saved_model" and out == "folder":

        def load() -> Any:
            tf = models.tensorflow()
            signature = tf.saved_model.load(str(path)).signatures["serving_default"]
            old = tf.saved_model.load(str(model)).signatures["serving_default"]
            (name,) = old.structured_input_signature[1]
            assert set(signature.structured_outputs) == set(old.structured_outputs)
            both = np.concatenate([x, x])  # the batch stays open
            return np.asarray(next(iter(signature(**{name: tf.constant(both)}).values())))

        np.testing.assert_allclose(models.quietly(load), np.concatenate([y, y]), atol=1e-5)


def test_graph_transforms_work_on_every_format(keras_file: Path, tmp_path: Path) -> None:
    """Equalisation and low rank on a Keras file, clustering and channels on a quantised one."""
    split = budget.transform(keras_file, ["deploy", "equalise", "low_rank(error=0.2)"])
    assert split.steps[-2].change is not None
    assert split.steps[-2].change.absolute == pytest.approx(0, abs=1e-5)
    assert any("rank" in note for note in split.steps[-1].notes)
    back = budget.transform(split.graph, "remove_training_nodes")  # and to nodes again
    assert "MatMul" in {node.op for node in back.nodes.nodes.values()}
    held = budget.transform("zoo:hotword", "remove_constant_channels cluster(size=32)")
    first, second = held.steps
    assert first.change is not None
    assert first.change.absolute == 0
    assert second.change is not None
    assert second.change.absolute is not None
    assert second.price.compressed_bytes < first.price.compressed_bytes  # type: ignore[operator]
    assert all("values" in note for note in second.notes)
    for text, message in (("cluster(size=5)", "16 or 32"), ("low_rank(error=2)", "0 to 1")):
        with pytest.raises(UsageError, match=message):
            budget.transform("zoo:hotword", text)
    for text, message in (("cluster", "quantise"), ("remove_constant_channels", "no channel")):
        assert message in " ".join(budget.transform(keras_file, text).steps[0].notes)
    for text in ("equalise", "low_rank"):
        assert "no " in " ".join(budget.transform("zoo:hotword", text).steps[0].notes)


def test_users_examples_and_device(frozen: Path, tmp_path: Path) -> None:
    """Outputs are compared on the user's inputs; energy is the device's."""
    _, x, _ = models.frozen("convolutions")
    np.save(tmp_path / "x.npy", np.concatenate([x] * 3))
    out = tmp_path / "out.pb"
    result = run(frozen, out, "-t", "round_weights(num_steps=8)", "--data", tmp_path / "x.npy",
                 "-d", "efm32pg12", "--json")  # fmt: skip
    assert result.returncode == 0, result.stderr
    (step,) = json.loads(result.stdout)["steps"]
    assert step["energy"]["unit"] == "J"
    assert step["energy"]["value"] == pytest.approx(
        budget.check(str(out), device="efm32pg12").inference.energy.value
    )
    change = np.abs(outputs_of(frozen, x) - outputs_of(out, x)).max()
    assert step["change"]["absolute"] == pytest.approx(change, rel=1e-3)
    with pytest.raises(UsageError, match="and what is given"):
        budget.transform(frozen, RoundWeights(8), examples=[{"x": np.zeros(3)}])
    by_hand = budget.transform(frozen, RoundWeights(8), examples=[{"x": x}])
    assert by_hand.steps[0].change is not None
    assert by_hand.steps[0].change.absolute == pytest.approx(change, rel=1e-3)


def test_weights_apart_from_the_graph(frozen: Path, tmp_path: Path) -> None:
    """Graph and weights read together compute what they did as one file."""
    out, weights = tmp_path / "out.pb", tmp_path / "weights.bin"
    result = run(frozen, out, "-t", "deploy", "--weights-out", weights)
    assert result.returncode == 0, result.stderr
    _, x, y = models.frozen("convolutions")
    joined = join_weights(out, weights)
    np.testing.assert_allclose(outputs_of(joined, x).reshape(y.shape), y, atol=1e-5)
    plain = budget.transform(frozen, "deploy", compare=False, price=False)
    np.testing.assert_array_equal(outputs_of(joined, x), outputs_of(plain.graph, x))
    with pytest.raises(UsageError, match="only a GraphDef"):
        write_transformation(plain, tmp_path / "out.tflite", weights)
    write_transformation(plain, tmp_path / "a" / "out.pb", tmp_path / "b" / "weights.c")
    assert "aligned(64)" in (tmp_path / "b" / "weights.c").read_text()
    with pytest.raises(UsageError, match="the same file"):
        write_transformation(plain, out, tmp_path / "." / "out.pb")
    (tmp_path / "b" / "file").write_text("in the way")
    with pytest.raises(UsageError, match="is a file"):
        write_transformation(plain, tmp_path / "c" / "out.pb", tmp_path / "b" / "file" / "w.bin")
    assert not (tmp_path / "c").exists()
