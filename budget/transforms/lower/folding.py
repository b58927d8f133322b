"""Constant scales and shifts behind a linear layer go into its weights and bias.

For a layer y = W·x + b with output channels o:

    mul(y, s)         W'ₒ = Wₒ·sₒ             b'ₒ = bₒ·sₒ
    add(y, t)         b'ₒ = bₒ + tₒ
    batch_norm(y)     s = γ/√(σ² + ε), t = β - μ·s; then as above

Divisions, subtractions and biases are the same thing. A batch norm that stands behind no such
layer becomes mul and add, which integer kernels exist for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from budget.graph.editor import GraphEditor
from budget.graph.graph import ABSENT, Graph, Node
from budget.graph.types import Array
from budget.ops.operator import Activation
from budget.ops.registry import get

_CHANNEL_AXIS = {"conv_2d": 0, "depthwise_conv_2d": -1, "transpose_conv_2d": 0,
                 "fully_connected": 0}  # fmt: skip
"""Where the weights of each linear layer have their output channels."""

Affine = tuple[Array | None, Array | None]
"""Scale and shift, each one number or one per channel; None where there is none."""


def fold_affine(graph: Graph) -> Graph:
    """Moves scales and shifts into the layers before them; floats only.

    Args:
        graph: canonical; unchanged.

    Returns:
        A graph that computes the same up to rounding.
    """
    editor = GraphEditor(graph)
    for original in graph.nodes:
        node = editor.nodes[original.name]
        found = _affine(editor, node)
        if found is None:
            continue
        data, affine = found
        layer = editor.producer(data)
        if layer is not None and _accepts(editor, layer, node, affine):
            _absorb(editor, layer, node, affine)
        elif node.op == "batch_norm":
            _spell_out(editor, node, data, affine)
    return editor.finish()


def _affine(editor: GraphEditor, node: Node) -> tuple[str, Affine] | None:
    """The input that a node scales and shifts, and by what; None if it does something else."""
    constants = [None if name == ABSENT else editor.tensors[name].data for name in node.inputs]
    if node.op == "batch_norm":
        scale, offset, mean, variance = constants[1:]
        if mean is None or variance is None or constants[0] is not None:
            return None
        if any(name != ABSENT and c is None for name, c in zip(node.inputs[1:], constants[1:])):
            return None
        with np.errstate(all="ignore"):
            factor = 1 / np.sqrt(variance.astype(np.float64) + node.attributes.epsilon)
            if scale is not None:
                factor = factor * scale
            shift = -mean.astype(np.float64) * factor
            if offset is not None:
                shift = shift + offset
        return node.inputs[0], (factor, shift)
    if node.op not in ("add", "sub", "mul", "div") or len(constants) != 2:
        return None
    if node.attributes.activation is not Activation.NONE:
        return None
    x, y = constants
    if x is None and y is not None:
        value, data = y.astype(np.float64), node.inputs[0]
        if node.op == "div":
            return (data, (1 / value, None)) if np.all(value) else None
        if node.op == "mul":
            return data, (value, None)
        return data, (None, value if node.op == "add" else -value)
    if y is None and x is not None:
        value, data = x.astype(np.float64), node.inputs[1]
        if node.op == "mul":
            return data, (value, None)
        if node.op == "add":
            return data, (None, value)
        if node.op == "sub":
            return data, (np.array(-1.0), value)
    return None


def _accepts(editor: GraphEditor, layer: Node, node: Node, affine: Affine) -> bool:
    """Whether a layer can take the scale and shift of the node that alone reads it."""
    if layer.op not in _CHANNEL_AXIS or layer.attributes.activation is not Activation.NONE:
        return False
    if editor.only_consumer(layer.outputs[0]) is not node:
        return False
    weights = editor.tensors[layer.inputs[1]].data
    bias = layer.inputs[2] if len(layer.inputs) > 2 else ABSENT
    if weights is None or weights.dtype.kind != "f" or layer.op not in _CHANNEL_AXIS:
        return False
    if bias != ABSENT and editor.tensors[bias].data is None:
        return False
    channels = weights.shape[_CHANNEL_AXIS[layer.op]]
    shape = editor.tensors[layer.outputs[0]].type.shape
    if editor.tensors[node.outputs[0]].type.shape != shape:
        return False
    return all(_per_channel(part, channels) is not None for part in affine if part is not None)


def _per_channel(value: Array, channels: int) -> Array | None:
    """One number per channel, if the value varies along the last dimension only."""
    if value.size == 1:
        return np.full(channels, value.reshape(()))
    if value.shape[-1:] == (channels,) and value.size == channels:
        return value.reshape(channels)
    return None


def _absorb(editor: GraphEditor, layer: Node, node: Node, affine: Affine) -> None:
    axis = _CHANNEL_AXIS[layer.op]
    stored = editor.tensors[layer.inputs[1]].data
    assert stored is not None
    dtype, channels = stored.dtype, stored.shape[axis]
    bias_name = layer.inputs[2] if len(layer.inputs) > 2 else ABSENT
    bias_data = None if bias_name == ABSENT else editor.tensors[bias_name].data
    bias: Array = np.zeros(channels) if bias_data is None else bias_data.astype(np.float64)
    scale, shift = affine
    weights_name = layer.inputs[1]
    if scale is not None:
        factor = np.asarray(_per_channel(scale, channels))
        along = [1] * stored.ndim
        along[axis] = channels
        bias = bias * factor
        with np.errstate(all="ignore"):  # weights of a damaged file may overflow
            # in double precision, but not all of them at once
            folded = np.multiply(
                stored, factor.reshape(along), out=np.empty(stored.shape, dtype), dtype=np.float64
            )
        weights_name = editor.add_constant(_base(weights_name) + "/folded", folded)
    if shift is not None:
        bias = bias + np.asarray(_per_channel(shift, channels))
    inputs = [layer.inputs[0], weights_name]
    if shift is not None or bias_data is not None:
        inputs.append(_bias(editor, node, bias.astype(dtype), bias_data is None and scale is None))
    editor.remove_node(node.name)
    editor.replace_node(
        layer.name,
        replace(
            layer,
            name=node.name,
            inputs=tuple(inputs),
            outputs=node.outputs,
            origin=tuple(dict.fromkeys((*layer.origin, *node.origin))),
        ),
    )


def _bias(editor: GraphEditor, node: Node, bias: Array, is_plain: bool) -> str:
    """The new bias; one that a BiasAdd brought along unchanged keeps its name."""
    for name in node.inputs if is_plain else ():
        data = editor.tensors[name].data
        if data is not None and data.shape == bias.shape and np.array_equal(data, bias):
            return name
    return editor.add_constant(node.name + "/bias", bias)


def _base(name: str) -> str:
    return name.removesuffix("/folded")


def _spell_out(editor: GraphEditor, node: Node, data: str, affine: Affine) -> None:
    scale, shift = affine
    assert scale is not None and shift is not None
    type = editor.tensors[node.outputs[0]].type
    dtype = type.dtype.numpy
    factor = editor.add_constant(node.name + "/scale", scale.astype(dtype))
    offset = editor.add_constant(node.name + "/shift", shift.astype(dtype))
    scaled = editor.add_tensor(node.name + "/scaled", type)
    first = Node(editor.unique_name(node.name + "/mul"), "mul", (data, factor), (scaled,),
                 _defaults("mul"), origin=node.origin)  # fmt: skip
    second = Node(node.name, "add", (scaled, offset), node.outputs, _defaults("add"),
                  origin=node.origin)  # fmt: skip
    editor.replace_node(node.name, first, second)


def _defaults(op: str) -> Any:
    return get(op).Attributes()
