"""Activations go into the operator before them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from budget.graph.editor import GraphEditor
from budget.graph.graph import Graph, Node
from budget.ops.operator import Activation

_ACTIVATIONS = {
    "relu": Activation.RELU,
    "relu6": Activation.RELU6,
    "relu_n1_to_1": Activation.RELU_N1_TO_1,
}


def fuse(graph: Graph) -> Graph:
    """Recognises clipping and hard-swish, then fuses activations.

    Args:
        graph: canonical; unchanged.

    Returns:
        A graph that computes the same.
    """
    return fuse_activations(recognise_hard_swish(recognise_clipping(graph)))


def recognise_clipping(graph: Graph) -> Graph:
    """min(relu(x), 6) and max(min(x, 6), 0), either way round, become relu6; so does [-1, 1]."""
    editor = GraphEditor(graph)
    for original in graph.nodes:
        outer = editor.nodes.get(original.name)
        if outer is None or outer.op not in ("minimum", "maximum", "relu"):
            continue
        found = _bound(editor, outer)
        inner = editor.producer(found[1]) if found else None
        if found is None or inner is None or editor.only_consumer(inner.outputs[0]) is not outer:
            continue
        under = _bound(editor, inner)
        if under is None or {outer.op, inner.op} not in (
            {"minimum", "maximum"}, {"minimum", "relu"}
        ):  # fmt: skip
            continue
        low, high = sorted((found[0], under[0]))
        op = {(0.0, 6.0): "relu6", (-1.0, 1.0): "relu_n1_to_1"}.get((low, high))
        if op is not None:
            _replace_pair(editor, outer, inner, op, under[1])
    return editor.finish()


def _bound(editor: GraphEditor, node: Node) -> tuple[float, str] | None:
    """The number a node compares with, and the tensor it compares."""
    if node.op == "relu":
        return 0.0, node.inputs[0]
    if node.op not in ("minimum", "maximum"):
        return None
    return _with_number(editor, node)


def _with_number(editor: GraphEditor, node: Node) -> tuple[float, str] | None:
    for one, other in ((0, 1), (1, 0)):
        data = editor.tensors[node.inputs[one]].data
        if data is not None and data.size == 1:
            return float(np.asarray(data).reshape(())), node.inputs[other]
    return None


def _replace_pair(editor: GraphEditor, outer: Node, inner: Node, op: str, data: str) -> None:
    from budget.ops.registry import get

    editor.remove_node(outer.name)
    editor.remove_node(inner.name)
    origin = tuple(dict.fromkeys((*inner.origin, *outer.origin)))
    editor.add_node(
        Node(outer.name, op, (data,), outer.outputs, get(op).Attributes(), origin=origin)
    )


def recognise_hard_swish(graph: Graph) -> Graph:
    """X · relu6(x + 3) / 6, in any order of the factors, becomes hard_swish."""
    editor = GraphEditor(graph)
    for original in graph.nodes:
        clipped = editor.nodes.get(original.name)
        if clipped is None or clipped.op != "relu6":
            continue
        chain = _hard_swish(editor, clipped)
        if chain is None:
            continue
        data, nodes = chain
        from budget.ops.registry import get

        last = nodes[-1]
        for node in nodes:
            editor.remove_node(node.name)
        origin = tuple(dict.fromkeys(name for node in nodes for name in node.origin))
        editor.add_node(
            Node(last.name, "hard_swish", (data,), last.outputs,
                 get("hard_swish").Attributes(), origin=origin)
        )  # fmt: skip
    return editor.finish()


def _hard_swish(editor: GraphEditor, clipped: Node) -> tuple[str, list[Node]] | None:
    shift = editor.producer(clipped.inputs[0])
    if shift is None or shift.op != "add" or shift.attributes.activation is not Activation.NONE:
        return None
    found = _with_number(editor, shift)
    if found is None or found[0] != 3.0 or editor.only_consumer(shift.outputs[0]) is not clipped:
        return None
    data, nodes, tensor, factor, squared = found[1], [shift, clipped], clipped.outputs[0], 1.0, 0
    while not squared or abs(factor - 1 / 6) > 1e-6:
        node = editor.only_consumer(tensor)
        if node is None or node.op not in ("mul", "div") or len(nodes) > 4:
            return None
        number = _with_number(editor, node)
        if number is not None and number[1] == tensor:
            if number[0] == 0 or (node.op == "div" and node.inputs[0] != tensor):
                return None
            factor = factor * number[0] if node.op == "mul" else factor / number[0]
        elif node.op == "mul" and data in node.inputs and not squared:
            squared = 1
        else:
            return None
        nodes.append(node)
        tensor = node.outputs[0]
    return data, nodes


def fuse_activations(graph: Graph) -> Graph:
    """An activation that alone reads an operator's output becomes the operator's own."""
    editor = GraphEditor(graph)
    for original in graph.nodes:
        node = editor.nodes[original.name]
        if node.op not in _ACTIVATIONS:
            continue
        before = editor.producer(node.inputs[0])
        if before is None or editor.only_consumer(node.inputs[0]) is not node:
            continue
        # integer kernels of concat cannot clip
        if before.op == "concat" or len(before.outputs) != 1:
            continue
        if getattr(before.attributes, "activation", None) is not Activation.NONE:
            continue
        editor.remove_node(node.name)
        fused = replace(
            before,
            name=node.name,
            outputs=node.outputs,
            attributes=replace(before.attributes, activation=_ACTIVATIONS[node.op]),
            origin=tuple(dict.fromkeys((*before.origin, *node.origin))),
        )
        editor.replace_node(before.name, fused)
    return editor.finish()
