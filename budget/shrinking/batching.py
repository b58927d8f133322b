"""A graph for one example as one for many, so that the host runs them at once."""

from __future__ import annotations

from dataclasses import replace

from budget.graph import Graph, Node
from budget.tf.batches import runs_in_batches


def with_batch(graph: Graph, count: int) -> Graph | None:
    """The graph for a number of examples along its first dimension; None where that is no batch.

    Args:
        graph: canonical, for one example.
        count: of examples.
    """
    if not runs_in_batches(graph):
        return None
    flowing = {*graph.inputs, *(name for name, t in graph.tensors.items() if t.is_variable)}
    nodes = []
    for node in graph.nodes:
        if flowing.intersection(node.present_inputs):
            flowing.update(node.outputs)
            node = _batched(node, count)
        nodes.append(node)
    tensors = dict(graph.tensors)
    for name in flowing:
        type = tensors[name].type
        tensors[name] = replace(tensors[name], type=type.with_shape((count, *type.shape[1:])))
    return graph.replace(tensors=tensors, nodes=tuple(nodes))


def _batched(node: Node, count: int) -> Node:
    """A node whose attributes name the first dimension names the batch instead."""
    attributes = node.attributes
    if node.op == "reshape":
        attributes = replace(attributes, shape=(count, *attributes.shape[1:]))
    elif node.op == "slice":
        attributes = replace(attributes, size=(count, *attributes.size[1:]))
    elif node.op == "strided_slice":
        attributes = replace(
            attributes,
            begin=(0, *attributes.begin[1:]),
            end=(count, *attributes.end[1:]),
            stride=(1, *attributes.stride[1:]),
        )
    return replace(node, attributes=attributes)
