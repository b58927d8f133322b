"""`budget transform` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow_models as models
from typer.testing import CliRunner

import budget
from budget.api.transform import write_transformation
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
    for word in ("as read", "fold_batch_norms", "nodes", "weights", "compressed", "change"):
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
        (("out.tflite", "-t", "deploy"), "not .tflite"),
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
    with pytest.raises(UsageError, match=r"not \.tflite"):
        write_transformation(result, tmp_path / "out.tflite")
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
