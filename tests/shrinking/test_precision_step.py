"""Widths, ranges, equalisation and corrections; every file runs in LiteRT as we compute it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_quantize import litert

from budget.api.models import load, lower
from budget.errors import UnsupportedModelError
from budget.graph import Array, DType, Graph, GraphBuilder, TensorType, verify
from budget.ops import NoAttributes, Padding, registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.interpreter import run
from budget.ops.operator import Activation
from budget.shrinking.compensate import compensate
from budget.shrinking.linear import from_matrices, is_linear, matrices, unrolled
from budget.shrinking.post_training import Settings, best, noise_ratio, quantized_with
from budget.shrinking.precision import sensitivities
from budget.shrinking.quantize import Recipe, quantize, random_samples
from budget.shrinking.ranges import METHODS, Observed, Range, least_error, observe
from budget.shrinking.stored import real_outputs, real_values, stored_inputs, stored_values
from budget.shrinking.way import Calibration, find
from budget.transforms.equalise import equalise


def graph_of(model: str) -> Graph:
    return lower(load(model))


def uneven(spread: float, seed: int = 0) -> Graph:
    """Two convolutions whose channels between them differ in range by a factor."""
    random = np.random.default_rng(seed)
    builder = GraphBuilder("uneven")
    builder.input("x", TensorType((1, 6, 6, 3), DType.FLOAT32))
    scale = np.geomspace(1, spread, 8)
    first = random.normal(0, 0.3, (8, 3, 3, 3)) / scale[:, None, None, None]
    second = random.normal(0, 0.3, (6, 1, 1, 8)) * scale
    padding = ConvolutionAttributes(padding=Padding(1, 1, 1, 1), activation=Activation.RELU)
    previous = "x"
    for name, w, attributes in (
        ("a", first, padding),
        ("b", second, ConvolutionAttributes()),
    ):
        weights = builder.constant(f"{name}_w", w.astype(np.float32))
        bias = random.normal(0, 0.1, len(w)) / (scale if name == "a" else 1)
        bias_name = builder.constant(f"{name}_b", bias.astype(np.float32))
        builder.tensor(name, TensorType((1, 6, 6, len(w)), DType.FLOAT32))
        builder.node("conv_2d", [previous, weights, bias_name], [name], attributes, name=name)
        previous = name
    builder.output(previous)
    return verify(builder.build())


@pytest.mark.parametrize(
    "model",
    ["zoo:digits_cnn", "zoo:hotword_fc", pytest.param("zoo:resnet8", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    "text", ["int16x8", "mixed:kept=1", "mixed:kept=2,width=float32,ranges=mse", "cluster"]
)
def test_equals_litert(model: str, text: str) -> None:
    from budget.shrinking.way import parse

    graph = graph_of(model)
    calibration = Calibration(random_samples(graph, 4))
    way = parse(text if text != "int16x8" else "int16x8:ranges=min-max")
    made = way.apply(graph, calibration).graph
    widths = {t.type.dtype for t in made.tensors.values() if not t.is_constant}
    expected = {"i": {DType.INT16}, "c": {DType.INT8}}.get(text[0])
    if expected is None:
        expected = {DType.INT8, DType.FLOAT32 if "float32" in text else DType.INT16}
    assert widths == expected
    for sample in random_samples(graph, 3, seed=7):
        values = stored_inputs(made, sample)
        ours = run(made, values)
        for name, theirs in zip(made.outputs, litert(made, values), strict=True):
            if ours[name].dtype == np.float32:
                # sums of floats in another order
                np.testing.assert_allclose(ours[name], theirs, rtol=1e-4, atol=1e-5)
            else:
                np.testing.assert_array_equal(ours[name], theirs.reshape(ours[name].shape))


def test_wider_is_nearer() -> None:
    graph = graph_of("zoo:digits_cnn")
    calibration = Calibration(random_samples(graph, 6))
    values = calibration.activations(graph)
    noises = []
    for recipe in (
        Recipe(),
        Recipe(DType.INT16),
        Recipe(kept={node.name: DType.FLOAT32 for node in graph.nodes}),
    ):
        made = quantized_with(graph, calibration, Settings(recipe))
        noises.append(noise_ratio(graph, made, values))
    assert noises == sorted(noises, reverse=True) and noises[-1] < 1e-5


def test_the_layer_that_hurts_is_named() -> None:
    """One layer has weights of very different size for one output scale: it must be found."""
    graph = graph_of("zoo:autoencoder")
    layers = [node for node in graph.nodes if node.op == "fully_connected"]
    victim = layers[3]
    tensors = dict(graph.tensors)
    tensor = tensors[victim.inputs[1]]
    assert tensor.data is not None
    data = tensor.data.copy()
    data[0] *= 500
    tensors[tensor.name] = type(tensor)(tensor.name, tensor.type, data)
    graph = graph.replace(tensors=tensors)
    calibration = Calibration(random_samples(graph, 4))
    assert sensitivities(graph, calibration)[0].layer == victim.name
    made = find("mixed", kept=1, width="float32").apply(graph, calibration)
    assert made.note.startswith(victim.name) and made.reasons[0].layer == victim.name
    assert "kept at float32" in made.reasons[0].what
    plain = find("int8", ranges="min-max").apply(graph, calibration)
    assert "hurts most" in plain.reasons[0].what


def test_operators_without_a_width_fall_back_or_are_named() -> None:
    builder = GraphBuilder("g")
    type = TensorType((1, 4), DType.FLOAT32)
    builder.input("x", type)
    for name, op, source in (("a", "tanh", "x"), ("b", "square", "a"), ("c", "hard_swish", "b")):
        builder.tensor(name, type)
        builder.node(op, [source], [name], registry.get(op).Attributes())
    builder.output("c")
    graph = builder.build()
    calibration = Calibration(random_samples(graph, 3))
    observed = observe(graph, calibration.activations(graph))
    with pytest.raises(UnsupportedModelError, match="int16 arithmetic for hard_swish, square"):
        quantize(graph, observed, Recipe(DType.INT16))
    made = verify(quantize(graph, observed, Recipe(DType.INT16, fallback=True)))
    sample = calibration.samples[0]
    found = real_outputs(made, run(made, stored_inputs(made, sample)))["c"]
    np.testing.assert_allclose(found, run(graph, sample)["c"], atol=1e-3)
    assert made.type_of("a").dtype is DType.INT16 and made.type_of("b").dtype is DType.FLOAT32


@pytest.mark.parametrize("with_ranges", [False, True])
@pytest.mark.parametrize("model", ["uneven", "zoo:digits_cnn", "zoo:ds_cnn", "zoo:autoencoder"])
def test_equalising_changes_nothing_but_ranges(model: str, with_ranges: bool) -> None:
    graph = uneven(50) if model == "uneven" else graph_of(model)
    samples = random_samples(graph, 2)
    ranges: dict[str, Array] = {}
    if with_ranges:
        for name, value in run(graph, samples[0], keep="all").items():
            ranges[name] = np.abs(value).reshape(-1, value.shape[-1]).max(0)
    made, notes = equalise(graph, ranges)
    verify(made)
    assert notes
    for sample in samples:
        for name, value in run(graph, sample).items():
            np.testing.assert_allclose(run(made, sample)[name], value, rtol=1e-3, atol=1e-5)


def test_equalising_helps_uneven_channels_and_is_chosen() -> None:
    graph = uneven(200)
    calibration = Calibration(random_samples(graph, 30))
    values = calibration.activations(graph)
    plain = noise_ratio(graph, quantized_with(graph, calibration, Settings()), values)
    even = Settings(equalised=8.0)
    assert noise_ratio(graph, quantized_with(graph, calibration, even), values) < plain / 4
    made, trials = best(graph, calibration, Recipe())
    assert trials[0].settings.equalised > 1
    assert [t.noise_ratio for t in trials] == sorted(t.noise_ratio for t in trials)
    assert noise_ratio(graph, made, values) < plain / 4


@pytest.mark.parametrize(
    "model", ["zoo:digits_cnn", pytest.param("zoo:ds_cnn", marks=pytest.mark.slow)]
)
def test_corrections_lessen_noise(model: str) -> None:
    graph = graph_of(model)
    calibration = Calibration(random_samples(graph, 8))
    values = calibration.activations(graph)
    quantized = quantized_with(graph, calibration, Settings())
    before = noise_ratio(graph, quantized, values)
    found = [
        noise_ratio(graph, verify(compensate(graph, quantized, values, rounding=rounding)), values)
        for rounding in (False, True)
    ]
    assert min(found) < before and found[0] < 1.05 * before


def test_ranges_without_their_outliers() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 1, (40, 100)).astype(np.float32)
    values[0, 0] = 5.5
    seen = Observed()
    for row in values:
        seen.add(row, random)
    assert seen.chosen("min-max") == Range(float(values.min()), float(values.max()))
    for method in METHODS[2:]:
        assert seen.chosen(method).high < 5.5

    def error(found: Range) -> float:
        quant = found.quant()
        back = real_values(stored_values(values, quant, DType.INT8), quant)
        return float(np.square(back - values).mean())

    assert error(seen.chosen("mse")) <= error(seen.chosen("min-max"))


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.integers(0, 99))
def test_the_least_error_is_no_more_than_that_of_the_whole(
    low: float, high: float, seed: int
) -> None:
    values = np.random.default_rng(seed).uniform(-low, high, 200).astype(np.float32)
    full = Range().include(values)
    found = least_error(values, full)
    assert full.low <= found.low <= 0 <= found.high <= full.high


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_layers_are_products_of_matrices(data: st.DataObject) -> None:
    """The unrolled form of a layer gives what the layer gives."""

    def draw(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    random = np.random.default_rng(draw(0, 99))
    op = data.draw(st.sampled_from(["conv_2d", "grouped", "depthwise_conv_2d", "fully_connected"]))
    depth, out = 2 * draw(1, 3), 2 * draw(1, 3)
    attributes = ConvolutionAttributes(
        (draw(1, 2), draw(1, 2)), (draw(1, 2), 1), Padding(draw(0, 2), draw(0, 1), draw(0, 2), 1)
    )
    kernel = (draw(1, 3), draw(1, 3))
    shape = {
        "conv_2d": (out, *kernel, depth),
        "grouped": (out, *kernel, depth // 2),
        "depthwise_conv_2d": (1, *kernel, depth * draw(1, 2)),
        "fully_connected": (out, 7 * depth),
    }[op]
    builder = GraphBuilder("layer")
    builder.input("x", TensorType((1, 5, 7, depth), DType.FLOAT32))
    w = random.normal(size=shape).astype(np.float32)
    builder.constant("w", w)
    name = "conv_2d" if op == "grouped" else op
    a = FullyConnectedAttributes() if op == "fully_connected" else attributes
    types = [builder.tensors[n].type for n in ("x", "w")]
    (type,) = registry.get(name).infer(a, types)
    builder.tensor("y", type)
    builder.node(name, ["x", "w"], ["y"], a)
    builder.output("y")
    graph = builder.build()
    (node,) = graph.nodes
    assert is_linear(graph, node)
    x = random.normal(size=(1, 5, 7, depth)).astype(np.float32)
    channels = 7 * depth if op == "fully_connected" else depth
    laid = matrices(node, w, channels)
    np.testing.assert_array_equal(from_matrices(node, laid, shape), w)
    places = np.arange(type.element_count // type.shape[-1])
    product = np.einsum("gpk,gok->pgo", unrolled(node, x, shape, places), laid)
    found = run(graph, {"x": x})["y"]
    np.testing.assert_allclose(product.reshape(found.shape), found, rtol=1e-3, atol=1e-4)


def test_nothing_to_convert_leaves_the_graph_alone() -> None:
    builder = GraphBuilder("g")
    builder.input("x", TensorType((1, 4), DType.FLOAT32))
    builder.tensor("y", TensorType((1, 4), DType.FLOAT32))
    builder.node("relu", ["x"], ["y"], NoAttributes(), name="r")
    builder.output("y")
    graph = builder.build()
    calibration = Calibration(random_samples(graph, 2))
    recipe = Recipe(kept={"r": DType.FLOAT32})
    made = quantized_with(graph, calibration, Settings(recipe))
    assert made.nodes == graph.nodes and made.tensors == graph.tensors
