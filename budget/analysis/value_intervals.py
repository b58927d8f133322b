"""Which values each channel of a quantised network can take, whatever the input.

An interval is pushed forward through every operator's integer meaning: exact sums of the smallest
and largest products, then the operator's own rounding and clamping, which never reverse an order.
Where an operator is not known to keep order, its output may take any value of its type.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from budget.graph import ABSENT, Graph, Node, TensorType
from budget.ops import QuantizedCall, registry
from budget.ops.fixed_point import quantize_multipliers, storage_range
from budget.ops.requantize import (
    Scaling,
    product_multipliers,
    quant_of,
    rescale,
    scaling_of,
    zero_point_of,
)
from budget.ops.windows import slides, taps_on_padding
from budget.records import record

Int64s = NDArray[np.int64]

# Above this ratio of scales (times the elements summed) a kernel's 32-bit registers may wrap.
_MAX_RATIO = 1 << 14

# Every output element grows (or stays) when any input element grows, and channels do not mix.
_CHANNELWISE = frozenset(
    {"add", "maximum", "minimum", "relu", "relu6", "relu_n1_to_1", "max_pool_2d"}
    | {"average_pool_2d", "requantize", "mean", "reduce_max", "reduce_min"}
)


@record
class Interval:
    """Bounds of the stored values of each channel (last dimension), both inclusive.

    Attributes:
        low: int64 [channels].
        high: int64 [channels].
    """

    low: Int64s
    high: Int64s

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """Per channel: whether only one value is possible."""
        same: NDArray[np.bool_] = self.low == self.high
        return same


def value_intervals(graph: Graph) -> dict[str, Interval]:
    """Intervals of every tensor; only quantised ones are narrowed, and only constants exact.

    They hold for both families of integer kernels.

    Args:
        graph: canonical.
    """
    found: dict[str, Interval] = {}
    for name, tensor in graph.tensors.items():
        type, data = tensor.type, tensor.data
        if data is not None and data.size and type.is_quantized and type.shape:
            by_channel = data.reshape(-1, type.shape[-1]).astype(np.int64)
            found[name] = Interval(by_channel.min(0), by_channel.max(0))
        else:
            found[name] = _whole_range(type)
    for node in graph.nodes:
        out = node.outputs[0] if node.outputs else ABSENT
        # a variable is also read before it is written
        if out != ABSENT and graph.type_of(out).is_quantized and not graph.tensors[out].is_variable:
            found[out] = _forward(graph, node, found) or found[out]
    return found


def _whole_range(type: TensorType) -> Interval:
    channels = type.shape[-1] if type.shape else 1
    low, high = storage_range(type.dtype) if type.dtype.is_integer else (0, 0)
    if not type.is_quantized:
        high = low + 1  # never taken for a constant
    return Interval(np.full(channels, low, np.int64), np.full(channels, high, np.int64))


def _forward(graph: Graph, node: Node, found: Mapping[str, Interval]) -> Interval | None:
    match node.op:
        case "conv_2d" | "depthwise_conv_2d":
            return _convolution(graph, node, found)
        case "fully_connected":
            return _fully_connected(graph, node, found)
        case "reshape":
            return _reshape(graph, node, found)
        case "concat":
            return _concat(graph, node, found)
        case op if op in _CHANNELWISE:
            return _channelwise(graph, node, found)
    return None


def product_bounds(weights: Int64s, low: Int64s, high: Int64s) -> tuple[Int64s, Int64s]:
    """Smallest and largest w · x for x between low and high, element by element."""
    one, other = weights * low, weights * high
    return np.minimum(one, other), np.maximum(one, other)


def may_miss(graph: Graph, node: Node) -> NDArray[np.bool_]:
    """Per tap [kh][kw] of a convolution: whether it falls on padding for some output."""
    shape, attributes = graph.type_of(node.inputs[0]).shape, node.attributes
    taps = graph.type_of(node.inputs[1]).shape
    window = (taps[1], taps[2])
    rows, columns = slides(
        shape, window, attributes.stride, attributes.padding, attributes.dilation
    )
    missed: NDArray[np.bool_] = np.logical_or.outer(taps_on_padding(rows), taps_on_padding(columns))
    return missed


def weights_less_zero_point(graph: Graph, node: Node) -> Int64s | None:
    """Constant weights of a node as int64 without their zero point; None if computed."""
    data, type = graph.constant(node.inputs[1]), graph.type_of(node.inputs[1])
    if data is None or type.quant is None:
        return None
    zero = type.quant.zero_point
    if type.quant.axis is not None:
        shape = [1] * data.ndim
        shape[type.quant.axis] = -1
        zero = zero.reshape(shape)
    return np.asarray(data.astype(np.int64) - zero)


def _convolution(graph: Graph, node: Node, found: Mapping[str, Interval]) -> Interval | None:
    weights = weights_less_zero_point(graph, node)
    x = found[node.inputs[0]]
    if weights is None or not graph.type_of(node.inputs[0]).is_quantized:
        return None
    zero = zero_point_of(graph.type_of(node.inputs[0]))
    low, high = x.low - zero, x.high - zero
    missing = may_miss(graph, node)
    if node.op == "depthwise_conv_2d":
        times = weights.shape[3] // len(low)
        low, high = np.repeat(low, times), np.repeat(high, times)
        least, most = product_bounds(weights[0], low, high)
        least, most = _with_padding(least, most, missing[:, :, None])
        return _finish(graph, node, least.sum((0, 1)), most.sum((0, 1)))
    groups = len(low) // weights.shape[3]
    if groups == 1:
        least, most = product_bounds(weights, low, high)
        least, most = _with_padding(least, most, missing[None, :, :, None])
        return _finish(graph, node, least.sum((1, 2, 3)), most.sum((1, 2, 3)))
    per_group = [np.split(bound, groups) for bound in (low, high)]
    parts = []
    for filters, low_part, high_part in zip(np.split(weights, groups), *per_group):
        least, most = product_bounds(filters, low_part, high_part)
        least, most = _with_padding(least, most, missing[None, :, :, None])
        parts.append((least.sum((1, 2, 3)), most.sum((1, 2, 3))))
    sums = [np.concatenate(bounds) for bounds in zip(*parts)]
    return _finish(graph, node, sums[0], sums[1])


def _with_padding(least: Int64s, most: Int64s, missing: NDArray[np.bool_]) -> tuple[Int64s, Int64s]:
    """A tap on padding contributes nothing: the bounds must reach zero."""
    if not missing.any():
        return least, most
    return (
        np.where(missing, np.minimum(least, 0), least),
        np.where(missing, np.maximum(most, 0), most),
    )


def _fully_connected(graph: Graph, node: Node, found: Mapping[str, Interval]) -> Interval | None:
    weights = weights_less_zero_point(graph, node)
    x_type = graph.type_of(node.inputs[0])
    if weights is None or not x_type.is_quantized:
        return None
    zero = zero_point_of(x_type)
    x = found[node.inputs[0]]
    times, rest = divmod(weights.shape[1], len(x.low))
    if rest:  # rows begin within pixels: channels mix
        return None
    low, high = np.tile(x.low - zero, times), np.tile(x.high - zero, times)
    least, most = product_bounds(weights, low, high)
    return _finish(graph, node, least.sum(1), most.sum(1))


def _finish(graph: Graph, node: Node, least: Int64s, most: Int64s) -> Interval | None:
    """Bias, multiplier, zero point and clamp, by the operator's own arithmetic."""
    x, w, y = (graph.type_of(name) for name in (*node.inputs[:2], node.outputs[0]))
    bias_type = None
    if len(node.inputs) > 2 and node.inputs[2] != ABSENT:
        bias = graph.constant(node.inputs[2])
        if bias is None:
            return None
        bias_type = graph.type_of(node.inputs[2])
        least, most = least + bias.astype(np.int64), most + bias.astype(np.int64)
    multipliers = product_multipliers(x, w, y)
    # both families of fully connected kernels keep order; the ends of both are joined
    scalings = {scaling_of(x, bias_type)}
    if node.op == "fully_connected":
        scalings.add(Scaling.ONCE_ROUNDED)
    # a sum that might leave its register, shifted to the left or not, wraps around: no proof
    shift = quantize_multipliers(multipliers)[1].astype(np.float64)
    reach = np.maximum(np.abs(least), np.abs(most)).astype(np.float64)
    register = 2.0**39 if scalings == {Scaling.REDUCED} else 2.0**31
    if reach.max() >= register or (reach * np.exp2(shift)).max() >= 2.0**31:
        return None
    activation = node.attributes.activation
    flat = y.with_shape(least.shape)
    bounds = [
        [rescale(sums, multipliers, flat, activation, s).astype(np.int64) for s in scalings]
        for sums in (least, most)
    ]
    return Interval(np.minimum.reduce(bounds[0]), np.maximum.reduce(bounds[1]))


def _reshape(graph: Graph, node: Node, found: Mapping[str, Interval]) -> Interval | None:
    """Channels survive a reshape that keeps, or repeats, the last dimension."""
    x = found[node.inputs[0]]
    channels = graph.type_of(node.outputs[0]).shape[-1:] or (1,)
    times, rest = divmod(channels[0], len(x.low))
    if rest:
        return None
    return Interval(np.tile(x.low, times), np.tile(x.high, times))


def _concat(graph: Graph, node: Node, found: Mapping[str, Interval]) -> Interval | None:
    """Channels side by side, or the union over tensors that are joined along another dimension."""
    y = graph.type_of(node.outputs[0])
    if any(graph.type_of(name).quant != y.quant for name in node.inputs):
        return None
    parts = [found[name] for name in node.inputs]
    lows, highs = [part.low for part in parts], [part.high for part in parts]
    if node.attributes.axis % len(y.shape) == len(y.shape) - 1:
        return Interval(np.concatenate(lows), np.concatenate(highs))
    return Interval(np.minimum.reduce(lows), np.maximum.reduce(highs))


def _channelwise(graph: Graph, node: Node, found: Mapping[str, Interval]) -> Interval | None:
    """An operator that keeps order, run on tensors that hold the bounds of each channel."""
    types = [graph.type_of(name) for name in node.present_inputs]
    y = graph.type_of(node.outputs[0])
    same_last = all(type.shape and type.shape[-1] == y.shape[-1] for type in types if y.shape)
    if not y.shape or not same_last or not all(type.is_quantized for type in types):
        return None
    axes = getattr(node.attributes, "axes", ())
    if any(axis % len(types[0].shape) == len(types[0].shape) - 1 for axis in axes):
        return None  # reduces over channels
    elements = max(types[0].element_count // max(y.element_count, 1), 1)
    if max(_scale(type) for type in types) / _scale(y) * elements > _MAX_RATIO:
        return None
    ends = [_run_on_bounds(graph, node, found, end) for end in ("low", "high")]
    return Interval(ends[0].min(0), ends[1].max(0))


def _scale(type: TensorType) -> float:
    return float(quant_of(type).scale[0])


def _run_on_bounds(
    graph: Graph, node: Node, found: Mapping[str, Interval], end: str
) -> NDArray[np.int64]:
    """Results [elements][channels] where every operand is at one end of its interval."""
    types = [graph.type_of(name) for name in node.present_inputs]
    y = graph.type_of(node.outputs[0])
    arrays = []
    for name, type in zip(node.present_inputs, types):
        constant = graph.constant(name)
        bound = getattr(found[name], end) if constant is None else constant
        arrays.append(np.broadcast_to(bound, type.shape).astype(type.dtype.numpy))
    call = QuantizedCall(tuple(types), (y,))
    # on a border an average sees fewer elements, but of the same value
    (result,) = registry.get(node.op).run_quantized(node.attributes, arrays, call)
    return np.asarray(result.reshape(-1, y.shape[-1]).astype(np.int64))
