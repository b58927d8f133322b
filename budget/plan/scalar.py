"""Which implementations nodes may run on cores without DSP instructions (Cortex-M0, M0+, M3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budget.graph import Graph, Node, TensorType
from budget.plan.spans import align
from budget.plan.variants import Variant, integer_weights, is_plain, is_short_sum

SCALAR_CORES = ("cortex-m0", "cortex-m0plus", "cortex-m3")

_PIXELS = 4  # a dense convolution works on so many at once
_COLUMN_BYTES = 8  # of each tap of theirs
_MOST_BYTES = 8192  # of scratch
_MOST_DEPTH = 1 << 15  # 255 * 128 times this stays below 2^30
_CHANNEL_BYTES = 9  # bias, multiplier, shift

Types = Mapping[str, TensorType]


def _convolution(node: Node, graph: Graph, types: Types) -> list[Variant]:
    """Two pixels in a word: sums of two products must stay within 16 bits."""
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    taps = weights.element_count // weights.shape[0]
    odd = taps % 2  # taps are taken two at a time
    size = _COLUMN_BYTES * (taps + odd)
    if (
        node.attributes.dilation != (1, 1)
        or weights.shape[3] != x.shape[3]
        or y.shape[1] * y.shape[2] < _PIXELS
        or size > _MOST_BYTES
        or not is_plain(node, graph, types)
    ):
        return []
    data = integer_weights(node, graph)
    if data is None or data.min(initial=0) < -127:
        return []
    table = weights.element_count + odd + _CHANNEL_BYTES * y.shape[3]
    return [Variant("scalar-pairs", size, table)]


def _depthwise(node: Node, graph: Graph, types: Types) -> list[Variant]:
    """Windows over an edge are copied, so that all are whole; filters lie channel by channel."""
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    size = align(weights.element_count, 4)
    if (
        node.attributes.dilation != (1, 1)
        or y.shape[3] != x.shape[3]
        or size > _MOST_BYTES
        or not is_plain(node, graph, types)
    ):
        return []
    table = weights.element_count + _CHANNEL_BYTES * y.shape[3]
    return [Variant("scalar-windows", size, table)]


def _fully_connected(node: Node, graph: Graph, types: Types) -> list[Variant]:
    """Four channels at a time; weights + 128 make larger sums."""
    weights, y = types[node.inputs[1]], types[node.outputs[0]]
    channels, depth = weights.shape
    if channels < 4 or depth > _MOST_DEPTH or not is_plain(node, graph, types):
        return []
    scales = y.shape[-1] if weights.quant is None else len(weights.quant.scale)
    return [Variant("scalar-rows", 0, weights.element_count + 4 * channels + 5 * scales)]


def _add(node: Node, graph: Graph, types: Types) -> list[Variant]:
    """The operand with the larger scale is only shifted."""
    return [Variant("scalar-sum")] if is_short_sum(node, graph, types) else []


SCALAR_RULES: dict[str, Callable[[Node, Graph, Types], list[Variant]]] = {
    "add": _add,
    "conv_2d": _convolution,
    "depthwise_conv_2d": _depthwise,
    "fully_connected": _fully_connected,
}
