"""TensorFlow's operators that are several in one, taken apart again."""

from __future__ import annotations

from typing import Any

from budget.graph.graph import Node
from budget.transforms.lower import tensorflow_layers, tensorflow_shapes
from budget.transforms.lower.tensorflow_context import Context, Handler, Lowered, attribute

_LAYERS = tensorflow_layers.HANDLERS
_ACTIVATIONS = {"Relu": "relu", "Relu6": "relu6", "Elu": "elu"}

Part = tuple[str, tuple[str, ...], dict[str, Any]]
"""Operator, operands behind the result of the part before, attributes."""


def _chain(c: Context, node: Node, parts: list[Part]) -> Lowered:
    """Lowers one part after the other; the last has the node's own name."""
    source: tuple[str, ...] = ()
    value: Lowered = ""
    for index, (op, operands, attributes) in enumerate(parts):
        last = index == len(parts) - 1
        out = node.outputs[0] if last else f"{node.name}/{op}"
        if op in _ACTIVATIONS:
            value = c.emit(
                Node(node.name, f"tf.{op}", source, (out,)), _ACTIVATIONS[op], [c.values[source[0]]]
            )
        else:
            part = Node(node.name, f"tf.{op}", (*source, *operands), (out,), attributes)
            handler = tensorflow_shapes.mirror_pad if op == "MirrorPad" else _LAYERS[op]
            value = handler(c, part)
        assert not isinstance(value, tuple)
        c.values[out] = value
        source = (out,)
    return value


def _fused(op: str) -> Handler:
    def lower(c: Context, node: Node) -> Lowered:
        x, weights, *more = node.inputs
        kinds = [kind.decode() for kind in attribute(node, "fused_ops", ())]
        parts: list[Part] = [(op, (x, weights), dict(node.attributes))]
        for kind in kinds:
            if kind == "BiasAdd" and more:
                layout = {"data_format": node.attributes.get("data_format", b"NHWC")}
                parts.append((kind, (more.pop(0),), layout))
            elif kind in _ACTIVATIONS:
                parts.append((kind, (), {}))
            else:
                raise c.unsupported(node, f"{kind!r} is not known to be fused into {op}")
        return _chain(c, node, parts)

    return lower


def _padded(c: Context, node: Node) -> Lowered:
    """FusedPadConv2D: x, paddings, filter."""
    x, paddings, weights = node.inputs
    a = dict(node.attributes)
    return _chain(c, node, [("MirrorPad", (x, paddings), a), ("Conv2D", (weights,), a)])


def _resized(c: Context, node: Node) -> Lowered:
    """FusedResizeAndPadConv2D: x, size, paddings, filter."""
    x, size, paddings, weights = node.inputs
    a = dict(node.attributes)
    corners = {"align_corners": attribute(node, "resize_align_corners", False)}
    return _chain(c, node, [("ResizeBilinear", (x, size), corners),
                            ("MirrorPad", (paddings,), a), ("Conv2D", (weights,), a)])  # fmt: skip


HANDLERS: dict[str, Handler] = {
    "_FusedConv2D": _fused("Conv2D"),
    "_FusedDepthwiseConv2dNative": _fused("DepthwiseConv2dNative"),
    "_FusedMatMul": _fused("MatMul"),
    "FusedPadConv2D": _padded,
    "FusedResizeAndPadConv2D": _resized,
}
