"""A graph in TensorFlow computes what the interpreter computes, one example or many."""

from __future__ import annotations

import numpy as np
import pytest
from single_operator import build, inputs, seeded
from tensorflow_models import quietly, tensorflow

from budget import zoo
from budget.api.models import lower, prepare
from budget.errors import UnsupportedModelError
from budget.graph import DType, Graph
from budget.ops import registry
from budget.ops.interpreter import run

# integers only; and the filter of old keyword spotters, which nobody trains any more
UNTRAINED = {"quantize", "dequantize", "requantize", "svdf"}
CASES = [
    pytest.param(name, case, id=f"{name}-{case.label}")
    for name in registry.names()
    if name not in UNTRAINED
    for case in registry.get(name).cases()
    if DType.FLOAT32 in case.dtypes
]
# options behind the name keep the interpreter quick
ARCHITECTURES = (
    "autoencoder",
    "digits_cnn",
    "ds_cnn?width=16",
    "hotword_fc",
    "inception_v1?resolution=64&classes=5",
    "mobilenet_v1?alpha=0.25&resolution=64",
    "mobilenet_v2?alpha=0.35&resolution=64",
    "resnet8",
)


@pytest.fixture(scope="module", autouse=True)
def _needs_tensorflow() -> None:
    tensorflow()


def trainable(graph: Graph):
    from budget.tf.trainable import Trainable

    return quietly(lambda: Trainable(graph))


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    scale = max(1.0, float(np.nanmax(np.abs(theirs), initial=0)) if theirs.size else 1.0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_float_operator_means_the_same(name: str, case) -> None:
    random = seeded(name, case.label)
    single = build(registry.get(name), case, DType.FLOAT32, random)
    made = trainable(single.graph)
    for values in inputs(single, random, count=2):
        given = [v for v, known in zip(values, single.constants) if v is not None and known is None]
        if not given:
            pytest.skip("computes with constants alone")
        sample = dict(zip(single.graph.inputs, given, strict=True))
        theirs = run(single.graph, sample)
        if made.in_batches:
            found = made({n: np.concatenate([v, v]) for n, v in sample.items()})
            found = {n: v.numpy() for n, v in found.items()}
            for name_, value in found.items():
                close(value[1:], theirs[name_])
                close(value[:1], theirs[name_])
        else:
            found = made({n: v[None] for n, v in sample.items()})
            for name_, value in found.items():
                close(value.numpy()[0], theirs[name_])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_computes_the_same_in_a_batch(name: str) -> None:
    graph = lower(zoo.load(name))
    made = trainable(graph)
    assert made.in_batches
    random = np.random.default_rng(1)
    shape = graph.type_of(graph.inputs[0]).shape
    x = random.normal(0, 1, (3, *shape[1:])).astype(np.float32)
    found = made({graph.inputs[0]: x})[graph.outputs[0]].numpy()
    for i in range(3):
        close(found[i : i + 1], run(graph, {graph.inputs[0]: x[i : i + 1]})[graph.outputs[0]])


def test_the_trained_hotword_network_is_the_same_and_comes_back_unchanged() -> None:
    graph = prepare(zoo.MODELS / "hotword-large.keras").graph
    made = trainable(graph)
    x = np.random.default_rng(0).normal(0, 1, (2, 49, 10, 1)).astype(np.float32)
    found = made({graph.inputs[0]: x})[graph.outputs[0]].numpy()
    close(found[:1], run(graph, {graph.inputs[0]: x[:1]})[graph.outputs[0]])
    again = made.graph_now()
    for name, tensor in graph.tensors.items():
        if tensor.data is not None:
            assert np.array_equal(tensor.data, again.tensors[name].data)


def test_a_graph_whose_first_dimension_is_no_batch_runs_example_by_example() -> None:
    single = build(
        registry.get("concat"),
        next(c for c in registry.get("concat").cases() if c.attributes.axis == 0),
        DType.FLOAT32,
        seeded("axis"),
    )
    assert not trainable(single.graph).in_batches


def test_what_cannot_be_trained_is_known() -> None:
    from budget.tf.operators import MEANINGS

    assert set(registry.names()) - set(MEANINGS) <= UNTRAINED


def test_integers_cannot_be_trained() -> None:
    with pytest.raises(UnsupportedModelError, match="cannot be trained") as refused:
        trainable(prepare("zoo:digits").graph)
    assert "float model" in refused.value.hint


def test_rounding_in_training_equals_the_quantised_graph() -> None:
    from budget.shrinking.quantize import quantize_int8
    from budget.tf.trainable import Rounded

    graph = lower(zoo.load("ds_cnn?width=8"))
    random = np.random.default_rng(3)
    samples = [
        {graph.inputs[0]: random.normal(0, 1, (1, 49, 10, 1)).astype(np.float32)} for _ in range(8)
    ]
    quantized = quantize_int8(graph, samples)
    made = trainable(graph)
    rounded = Rounded.from_graphs(graph, quantized)
    assert rounded.weights and len(rounded.activations) > 10
    from budget.shrinking.stored import stored_inputs

    for sample in samples[:3]:
        x = stored_inputs(quantized, sample)
        integers = run(quantized, x, keep="all")
        floats = made(sample, tuple(integers), rounded)
        for name, value in integers.items():
            type = quantized.type_of(name)
            if type.quant is None or name not in rounded.activations:
                continue
            steps = np.rint(floats[name].numpy() / type.quant.scale[0]) + type.quant.zero_point[0]
            # roundings of sums and biases differ by a step here and there
            assert np.abs(steps - value).max() <= 4, name
            assert np.abs(steps - value).mean() <= 1.2, name
