"""The files that ship: whole, small, as accurate as their cards say, and what they claim to be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from budget import zoo
from budget.errors import UsageError
from budget.features import FeatureSpec
from budget.graph import Graph
from budget.ops import registry
from budget.ops.operator import QuantizedCall
from budget.readers import load as load_model
from budget.readers.tflite import read_tflite
from budget.transforms.lower import lower
from budget.zoo import MODELS
from budget.zoo.training.cards import macs
from budget.zoo.training.manifest import checksums

LIMITS_BYTES = {
    "hotword.tflite": 60_000,
    "hotword.heldout.npz": 300_000,
    "digits.tflite": 20_000,
    "tiny-kws.tflite": 40_000,
    "tiny-vww.tflite": 40_000,
    "tiny-ic.tflite": 40_000,
    "tiny-ad.tflite": 40_000,
}


def read(name: str) -> Graph:
    path = zoo.shipped_path(name)
    assert path is not None
    return read_tflite(path.read_bytes(), path.name)


def litert(path: Path) -> object:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    made = interpreter.Interpreter(
        str(path),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
    )
    made.allocate_tensors()
    return made


def test_files_are_those_that_the_manifest_lists() -> None:
    assert json.loads((MODELS / "manifest.json").read_text()) == checksums(MODELS)


@pytest.mark.parametrize(("name", "limit"), LIMITS_BYTES.items())
def test_files_are_small(name: str, limit: int) -> None:
    assert (MODELS / name).stat().st_size < limit


def test_all_of_it_is_a_few_megabytes() -> None:
    assert sum(path.stat().st_size for path in MODELS.iterdir()) < 4_000_000


@pytest.mark.parametrize("name", zoo.shipped())
def test_models_are_int8_from_end_to_end(name: str) -> None:
    graph = read(name)
    for tensor in (*graph.inputs, *graph.outputs):
        assert graph.type_of(tensor).dtype == "int8"
    assert not any(tensor.type.dtype.is_float for tensor in graph.tensors.values())


@pytest.mark.parametrize("name", ["hotword", "hotword-large", "digits"])
def test_accuracy_is_what_the_card_says(name: str) -> None:
    path = zoo.shipped_path(name)
    assert path is not None
    card = path.with_suffix(".md").read_text()
    right, count = map(int, re.search(r"\| int8 \| [\d.]+% \((\d+) of (\d+);", card).groups())
    held_out = np.load(MODELS / f"{name.removesuffix('-large')}.heldout.npz")
    features, labels = held_out["features"], held_out["labels"]
    assert len(labels) == count
    model = litert(path)
    (entry,), (exit_,) = model.get_input_details(), model.get_output_details()
    answers = []
    for example in features:
        model.set_tensor(entry["index"], example.reshape(entry["shape"]))
        model.invoke()
        answers.append(int(model.get_tensor(exit_["index"]).argmax()))
    assert int((np.array(answers) == labels).sum()) == right
    assert right / count > 0.85


@pytest.mark.parametrize("name", ["hotword", "hotword-large"])
def test_hotword_reads_what_its_front_end_writes(name: str) -> None:
    graph = read(name)
    spec = FeatureSpec.load(MODELS / "hotword.features.toml")
    type = graph.type_of(graph.inputs[0])
    assert type.shape == (1, *spec.shape, 1)
    assert type.quant is not None
    assert float(type.quant.scale[0]) == pytest.approx(spec.scale, rel=1e-6)
    assert int(type.quant.zero_point[0]) == spec.zero_point
    labels = (MODELS / "hotword.labels.txt").read_text().split()
    assert graph.type_of(graph.outputs[0]).shape == (1, len(labels))


@pytest.mark.parametrize("name", zoo.shipped())
def test_numpy_gives_litert_bytes(name: str) -> None:
    graph = lower(read(name))
    model = litert(MODELS / f"{name}.tflite")
    (entry,), (exit_,) = model.get_input_details(), model.get_output_details()
    random = np.random.default_rng(0)
    for _ in range(3):
        x = random.integers(-128, 128, entry["shape"]).astype(np.int8)
        model.set_tensor(entry["index"], x)
        model.invoke()
        assert np.array_equal(run(graph, x), model.get_tensor(exit_["index"]))


def test_large_hotword_before_quantisation_answers_alike() -> None:
    pytest.importorskip("h5py")
    graph = lower(load_model(MODELS / "hotword-large.keras"))
    held_out = np.load(MODELS / "hotword.heldout.npz")
    features = held_out["features"][::25].astype(np.float32) / 32
    answers = [run(graph, clip[None, ..., None]).argmax() for clip in features]
    assert (np.array(answers) == held_out["labels"][::25]).sum() >= 20  # of 24


def test_training_sets_share_no_example_with_held_out_ones() -> None:
    for name in ("hotword", "digits"):
        seen = {x.tobytes() for x in np.load(MODELS / f"{name}.training.npz")["features"]}
        assert len(seen) > 1000
        assert not any(
            x.tobytes() in seen for x in np.load(MODELS / f"{name}.heldout.npz")["features"]
        )


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("hotword", "ds_cnn?width=32"),
        ("hotword-large", "ds_cnn?width=128"),
        ("tiny-kws", "ds_cnn?width=16"),
        ("tiny-ic", "resnet8?width=8&resolution=16"),
        ("tiny-ad", "autoencoder?inputs=160&width=32&code=4"),
        ("digits", "digits_cnn"),
    ],
)
def test_files_have_the_shape_of_their_architecture(name: str, architecture: str) -> None:
    assert count_macs(read(name)) == macs(zoo.load(architecture))


def test_hotword_large_is_ten_times_hotword() -> None:
    small, large = (read(name) for name in ("hotword", "hotword-large"))
    assert count_macs(large) >= 10 * count_macs(small)
    width = small.type_of(convolutions(small)[0].outputs[0]).shape[3]
    assert count_macs(small) == 125 * (40 * width + 4 * (9 * width + width**2)) + 12 * width


def test_tiny_vww_has_the_channels_that_were_planted() -> None:
    claimed = int(re.search(r"`tiny-vww` .* (\d+) \|$", (MODELS / "tiny.md").read_text(), re.M)[1])
    graph = read("tiny-vww")
    constant = {-1: 0, 0: 0, 1: 0}
    for node in convolutions(graph):
        weights, bias = (np.asarray(graph.constant(name)) for name in node.inputs[1:3])
        depthwise = node.op == "tfl.DEPTHWISE_CONV_2D"
        rows = np.moveaxis(weights, 3, 0) if depthwise else weights
        for row, offset in zip(rows, bias):
            if not row.any():
                constant[int(np.sign(offset))] += 1
    assert sum(constant.values()) == claimed
    assert constant[0] == 0
    assert abs(constant[1] - constant[-1]) <= 16, "biases of both signs"


def test_tiny_vww_is_the_only_one_with_dead_channels() -> None:
    for name in ("tiny-kws", "tiny-ic", "hotword", "digits"):
        graph = read(name)
        for node in convolutions(graph):
            weights = np.asarray(graph.constant(node.inputs[1]))
            axis = (0, 1, 2) if node.op == "tfl.DEPTHWISE_CONV_2D" else (1, 2, 3)
            assert weights.any(axis=axis).all(), (name, node.name)


def test_shapes_of_the_four_benchmarks() -> None:
    operators = {name: {node.op for node in read(name).nodes} for name in zoo.shipped()}
    assert "tfl.DEPTHWISE_CONV_2D" in operators["tiny-kws"] & operators["tiny-vww"]
    assert "tfl.ADD" in operators["tiny-ic"]
    assert not any("tfl.SHAPE" in found for found in operators.values()), "the batch is fixed"
    assert operators["tiny-ad"] == {"tfl.FULLY_CONNECTED"}


def test_names_and_paths() -> None:
    assert {"hotword", "hotword-large", "digits", "tiny-kws"} <= set(zoo.shipped())
    assert set(zoo.names()) == set(zoo.shipped()) | set(zoo.ARCHITECTURES)
    assert zoo.shipped_path("resnet8?width=8") is None


@pytest.mark.parametrize(
    ("call", "name", "message"),
    [
        (zoo.shipped_path, "hotwort", "the zoo has no 'hotwort'"),
        (zoo.shipped_path, "../models/hotword", "the zoo has no"),
        (zoo.shipped_path, "hotword?alpha=1", "takes no options"),
        (zoo.load, "hotword", "is a file that ships"),
    ],
)
def test_errors(call: object, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        call(name)
    assert caught.value.where == f"zoo:{name}"


def run(graph: Graph, x: np.ndarray) -> np.ndarray:
    """One inference in numpy, in integers where the graph is quantised."""
    values = {tensor.name: tensor.data for tensor in graph.constants}
    values[graph.inputs[0]] = x
    for node in graph.nodes:
        operator = registry.get(node.op)
        operands = [values.get(name) for name in node.inputs]
        if graph.type_of(node.outputs[0]).is_quantized:
            call = QuantizedCall(
                tuple(graph.type_of(name) for name in node.inputs),
                tuple(graph.type_of(name) for name in node.outputs),
            )
            results = operator.run_quantized(node.attributes, operands, call)
        else:
            results = operator.run_float(node.attributes, operands)
        values.update(zip(node.outputs, results))
    return values[graph.outputs[0]]


def convolutions(graph: Graph) -> list:
    return [node for node in graph.nodes if node.op in ("tfl.CONV_2D", "tfl.DEPTHWISE_CONV_2D")]


def count_macs(graph: Graph) -> int:
    """From shapes in the file alone: outputs times the weights behind one of them."""
    total = 0
    for node in graph.nodes:
        outputs = graph.type_of(node.outputs[0]).element_count
        if node.op == "tfl.CONV_2D":
            total += outputs * int(np.prod(graph.type_of(node.inputs[1]).shape[1:]))
        elif node.op == "tfl.DEPTHWISE_CONV_2D":
            total += outputs * int(np.prod(graph.type_of(node.inputs[1]).shape[1:3]))
        elif node.op == "tfl.FULLY_CONNECTED":
            total += outputs * graph.type_of(node.inputs[1]).shape[1]
    return total
