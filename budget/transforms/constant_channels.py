"""Removes channels that are the same for every input: exact dead code removal.

Pattern: a channel of a quantised tensor that can take one value v only (proved by
`budget.analysis.value_intervals`), or that nothing reads. Algebra, for each consumer o:

    Σ_c w[o,c]·(x[c] - z) + b[o]  =  Σ_{c ≠ k} w[o,c]·(x[c] - z) + (b[o] + (v - z)·Σ_taps w[o,k])

exact in integers, where no tap of the window that reads k falls on padding, or v is the zero point.
Tensors that operators tie together channel by channel (depthwise, pooling, addition) lose a
channel together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from budget.analysis.value_intervals import (
    Interval,
    may_miss,
    value_intervals,
    weights_less_zero_point,
)
from budget.graph import ABSENT, DType, Graph, GraphEditor, Node, QuantParams, TensorType
from budget.ops.requantize import zero_point_of
from budget.records import record

Mask = NDArray[np.bool_]

# Output channel c reads channel c of every operand, and nothing else.
_TIED = frozenset(
    {"add", "sub", "mul", "maximum", "minimum", "relu", "relu6", "relu_n1_to_1"}
    | {"max_pool_2d", "average_pool_2d", "requantize"}
)


@record
class RemovedChannels:
    """What was removed.

    Attributes:
        graph: the smaller graph; outputs are equal for every input.
        constant_count: channels proved constant.
        removed_count: channels removed (some constants must stay, some live ones feed nobody).
        channel_count: channels of all computed tensors that were looked at.
    """

    graph: Graph
    constant_count: int
    removed_count: int
    channel_count: int


@lru_cache(maxsize=2)
def remove_constant_channels(graph: Graph) -> RemovedChannels:
    """Folds constant channels into the biases behind them and drops channels that feed nobody.

    Args:
        graph: canonical, quantised; parts that are not quantised stay as they are.
    """
    intervals = value_intervals(graph)
    groups = _tied_groups(graph)
    dropped: dict[str, Mask] = {}
    for members in reversed(groups):
        mask = _droppable(graph, members, intervals, dropped)
        if mask is not None and mask.any():
            dropped.update(dict.fromkeys(members, mask))
    computed = [out for node in graph.nodes for out in node.outputs if graph.type_of(out).shape]
    constant = [intervals[out].is_constant for out in computed if graph.type_of(out).is_quantized]
    return RemovedChannels(
        _rebuild(graph, intervals, dropped),
        sum(int(mask.sum()) for mask in constant),
        sum(int(dropped[out].sum()) for out in computed if out in dropped),
        sum(len(mask) for mask in constant),
    )


def _is_tied(graph: Graph, node: Node) -> bool:
    """Whether a node's output channels correspond one to one to those of all its operands."""
    if node.op == "depthwise_conv_2d":
        x, y = graph.type_of(node.inputs[0]), graph.type_of(node.outputs[0])
        return x.shape[-1] == y.shape[-1] and weights_less_zero_point(graph, node) is not None
    if node.op == "reshape":
        x, y = graph.type_of(node.inputs[0]), graph.type_of(node.outputs[0])
        return x.shape[-1:] == y.shape[-1:]
    if node.op not in _TIED:
        return False
    y = graph.type_of(node.outputs[0])
    return all(
        graph.constant(name) is None and graph.type_of(name).shape == y.shape
        for name in node.present_inputs
    ) or (len(node.present_inputs) == 1 and graph.constant(node.inputs[0]) is None)


def _tied_groups(graph: Graph) -> list[list[str]]:
    """Tensors tied channel by channel, in the order of their first producer."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    order: list[str] = []
    for node in graph.nodes:
        for out in node.outputs:
            order.append(out)
            find(out)
        if _is_tied(graph, node):
            for name in node.present_inputs[: 1 if node.op == "depthwise_conv_2d" else None]:
                parent[find(node.outputs[0])] = find(name)
    groups: dict[str, list[str]] = {}
    for name in order:
        groups.setdefault(find(name), []).append(name)
    for root, members in groups.items():
        if root not in members:  # a graph input is tied: nothing of it can go
            members.insert(0, root)
    return list(groups.values())


def _droppable(
    graph: Graph,
    members: Iterable[str],
    intervals: dict[str, Interval],
    dropped: dict[str, Mask],
) -> Mask | None:
    """Channels that every reader and every producer of the tied tensors can do without."""
    mask: Mask | None = None
    group = set(members)
    for name in group:
        type = graph.type_of(name)
        producer = graph.producers.get(name)
        if producer is None or name in graph.outputs or graph.tensors[name].is_variable:
            return None
        if not type.is_quantized or not type.shape:
            return None
        if not _is_tied(graph, producer) and not _can_lose_outputs(graph, producer):
            return None
        allowed = np.ones(type.shape[-1], bool)
        for reader in graph.consumers.get(name, ()):
            if _is_tied(graph, reader) and reader.outputs[0] in group:
                continue
            allowed &= _not_needed_by(graph, reader, name, intervals)
        mask = allowed if mask is None else mask & allowed
    if mask is not None and mask.all():
        mask[0] = False  # a tensor without channels is no tensor
    return mask


def _can_lose_outputs(graph: Graph, node: Node) -> bool:
    if node.op not in {"conv_2d", "fully_connected"}:
        return False
    weights, x = graph.type_of(node.inputs[1]), graph.type_of(node.inputs[0])
    grouped = node.op == "conv_2d" and weights.shape[3] != x.shape[3]
    constants = all(graph.constant(name) is not None for name in node.present_inputs[1:])
    return constants and not grouped


def _not_needed_by(graph: Graph, reader: Node, name: str, intervals: dict[str, Interval]) -> Mask:
    """Per channel of a tensor: whether a reader outside the tied group can do without it."""
    channels = graph.type_of(name).shape[-1]
    weights = None
    if _can_lose_outputs(graph, reader) and reader.inputs[0] == name:
        weights = weights_less_zero_point(graph, reader)
    if weights is None:
        return np.zeros(channels, bool)
    if reader.op == "fully_connected":
        if weights.shape[1] % channels:  # rows begin within pixels
            return np.zeros(channels, bool)
        by_channel = weights.reshape(weights.shape[0], -1, channels)
        unused = ~by_channel.any((0, 1))
        foldable = np.ones(channels, bool)
    else:
        unused = ~weights.any((0, 1, 2))
        zero = zero_point_of(graph.type_of(name))
        at_zero = intervals[name].low == zero
        reaches_padding = (weights.any(0) & may_miss(graph, reader)[:, :, None]).any((0, 1))
        foldable = at_zero | ~reaches_padding
    constant = intervals[name].is_constant & foldable
    constant &= _bias_keeps_its_range(graph, reader, weights, intervals[name], constant)
    return unused | constant


def _bias_keeps_its_range(
    graph: Graph, reader: Node, weights: NDArray[np.int64], interval: Interval, mask: Mask
) -> bool:
    """Whether the new bias fits its type, whichever of the mask's channels are folded."""
    offset = np.where(mask, interval.low - zero_point_of(graph.type_of(reader.inputs[0])), 0)
    by_channel = weights.reshape(weights.shape[0], -1, len(mask)).sum(1)
    total = (np.abs(by_channel) @ np.abs(offset)).astype(np.float64)
    bits = 32
    if _has_bias(reader):
        bits = graph.type_of(reader.inputs[2]).dtype.bits
        bias = graph.constant(reader.inputs[2])
        assert bias is not None
        total += np.abs(bias.astype(np.float64))
    return bool((total < 2.0 ** (bits - 1)).all())


def _added_bias(
    graph: Graph, reader: Node, weights: NDArray[np.int64], interval: Interval, mask: Mask
) -> NDArray[np.int64]:
    """(v - z) · Σ_taps w, summed over the channels of the mask; one for each output."""
    offset = np.where(mask, interval.low - zero_point_of(graph.type_of(reader.inputs[0])), 0)
    by_channel = weights.reshape(weights.shape[0], -1, len(mask)).sum(1)
    return np.asarray(by_channel @ offset)


def _has_bias(node: Node) -> bool:
    return len(node.inputs) > 2 and node.inputs[2] != ABSENT


def _rebuild(graph: Graph, intervals: dict[str, Interval], dropped: dict[str, Mask]) -> Graph:
    if not dropped:
        return graph
    editor = GraphEditor(graph)
    for name, mask in dropped.items():
        type = graph.type_of(name)
        editor.set_type(name, type.with_shape((*type.shape[:-1], int((~mask).sum()))))
    for node in graph.nodes:
        lost_in = dropped.get(node.inputs[0]) if node.inputs else None
        lost_out = dropped.get(node.outputs[0]) if node.outputs else None
        if lost_in is None and lost_out is None:
            continue
        if node.op in {"conv_2d", "fully_connected", "depthwise_conv_2d"}:
            new = _sliced(graph, editor, node, intervals, lost_in, lost_out)
        elif node.op == "reshape":
            shape = editor.tensors[node.outputs[0]].type.shape
            new = replace(node, attributes=replace(node.attributes, shape=shape))
        else:
            continue
        editor.replace_node(node.name, new)
    return editor.finish()


def _sliced(
    graph: Graph,
    editor: GraphEditor,
    node: Node,
    intervals: dict[str, Interval],
    lost_in: Mask | None,
    lost_out: Mask | None,
) -> Node:
    """The node with the weights and biases of lost channels cut out, constants in the bias."""
    weights_name = node.inputs[1]
    type, data = graph.type_of(weights_name), graph.constant(weights_name)
    assert data is not None
    depthwise = node.op == "depthwise_conv_2d"
    bias = graph.constant(node.inputs[2]) if _has_bias(node) else None
    if lost_in is not None and not depthwise:
        shifted = weights_less_zero_point(graph, node)
        assert shifted is not None
        constant = lost_in & intervals[node.inputs[0]].is_constant
        added = _added_bias(graph, node, shifted, intervals[node.inputs[0]], constant)
        if bias is not None or added.any():
            # 16-bit activations with a 32-bit bias would be rounded in another way
            wide = graph.type_of(node.inputs[0]).dtype is DType.INT16
            absent = np.zeros(len(added), np.int64 if wide else np.int32)
            start = absent if bias is None else bias
            bias = (added + start.astype(np.int64)).astype(start.dtype)
        keep_in = np.tile(~lost_in, data.shape[-1] // len(lost_in))
        data = data[..., keep_in]
    if lost_out is not None:
        data = data[..., ~lost_out] if depthwise else data[~lost_out]
        bias = None if bias is None else bias[~lost_out]
        type = _sliced_quant(type, ~lost_out)
    inputs = [node.inputs[0], editor.add_constant(weights_name, data, type.quant)]
    if bias is not None:
        quant = None
        if _has_bias(node):
            bias_type = graph.type_of(node.inputs[2])
            quant = (
                _sliced_quant(bias_type, ~lost_out) if lost_out is not None else bias_type
            ).quant
        inputs.append(
            editor.add_constant(node.inputs[2] if _has_bias(node) else "bias", bias, quant)
        )
    return replace(node, inputs=tuple(inputs))


def _sliced_quant(type: TensorType, keep: Mask) -> TensorType:
    quant = type.quant
    if quant is None or quant.axis is None:
        return type
    return replace(type, quant=QuantParams(quant.scale[keep], quant.zero_point[keep], quant.axis))
