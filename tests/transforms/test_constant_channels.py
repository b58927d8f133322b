from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import KINDS, inputs_of, network

from budget.analysis.costs import total_cost
from budget.analysis.value_intervals import value_intervals
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType, verify
from budget.ops import Activation, Padding, Rounding, get
from budget.ops.interpreter import run
from budget.readers import load
from budget.transforms.constant_channels import remove_constant_channels
from budget.transforms.lower import lower

INT8, INT16 = DType.INT8, DType.INT16
NO_PADDING = Padding()


def assert_same(graph: Graph, smaller: Graph, seed: int = 0) -> None:
    for inputs in inputs_of(graph, seed):
        for rounding in Rounding:
            expected = run(graph, inputs, rounding=rounding)
            found = run(smaller, inputs, rounding=rounding)
            assert expected.keys() == found.keys()
            for name, values in expected.items():
                np.testing.assert_array_equal(found[name], values)


def assert_within(graph: Graph, seed: int = 0) -> None:
    intervals = value_intervals(graph)
    for inputs in inputs_of(graph, seed):
        for rounding in Rounding:
            for name, values in run(graph, inputs, rounding=rounding, keep="all").items():
                by_channel = values.reshape(-1, values.shape[-1])
                assert (by_channel >= intervals[name].low).all(), name
                assert (by_channel <= intervals[name].high).all(), name


layers = st.lists(st.sampled_from(KINDS), min_size=1, max_size=7)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(layers, st.integers(0, 2**32), st.sampled_from([INT8, INT8, INT8, INT16]))
def test_random_networks(kinds: list[str], seed: int, dtype: DType) -> None:
    graph = network(kinds, seed, dtype)
    assert_within(graph, seed)
    result = remove_constant_channels(graph)
    verify(result.graph)
    assert_same(graph, result.graph, seed)
    assert total_cost(result.graph).macs <= total_cost(graph).macs


@pytest.mark.slow
@settings(max_examples=4000, deadline=None, derandomize=True)
@given(layers, st.integers(0, 2**32), st.sampled_from([INT8, INT16]))
def test_many_random_networks(kinds: list[str], seed: int, dtype: DType) -> None:
    graph = network(kinds, seed, dtype)
    assert_within(graph, seed)
    assert_same(graph, remove_constant_channels(graph).graph, seed)


def test_random_networks_do_shrink() -> None:
    """The networks above would prove nothing if nothing were removed from them."""
    removed = [
        remove_constant_channels(network(["conv", "depthwise", kind, "conv"], seed)).removed_count
        for seed in range(40)
        for kind in ("add", "maximum", "tiny", "conv")
    ]
    assert sum(count > 0 for count in removed) > len(removed) / 2


class Chain:
    """Convolution, depthwise convolution, 1x1 convolution, with chosen weights."""

    def __init__(self, channels: int = 6, padding: Padding = NO_PADDING, dtype: DType = INT8):
        self.random = np.random.default_rng(channels)
        self.channels, self.padding, self.dtype = channels, padding, dtype
        self.wide = np.int64 if dtype is INT16 else np.int32
        self.first = self.draw((channels, 2, 2, 3))
        self.middle = self.draw((1, 3, 3, channels))
        self.last = self.draw((4, 1, 1, channels))
        self.first_bias = self.random.integers(-900, 900, channels)
        self.middle_bias = self.random.integers(-900, 900, channels)
        self.scales = np.full(channels, 0.01)
        self.activation = Activation.NONE
        self.zero_point = 0 if dtype is INT16 else 5

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        values = self.random.integers(20, 120, shape) * self.random.choice([-1, 1], shape)
        return values.astype(np.int8)

    def kill(self, channels: list[int]) -> None:
        self.first[channels] = 0

    def build(self) -> Graph:
        builder = GraphBuilder("chain")

        def quant(scale: float) -> QuantParams:
            return QuantParams.per_tensor(scale, self.zero_point)

        def layer(op: str, x: str, weights: np.ndarray, bias, scales, axis, padding) -> str:
            number = len(builder.nodes)
            names = [
                x,
                builder.constant(f"w{number}", weights, QuantParams.per_channel(scales, axis)),
            ]
            if bias is not None:
                names.append(builder.constant(f"b{number}", bias.astype(self.wide)))
            attributes = get(op).Attributes(padding=padding, activation=self.activation)
            types = [builder.tensors[name].type for name in names]
            (found,) = get(op).infer(attributes, types)
            out = builder.tensor(f"y{number}", replace(found, quant=quant(0.5)))
            builder.node(op, names, [out], attributes)
            return out

        x = builder.input("x", TensorType((1, 7, 6, 3), self.dtype, quant(0.02)))
        y = layer("conv_2d", x, self.first, self.first_bias, self.scales, 0, Padding())
        ones = np.full(self.channels, 0.01)
        y = layer("depthwise_conv_2d", y, self.middle, self.middle_bias, ones, 3, self.padding)
        y = layer("conv_2d", y, self.last, None, np.full(4, 0.01), 0, Padding())
        builder.output(y)
        return builder.build()


def widths(graph: Graph) -> list[int]:
    return [graph.type_of(node.outputs[0]).shape[-1] for node in graph.nodes]


@pytest.mark.parametrize("dtype", [INT8, INT16])
@pytest.mark.parametrize("dead", [[], [0], [1, 3, 5], [0, 1, 2, 3, 4]])
def test_what_was_planted_is_removed(dead: list[int], dtype: DType) -> None:
    chain = Chain(dtype=dtype)
    chain.kill(dead)
    graph = chain.build()
    result = remove_constant_channels(graph)
    left = 6 - len(dead)
    assert widths(result.graph) == [left, left, 4]
    assert (result.removed_count, result.constant_count) == (2 * len(dead), 2 * len(dead))
    assert result.channel_count == 16
    assert_same(graph, result.graph)


def test_a_layer_keeps_one_channel() -> None:
    chain = Chain()
    chain.kill(list(range(6)))
    result = remove_constant_channels(chain.build())
    assert widths(result.graph) == [1, 1, 4]
    assert_same(chain.build(), result.graph)


def test_channels_that_no_weight_reads_are_removed() -> None:
    chain = Chain()
    chain.last[..., [2, 4]] = 0
    result = remove_constant_channels(chain.build())
    assert widths(result.graph) == [4, 4, 4]
    assert result.constant_count == 0
    assert_same(chain.build(), result.graph)


@pytest.mark.parametrize("shift", range(18, 37, 3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_tiny_scales_with_a_full_register(shift: int, sign: int) -> None:
    """A multiplier of 2^-shift makes of any sum near 2^30 the same few stored values."""
    chain = Chain()
    chain.zero_point = -128
    chain.activation = Activation.RELU
    chain.first_bias[1] = sign * ((1 << 30) - 12345)
    chain.scales[1] = 2.0**-shift * 0.5 / 0.02
    graph = chain.build()
    result = remove_constant_channels(graph)
    if sign < 0 or shift <= 21 or shift >= 33:  # clamped below, clamped above, or rounded to zero
        assert widths(result.graph)[0] == 5
    assert_same(graph, result.graph)
    assert_within(graph)


def test_a_sum_that_may_wrap_around_proves_nothing() -> None:
    chain = Chain()
    chain.kill([2])
    chain.first_bias[1] = (1 << 31) - 10
    result = remove_constant_channels(chain.build())
    assert widths(result.graph)[0] == 6
    assert_same(chain.build(), result.graph)


@pytest.mark.parametrize("is_zero_point", [True, False])
def test_padding_stops_all_but_the_zero_point(is_zero_point: bool) -> None:
    """Beside padding, a constant is no constant, unless it is what padding holds."""
    builder = GraphBuilder("padded")
    quant = QuantParams.per_tensor(0.5, 3)
    x = builder.input("x", TensorType((1, 5, 5, 2), INT8, QuantParams.per_tensor(0.02, 3)))
    random = np.random.default_rng(1)
    weights = random.integers(20, 100, (3, 1, 1, 2)).astype(np.int8)
    weights[1] = 0
    bias = np.array([5, 0 if is_zero_point else 9000, 7], np.int32)
    w0 = builder.constant("w0", weights, QuantParams.per_channel(np.full(3, 0.01), 0))
    y = builder.tensor("y", TensorType((1, 5, 5, 3), INT8, quant))
    builder.node("conv_2d", [x, w0, builder.constant("b0", bias)], [y], get("conv_2d").Attributes())
    last = random.integers(20, 100, (2, 3, 3, 3)).astype(np.int8)
    w1 = builder.constant("w1", last, QuantParams.per_channel(np.full(2, 0.01), 0))
    z = builder.tensor("z", TensorType((1, 5, 5, 2), INT8, quant))
    builder.node("conv_2d", [y, w1], [z], get("conv_2d").Attributes(padding=Padding(1, 1, 1, 1)))
    builder.output(z)
    graph = builder.build()
    result = remove_constant_channels(graph)
    assert result.constant_count == 1
    assert widths(result.graph) == [2 if is_zero_point else 3, 2]
    assert_same(graph, result.graph)
    centre = np.zeros_like(last)
    centre[:, 1, 1] = last[:, 1, 1]  # no tap that reads the channel falls on padding
    tensors = dict(graph.tensors)
    tensors["w1"] = replace(tensors["w1"], data=centre)
    graph = graph.replace(tensors=tensors)
    result = remove_constant_channels(graph)
    assert widths(result.graph) == [2, 2]
    assert_same(graph, result.graph)


def test_padding_of_a_depthwise_layer_makes_its_channel_vary() -> None:
    chain = Chain(padding=Padding(1, 1, 1, 1))
    chain.kill([1, 4])
    chain.first_bias[4] = 9000
    chain.first_bias[1] = 0  # the zero point
    result = remove_constant_channels(chain.build())
    assert widths(result.graph) == [5, 5, 4]
    assert_same(chain.build(), result.graph)


def test_a_residual_around_one_layer_keeps_what_the_layer_reads() -> None:
    """The layer's output is tied to its own input by the sum: it still reads every channel."""
    builder = GraphBuilder("residual")
    random = np.random.default_rng(2)
    quant = QuantParams.per_tensor(0.1, 0)
    type = TensorType((1, 4, 4, 4), INT8, quant)
    x = builder.input("x", type)

    def convolve(source: str, number: int) -> str:
        weights = random.integers(-100, 100, (4, 1, 1, 4)).astype(np.int8)
        w = builder.constant(f"w{number}", weights, QuantParams.per_channel(np.full(4, 0.01), 0))
        out = builder.tensor(f"c{number}", type)
        builder.node("conv_2d", [source, w], [out], get("conv_2d").Attributes())
        return out

    a = convolve(x, 0)
    b = convolve(a, 1)
    total = builder.tensor("sum", type)
    builder.node("add", [a, b], [total], get("add").Attributes())
    weights = random.integers(-100, 100, (2, 1, 1, 4)).astype(np.int8)
    weights[..., 2] = 0  # nothing behind the sum reads channel 2
    w = builder.constant("w2", weights, QuantParams.per_channel(np.full(2, 0.01), 0))
    out = builder.tensor("y", TensorType((1, 4, 4, 2), INT8, quant))
    builder.node("conv_2d", [total, w], [out], get("conv_2d").Attributes())
    builder.output(out)
    graph = builder.build()
    result = remove_constant_channels(graph)
    assert widths(result.graph) == [4, 4, 4, 2]
    assert_same(graph, result.graph)


def test_int8_rows_that_begin_within_pixels() -> None:
    builder = GraphBuilder("rows")
    x = builder.input("x", TensorType((3, 8), INT8, QuantParams.per_tensor(0.1)))
    random = np.random.default_rng(3)
    weights = random.integers(-100, 100, (8, 8)).astype(np.int8)
    weights[[1, 2, 5]] = 0
    quant = QuantParams.per_channel(np.full(8, 0.01), 0)
    y = builder.tensor("y", TensorType((3, 8), INT8, QuantParams.per_tensor(0.1, -7)))
    attributes = get("fully_connected").Attributes()
    builder.node("fully_connected", [x, builder.constant("w0", weights, quant)], [y], attributes)
    for depth in (12, 4):
        w = random.integers(-100, 100, (2, depth)).astype(np.int8)
        w[:, 1] = 0
        name = builder.constant(f"w{depth}", w, QuantParams.per_channel(np.full(2, 0.01), 0))
        type = TensorType((24 // depth, 2), INT8, QuantParams.per_tensor(0.1))
        z = builder.tensor(f"z{depth}", type)
        builder.node("fully_connected", [y, name], [z], attributes)
        builder.output(z)
    graph = builder.build()
    result = remove_constant_channels(graph)
    assert widths(result.graph)[0] == 8
    assert_same(graph, result.graph)


def int8_weight_bytes(graph: Graph) -> int:
    return sum(tensor.type.size_bytes for tensor in graph.constants if tensor.type.dtype is INT8)


def test_visual_wake_words(models: Path) -> None:
    graph = lower(load(str(models / "vww_int8.tflite")))
    result = remove_constant_channels(graph)
    assert (total_cost(graph).macs, int8_weight_bytes(graph)) == (7_489_664, 208_112)
    assert total_cost(result.graph).macs <= 3_770_000
    assert int8_weight_bytes(result.graph) <= 31_003
    assert (result.removed_count, result.channel_count) == (2_192, 3_252)
    assert_same(graph, result.graph)


@pytest.mark.parametrize("model", ["kws", "ic", "ad"])
def test_models_without_constant_channels_stay_as_they_are(models: Path, model: str) -> None:
    graph = lower(load(str(models / f"{model}_int8.tflite")))
    result = remove_constant_channels(graph)
    assert result.graph is graph
    assert result.removed_count == 0


def test_the_channels_planted_in_a_shipped_model_are_found() -> None:
    from budget.zoo import shipped_path

    path = shipped_path("tiny-vww")
    assert path is not None
    graph = lower(load(str(path)))
    result = remove_constant_channels(graph)
    assert total_cost(result.graph).macs < total_cost(graph).macs / 2
    assert_same(graph, result.graph)
