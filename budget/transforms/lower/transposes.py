"""Transpositions that undo each other disappear.

Graphs in NCHW lower to operators in NHWC between transpositions. Those that turn NHWC to NCHW are
moved behind the element-wise operators, pads, concatenations and reductions that read them,
until they meet their inverse.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from budget.graph.editor import GraphEditor
from budget.graph.graph import Graph, Node

_TO_NCHW = (0, 3, 1, 2)
_ELEMENTWISE = frozenset(
    (
        "add", "sub", "mul", "div", "maximum", "minimum", "pow", "squared_difference", "exp",
        "log", "sqrt", "rsqrt", "square", "abs", "neg", "floor", "relu", "relu6", "relu_n1_to_1",
        "leaky_relu", "logistic", "tanh", "hard_swish", "elu", "gelu", "cast",
    )
)  # fmt: skip
_REDUCTIONS = ("mean", "sum", "reduce_max", "reduce_min")


def cancel_transposes(graph: Graph) -> Graph:
    """Moves, joins and removes transpositions.

    Args:
        graph: canonical; unchanged.

    Returns:
        A graph that computes the same.
    """
    if not any(node.op == "transpose" for node in graph.nodes):
        return graph
    editor = GraphEditor(graph)
    for original in graph.nodes:
        node = editor.nodes[original.name]
        if node.op == "transpose":
            _join(editor, node)
        else:
            _sink(editor, node)
    editor = GraphEditor(editor.finish())
    for node in editor.graph.nodes:
        if node.op == "transpose":
            _as_reshape(editor, node)
    return editor.finish()


def _join(editor: GraphEditor, node: Node) -> None:
    """Two transpositions in a row are one, or none."""
    before = editor.producer(node.inputs[0])
    perm = node.attributes.perm
    source = node.inputs[0]
    if before is not None and before.op == "transpose":
        perm = tuple(before.attributes.perm[axis] for axis in perm)
        source = before.inputs[0]
    if perm == tuple(range(len(perm))) and not editor.is_output(node.outputs[0]):
        editor.redirect(node.outputs[0], source)
        editor.remove_node(node.name)
    elif source != node.inputs[0]:
        attributes = replace(node.attributes, perm=perm)
        editor.replace_node(node.name, replace(node, inputs=(source,), attributes=attributes))


def _sink(editor: GraphEditor, node: Node) -> None:
    """Puts the transpositions of a node's inputs behind the node."""
    if len(node.outputs) != 1:
        return
    turned = [_source(editor, name) for name in node.inputs]
    if not any(turned):
        return
    inputs = []
    for name, source in zip(node.inputs, turned):
        if source:
            inputs.append(source)
            continue
        if node.op not in _ELEMENTWISE:
            return
        constant = _turned_constant(editor, name)
        if not constant:
            return
        inputs.append(constant)
    attributes = _turned_attributes(node)
    if attributes is None:
        return
    out = editor.tensors[node.outputs[0]].type
    if node.op in _REDUCTIONS and not node.attributes.keep_dims:
        kept = [axis for axis in _TO_NCHW if axis not in attributes.axes]
        if kept == sorted(kept):
            editor.replace_node(
                node.name, replace(node, inputs=tuple(inputs), attributes=attributes)
            )
        return
    if len(out.shape) != 4:
        return
    shape = [0, 0, 0, 0]
    for axis, extent in zip(_TO_NCHW, out.shape):
        shape[axis] = extent
    inner = editor.add_tensor(node.name + "/nhwc", out.with_shape(tuple(shape)))
    first = replace(node, name=editor.unique_name(node.name + "/turned"), inputs=tuple(inputs),
                    outputs=(inner,), attributes=attributes)  # fmt: skip
    turn = Node(node.name, "transpose", (inner,), node.outputs, _perm(_TO_NCHW),
                origin=node.origin)  # fmt: skip
    editor.replace_node(node.name, first, turn)


def _source(editor: GraphEditor, tensor: str) -> str:
    """What a transposition to NCHW reads, if one computes the tensor."""
    node = editor.producer(tensor) if tensor else None
    if node is None or node.op != "transpose" or node.attributes.perm != _TO_NCHW:
        return ""
    return node.inputs[0]


def _turned_constant(editor: GraphEditor, tensor: str) -> str:
    """A constant that broadcasts in NHWC as it did in NCHW; empty if it is none."""
    data = editor.tensors[tensor].data if tensor else None
    if data is None or data.ndim > 4:
        return ""
    if data.size == 1:
        return tensor
    whole = data.reshape((1,) * (4 - data.ndim) + data.shape).transpose(0, 2, 3, 1)
    return editor.add_constant(tensor + "/nhwc", np.ascontiguousarray(whole))


def _turned_attributes(node: Node) -> Any:
    """The attributes for NHWC; None if the operator cannot be turned."""
    attributes = node.attributes
    if node.op in _ELEMENTWISE:
        return attributes
    if node.op == "concat":
        return replace(attributes, axis=_TO_NCHW[attributes.axis])
    if node.op in ("pad", "mirror_pad"):
        pairs = dict(zip(_TO_NCHW, attributes.paddings))
        return replace(attributes, paddings=tuple(pairs[axis] for axis in range(4)))
    if node.op in _REDUCTIONS:
        axes = tuple(sorted(_TO_NCHW[axis] for axis in attributes.axes))
        return replace(attributes, axes=axes)
    return None


def _as_reshape(editor: GraphEditor, node: Node) -> None:
    """A transposition that moves only extents of 1 moves no data."""
    from budget.ops.shaping import ReshapeAttributes

    shape = editor.tensors[node.inputs[0]].type.shape
    order = [axis for axis in node.attributes.perm if shape[axis] != 1]
    if order == sorted(order):
        attributes = ReshapeAttributes(editor.tensors[node.outputs[0]].type.shape)
        editor.replace_node(node.name, replace(node, op="reshape", attributes=attributes))


def _perm(perm: tuple[int, ...]) -> Any:
    from budget.ops.shaping import TransposeAttributes

    return TransposeAttributes(perm)
