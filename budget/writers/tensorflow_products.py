"""Products and windows as TensorFlow's, and the activation behind an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.formats.tflite_geometry import same_padding
from budget.graph.graph import ABSENT, Node
from budget.ops.operator import Activation, Padding
from budget.writers.tensorflow_graph import Translation

Rule = Callable[[Translation, Node], None]
INT = DataType.INT32
NHWC = {"data_format": b"NHWC"}


def activated(t: Translation, node: Node, op: str, inputs: list[str], attributes: Any) -> None:
    """An operator, its bias (the third operand, where it is a product) and its activation."""
    activation = getattr(node.attributes, "activation", Activation.NONE)
    bias = node.inputs[2] if len(node.inputs) > 2 and _has_bias(node) else ABSENT
    chain = [(op, inputs, attributes)]
    if bias != ABSENT:
        chain.append(("BiasAdd", [t.ref(bias)], NHWC))
    if activation is Activation.RELU_N1_TO_1:
        bounds = [t.constant(node, part, value, np.float32)
                  for part, value in (("one", 1), ("minus_one", -1))]  # fmt: skip
        chain += [("Minimum", bounds[:1], {}), ("Maximum", bounds[1:], {})]
    elif activation is not Activation.NONE:
        chain.append(({"relu": "Relu", "relu6": "Relu6"}[activation.value], [], {}))
    name = ""
    for index, (kind, operands, more) in enumerate(chain):
        read = [name, *operands] if index else operands
        last = index == len(chain) - 1
        name = t.emit(node, kind, read, more, part="" if last else kind)


def _has_bias(node: Node) -> bool:
    return node.op in ("conv_2d", "depthwise_conv_2d", "fully_connected", "transpose_conv_2d")


def _padding(t: Translation, node: Node, window: tuple[int, int]) -> dict[str, Any] | None:
    """SAME or VALID; None where it is neither."""
    padding = node.attributes.padding
    if padding == Padding():
        return {"padding": b"VALID"}
    shape = t.type(node.inputs[0]).shape
    gaps = getattr(node.attributes, "dilation", (1, 1))
    same = same_padding((shape[1], shape[2]), window, node.attributes.stride, gaps)
    return {"padding": b"SAME"} if padding == Padding(*same) else None


def _around(padding: Padding) -> list[list[int]]:
    return [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]


def conv(t: Translation, node: Node) -> None:
    """A convolution, by depth or not; what pads neither as SAME nor VALID pads before."""
    a, weights = node.attributes, node.inputs[1]
    _, kh, kw, each = t.type(weights).shape
    x = t.ref(node.inputs[0])
    padding = _padding(t, node, (kh, kw))
    if padding is None:
        pairs = t.constant(node, "paddings", _around(a.padding))
        x = t.emit(node, "Pad", [x, pairs], {"Tpaddings": INT}, part="padded")
        padding = {"padding": b"VALID"}
    more = {"strides": (1, *a.stride, 1), "dilations": (1, *a.dilation, 1), **padding, **NHWC}
    if node.op == "conv_2d":
        activated(t, node, "Conv2D", [x, t.permuted(node, weights, (1, 2, 3, 0))], more)
        return
    inputs = t.type(node.inputs[0]).shape[3]
    kernel = t.permuted(node, weights, (1, 2, 0, 3), kh, kw, inputs, each // inputs)
    activated(t, node, "DepthwiseConv2dNative", [x, kernel], more)


def transpose_conv(t: Translation, node: Node) -> None:
    """The gradient of a convolution."""
    a = node.attributes
    _, kh, kw, _ = t.type(node.inputs[1]).shape
    shape = t.type(node.outputs[0]).shape
    image = (shape[1], shape[2])
    # the padding is that of the convolution whose gradient this is
    same = same_padding(image, (kh, kw), a.stride)
    cut = (a.padding.top, a.padding.left)
    inside = t.type(node.inputs[0]).shape[1:3]
    if inside == tuple(-(-e // s) for e, s in zip(image, a.stride)) and cut == (same[0], same[2]):
        kind = b"SAME"
    elif cut == (0, 0) and inside == tuple(
        (e - k) // s + 1 for e, k, s in zip(image, (kh, kw), a.stride)
    ):
        kind = b"VALID"
    else:
        t.refuse(node, "its padding is neither SAME nor VALID")
        return
    kernel = t.permuted(node, node.inputs[1], (1, 2, 0, 3))
    size = t.constant(node, "size", shape)
    more = {"strides": (1, *a.stride, 1), "padding": kind, **NHWC}
    activated(t, node, "Conv2DBackpropInput", [size, kernel, t.ref(node.inputs[0])], more)


def fully_connected(t: Translation, node: Node) -> None:
    """A product of matrices, reshaped before and behind where operands have other ranks."""
    x, count = t.ref(node.inputs[0]), t.type(node.inputs[1]).shape[1]
    shape, result = t.type(node.inputs[0]).shape, t.type(node.outputs[0]).shape
    more = {"transpose_a": False, "transpose_b": True}
    if len(shape) == 2 == len(result):
        activated(t, node, "MatMul", [x, t.ref(node.inputs[1])], more)
        return
    rows = t.type(node.inputs[0]).element_count // count
    x = _reshaped(t, node, x, (rows, count), "rows")
    if len(result) == 2:
        activated(t, node, "MatMul", [x, t.ref(node.inputs[1])], more)
        return
    product = t.emit(node, "MatMul", [x, t.ref(node.inputs[1])], more, part="product")
    size = t.constant(node, "size", result)
    activated(t, node, "Reshape", [product, size], {"Tshape": INT})


def _reshaped(t: Translation, node: Node, x: str, shape: tuple[int, ...], part: str) -> str:
    size = t.constant(node, f"{part}_shape", shape)
    return t.emit(node, "Reshape", [x, size], {"Tshape": INT}, part=part)


def pool(op: str) -> Rule:
    """A window of mean or maximum."""

    def rule(t: Translation, node: Node) -> None:
        a, x = node.attributes, t.ref(node.inputs[0])
        padding = _padding(t, node, a.filter)
        if padding is None and op == "AvgPool":
            t.refuse(node, "its padding is neither SAME nor VALID")
            return
        if padding is None:
            pairs = t.constant(node, "paddings", _around(a.padding))
            lowest = t.constant(node, "lowest", np.finfo(np.float32).min, np.float32)
            x = t.emit(node, "PadV2", [x, pairs, lowest], {"Tpaddings": INT}, part="padded")
            padding = {"padding": b"VALID"}
        more = {"ksize": (1, *a.filter, 1), "strides": (1, *a.stride, 1), **padding, **NHWC}
        activated(t, node, op, [x], more)

    return rule
