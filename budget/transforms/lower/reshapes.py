"""Reshapes move behind what does not care about shape, and vanish where they meet.

One-dimensional convolutions come as two-dimensional ones between reshapes, with bias and
activation behind the second. These work along the last dimension, which both shapes share, so
they may as well stand before the reshape, where the convolution can take them in.
"""

from __future__ import annotations

from dataclasses import replace

from budget.graph.editor import GraphEditor
from budget.graph.graph import ABSENT, Graph, Node

_ALONG_CHANNELS = ("add", "sub", "mul", "div", "batch_norm", "relu", "relu6", "relu_n1_to_1",
                   "maximum", "minimum", "leaky_relu", "logistic", "tanh", "hard_swish", "elu",
                   "gelu")  # fmt: skip
_LAYERS = ("conv_2d", "depthwise_conv_2d", "transpose_conv_2d", "fully_connected",
           "max_pool_2d", "average_pool_2d")  # fmt: skip


def sink_reshapes(graph: Graph) -> Graph:
    """Moves reshapes of layers' outputs down, joins neighbours and removes idle ones.

    Args:
        graph: canonical; unchanged.

    Returns:
        A graph that computes the same.
    """
    if not any(node.op == "reshape" for node in graph.nodes):
        return graph
    editor = GraphEditor(graph)
    behind: set[str] = set()  # outputs of layers and of what stands behind one, before a reshape
    for original in graph.nodes:
        node = editor.nodes[original.name]
        if node.op == "reshape":
            _join(editor, node)
        elif node.op in _LAYERS:
            behind.add(node.outputs[0])
        elif node.op in _ALONG_CHANNELS:
            moved = _sink(editor, node, behind)
            if moved:
                behind.add(moved)
    return editor.finish()


def _join(editor: GraphEditor, node: Node) -> None:
    before = editor.producer(node.inputs[0])
    source = node.inputs[0]
    if before is not None and before.op == "reshape":
        source = before.inputs[0]
    same = editor.tensors[source].type.shape == editor.tensors[node.outputs[0]].type.shape
    if same and not editor.is_output(node.outputs[0]):
        editor.redirect(node.outputs[0], source)
        editor.remove_node(node.name)
    elif source != node.inputs[0]:
        editor.replace_node(node.name, replace(node, inputs=(source,)))


def _sink(editor: GraphEditor, node: Node, behind: set[str]) -> str:
    """Puts a node before the reshape it reads; the name of what it then computes, or nothing."""
    data = [name for name in node.present_inputs if editor.tensors[name].data is None]
    if len(data) != 1:
        return ""
    shaper = editor.producer(data[0])
    if shaper is None or shaper.op != "reshape" or editor.only_consumer(data[0]) is not node:
        return ""
    source = shaper.inputs[0]
    inner, outer = editor.tensors[source].type, editor.tensors[node.outputs[0]].type
    shape = editor.tensors[data[0]].type.shape
    if source not in behind or outer.shape != shape or not shape:
        return ""
    along = _trailing(shape, inner.shape[-1]) if inner.shape else ()
    if not along:
        return ""
    inputs = []
    for name in node.inputs:
        constant = editor.tensors[name].data if name != ABSENT else None
        if constant is not None and constant.size != 1 and constant.shape != along:
            return ""
        if constant is not None and constant.size != 1 and len(along) > 1:
            name = editor.add_constant(name + "/flat", constant.reshape(-1))
        elif constant is not None and constant.ndim > len(inner.shape):
            return ""
        inputs.append(source if name == data[0] else name)
    result = editor.add_tensor(node.name + "/before", outer.with_shape(inner.shape))
    first = replace(
        node,
        name=editor.unique_name(node.name + "/moved"),
        inputs=tuple(inputs),
        outputs=(result,),
    )
    last = replace(shaper, name=node.name, inputs=(result,), outputs=node.outputs,
                   origin=tuple(dict.fromkeys((*shaper.origin, *node.origin))))  # fmt: skip
    editor.remove_node(shaper.name)
    editor.replace_node(node.name, first, last)
    return result


def _trailing(shape: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """The last dimensions, as many as make up the channels; none if no number of them does."""
    product = 1
    for index in range(len(shape) - 1, -1, -1):
        product *= shape[index]
        if product == channels:
            return shape[index:]
    return ()
