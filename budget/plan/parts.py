"""Tensors that are runs of bytes of other tensors: slices, splits and joins without copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from budget.graph import Graph, Node, TensorType
from budget.ops import registry
from budget.records import record


def part_offsets_bytes(
    node: Node, types: Mapping[str, TensorType], alignment_bytes: int
) -> tuple[int, ...] | None:
    """Where each output of a node lies in its input 0, if nothing needs to be copied.

    Args:
        node: of a canonical graph.
        types: deployed types.
        alignment_bytes: that every output must keep.
    """
    x = types[node.inputs[0]] if node.inputs and node.inputs[0] in types else None
    if x is None or x.dtype.bits < 8:
        return None
    offsets = registry.get(node.op).part_offsets(node.attributes, x)
    if offsets is None or not _same_numbers(x, node.outputs, types):
        return None
    return _aligned(offsets, x, alignment_bytes)


@record
class Joins:
    """Joins whose operands are computed where they belong.

    Attributes:
        nodes: names of the joining nodes; nothing is left for them to do.
        places: operand → (the joined tensor it is computed in, its byte offset there).
    """

    nodes: frozenset[str] = frozenset()
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def find_joins(graph: Graph, types: Mapping[str, TensorType], alignment_bytes: int) -> Joins:
    """Joins of which every operand is computed by a node and lies in no other join."""
    found: dict[str, tuple[str, int]] = {}
    nodes = []
    for node in reversed(graph.nodes):
        offsets = _joined_offsets_bytes(node, types, alignment_bytes)
        if offsets is None or not all(
            _may_live_elsewhere(graph, name, types) and name not in found for name in node.inputs
        ):
            continue
        nodes.append(node.name)
        root, start = found.get(node.outputs[0], (node.outputs[0], 0))
        for name, offset in zip(node.inputs, offsets, strict=True):
            found[name] = (root, start + offset)
    return Joins(frozenset(nodes), found)


def _joined_offsets_bytes(
    node: Node, types: Mapping[str, TensorType], alignment_bytes: int
) -> tuple[int, ...] | None:
    if len(node.inputs) < 2 or len(set(node.inputs)) < len(node.inputs):
        return None
    if not all(name in types for name in node.inputs):
        return None
    y, inputs = types[node.outputs[0]], [types[name] for name in node.inputs]
    if y.dtype.bits < 8 or not _same_numbers(y, node.inputs, types):
        return None
    offsets = registry.get(node.op).joined_offsets(node.attributes, inputs)
    if offsets is None or sum(type.element_count for type in inputs) != y.element_count:
        return None
    return _aligned(offsets, y, alignment_bytes)


def _may_live_elsewhere(graph: Graph, name: str, types: Mapping[str, TensorType]) -> bool:
    producer = graph.producers.get(name)
    if producer is None or graph.tensors[name].is_variable or name in graph.outputs:
        return False
    is_view = registry.get(producer.op).is_view
    return not is_view and part_offsets_bytes(producer, types, 1) is None


def _same_numbers(
    type: TensorType, names: tuple[str, ...], types: Mapping[str, TensorType]
) -> bool:
    others = [types[name] for name in names]
    return all(other.dtype is type.dtype and other.quant == type.quant for other in others)


def _aligned(
    offsets: tuple[int, ...], type: TensorType, alignment_bytes: int
) -> tuple[int, ...] | None:
    in_bytes = tuple(offset * type.dtype.bits // 8 for offset in offsets)
    return None if any(offset % alignment_bytes for offset in in_bytes) else in_bytes
