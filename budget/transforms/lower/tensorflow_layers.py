"""TensorFlow's convolutions, matrix products, pools, normalisations and resizing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from budget.graph.graph import Node
from budget.graph.types import DType
from budget.ops.operator import Padding
from budget.transforms.lower.tensorflow_context import (
    NCHW_TO_NHWC,
    NHWC_TO_NCHW,
    Context,
    Handler,
    Lowered,
    Value,
    attribute,
)


def channels_last(handler: Handler) -> Handler:
    """Lets a handler for NHWC serve NCHW, between two transpositions."""

    def lower(c: Context, node: Node) -> Lowered:
        if attribute(node, "data_format", "NHWC") != "NCHW":
            return handler(c, node)
        name = node.inputs[data_index(node)]
        x = c.values[name]
        if len(c.shape(x)) != 4:
            raise c.unsupported(node, "NCHW data has to have four dimensions")
        c.values[name] = c.permute(node, x, NCHW_TO_NHWC)
        try:
            y = handler(c, node)
        finally:
            c.values[name] = x
        first, *others = y if isinstance(y, tuple) else (y,)
        turned = c.permute(node, first, NHWC_TO_NCHW)
        return (turned, *others) if others else turned

    return lower


def data_index(node: Node) -> int:
    """Which input holds the image."""
    return 2 if node.op == "tf.Conv2DBackpropInput" else 0


def spatial(c: Context, node: Node, name: str, default: int = 1) -> tuple[int, int]:
    """Height and width of an attribute like ``strides``; batch and channels must not move."""
    values = attribute(node, name, None)
    if not values:
        return default, default
    if len(values) != 4:
        raise c.unsupported(node, f"{name} {values} do not have four entries")
    if attribute(node, "data_format", "NHWC") == "NCHW":
        n, ch, h, w = values
    else:
        n, h, w, ch = values
    if n != 1 or ch != 1 or h < 1 or w < 1:
        raise c.unsupported(node, f"{name} {values} reach across batch or channels")
    return h, w


def padding_of(
    c: Context,
    node: Node,
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Padding:
    """SAME, VALID or EXPLICIT as rows and columns.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
    """
    kind = attribute(node, "padding", "VALID")
    if kind == "EXPLICIT":
        pairs = tuple(attribute(node, "explicit_paddings", ()))
        if len(pairs) != 8:
            raise c.unsupported(node, f"explicit padding {pairs} does not have eight entries")
        nchw = attribute(node, "data_format", "NHWC") == "NCHW"
        rows, columns = (pairs[4:6], pairs[6:8]) if nchw else (pairs[2:4], pairs[4:6])
        return Padding(rows[0], rows[1], columns[0], columns[1])
    if kind != "SAME":
        return Padding()
    before, behind = [], []
    for extent, taps, step, gap in zip(size, window, stride, dilation):
        reach = (taps - 1) * gap + 1
        total = max((math.ceil(extent / step) - 1) * step + reach - extent, 0)
        before.append(total // 2)
        behind.append(total - total // 2)
    return Padding(before[0], behind[0], before[1], behind[1])


def conv_2d(c: Context, node: Node) -> Lowered:
    """Conv2D: filters [kh][kw][in/groups][out] become [out][kh][kw][in/groups]."""
    from budget.ops.convolution import ConvolutionAttributes

    x, filters = c.inputs(node)
    kh, kw = c.shape(filters)[:2]
    stride, dilation = spatial(c, node, "strides"), spatial(c, node, "dilations")
    height, width = c.shape(x)[1:3]
    padding = padding_of(c, node, (height, width), (kh, kw), stride, dilation)
    weights = c.permute(node, filters, (3, 0, 1, 2))
    return c.emit(node, "conv_2d", [x, weights], ConvolutionAttributes(stride, dilation, padding))


def depthwise_conv_2d(c: Context, node: Node) -> Lowered:
    """Depthwise: filters [kh][kw][in][multiplier] become [1][kh][kw][in·multiplier]."""
    from budget.ops.convolution import ConvolutionAttributes

    x, filters = c.inputs(node)
    kh, kw, depth, multiplier = c.shape(filters)
    stride, dilation = spatial(c, node, "strides"), spatial(c, node, "dilations")
    height, width = c.shape(x)[1:3]
    padding = padding_of(c, node, (height, width), (kh, kw), stride, dilation)
    weights = c.reshape(node, filters, (1, kh, kw, depth * multiplier))
    return c.emit(
        node, "depthwise_conv_2d", [x, weights], ConvolutionAttributes(stride, dilation, padding)
    )


def transpose_conv_2d(c: Context, node: Node) -> Lowered:
    """Conv2DBackpropInput: filters [kh][kw][out][in] become [out][kh][kw][in]."""
    from budget.ops.transpose_convolution import TransposeConv2DAttributes

    _, filters, x = c.inputs(node)
    size = c.integers(node, 0)
    rows = size[2:4] if attribute(node, "data_format", "NHWC") == "NCHW" else size[1:3]
    out = (rows[0], rows[1])
    kh, kw = c.shape(filters)[:2]
    if spatial(c, node, "dilations") != (1, 1):
        raise c.unsupported(node, "a transposed convolution with dilation is not known here")
    stride = spatial(c, node, "strides")
    padding = padding_of(c, node, out, (kh, kw), stride)
    weights = c.permute(node, filters, (2, 0, 1, 3))
    attributes = TransposeConv2DAttributes(out, stride, padding)
    return c.emit(node, "transpose_conv_2d", [x, weights], attributes)


def mat_mul(c: Context, node: Node) -> Lowered:
    """A product with a constant is a fully connected layer, any other a batch matmul."""
    from budget.ops.matmul import BatchMatmulAttributes

    a, b = c.inputs(node)
    adj_a = bool(attribute(node, "transpose_a", attribute(node, "adj_x", False)))
    adj_b = bool(attribute(node, "transpose_b", attribute(node, "adj_y", False)))
    if isinstance(b, np.ndarray) and b.ndim == 2 and not adj_a and len(c.shape(a)) >= 2:
        from budget.ops.fully_connected import FullyConnectedAttributes

        weights = b if adj_b else c.permute(node, b, (1, 0))
        attributes = FullyConnectedAttributes(keep_dimensions=len(c.shape(a)) > 2)
        return c.emit(node, "fully_connected", [a, weights], attributes)
    return c.emit(node, "batch_matmul", [a, b], BatchMatmulAttributes(adj_a, adj_b))


def einsum(c: Context, node: Node) -> Lowered:
    """Sums of products of two tensors, as a fully connected layer or a batch matmul."""
    equation = attribute(node, "equation", "").replace(" ", "")
    left, _, out = equation.partition("->")
    a_axes, _, b_axes = left.partition(",")
    values = c.inputs(node)
    summed = [axis for axis in a_axes if axis in b_axes and axis not in out]
    shared = [axis for axis in a_axes if axis in b_axes and axis in out]
    a_only = [axis for axis in a_axes if axis not in b_axes]
    b_only = [axis for axis in b_axes if axis not in a_axes]
    if (
        len(values) != 2
        or "." in equation
        or sorted(out) != sorted({*shared, *a_only, *b_only})
        or not len(set(a_axes)) == len(a_axes) == len(c.shape(values[0]))
        or not len(set(b_axes)) == len(b_axes) == len(c.shape(values[1]))
    ):
        raise c.unsupported(node, f"the sum {equation!r} is not a product of two tensors")
    extents = dict(zip(a_axes + b_axes, c.shape(values[0]) + c.shape(values[1])))

    def turned(value: Value, axes: str, order: list[str]) -> Value:
        perm = tuple(axes.index(axis) for axis in order)
        return value if perm == tuple(range(len(perm))) else c.permute(node, value, perm)

    def size(axes: list[str]) -> int:
        return math.prod(extents[axis] for axis in axes)

    a = turned(values[0], a_axes, shared + a_only + summed)
    if isinstance(values[1], np.ndarray) and not shared and a_only:
        y = _dense_einsum(c, node, a, turned(values[1], b_axes, b_only + summed),
                          size(a_only), size(b_only), size(summed))  # fmt: skip
    else:
        from budget.ops.matmul import BatchMatmulAttributes

        b = turned(values[1], b_axes, shared + summed + b_only)
        lead = tuple(extents[axis] for axis in shared)
        a = c.reshape(node, a, (*lead, size(a_only), size(summed)))
        b = c.reshape(node, b, (*lead, size(summed), size(b_only)))
        y = c.emit_one(node, "batch_matmul", [a, b], BatchMatmulAttributes())
    order = shared + a_only + b_only
    shaped = c.reshape(node, y, tuple(extents[axis] for axis in order))
    return turned(shaped, "".join(order), list(out))


def _dense_einsum(
    c: Context, node: Node, a: Value, weights: Value, rows: int, columns: int, depth: int
) -> Value:
    from budget.ops.fully_connected import FullyConnectedAttributes

    flat = c.reshape(node, a, (rows, depth))
    constant = c.reshape(node, weights, (columns, depth))
    return c.emit_one(node, "fully_connected", [flat, constant], FullyConnectedAttributes())


def bias_add(c: Context, node: Node) -> Lowered:
    """BiasAdd is an addition along the last dimension."""
    return c.emit(node, "add", c.inputs(node))


def batch_norm(c: Context, node: Node) -> Lowered:
    """FusedBatchNorm, V2 and V3: x, scale, offset, mean, variance."""
    from budget.ops.normalization import BatchNormAttributes

    x, scale, offset, mean, variance = c.inputs(node)
    if attribute(node, "is_training", True):
        raise c.unsupported(node, "batch normalisation is in training mode")
    epsilon = float(attribute(node, "epsilon", 1e-4))
    y = c.emit_one(node, "batch_norm", [x, scale, offset, mean, variance],
                   BatchNormAttributes(epsilon))  # fmt: skip
    return (y, mean, variance, mean, variance, variance)


def global_batch_norm(c: Context, node: Node) -> Lowered:
    """The operator of 2015: x, mean, variance, beta, gamma."""
    from budget.ops.normalization import BatchNormAttributes

    x, mean, variance, beta, gamma = c.inputs(node)
    scale = gamma if attribute(node, "scale_after_normalization", True) else None
    epsilon = float(attribute(node, "variance_epsilon", 1e-3))
    return c.emit(
        node, "batch_norm", [x, scale, beta, mean, variance], BatchNormAttributes(epsilon)
    )


def pool(op: str) -> Callable[[Context, Node], Lowered]:
    """MaxPool and AvgPool."""

    def lower(c: Context, node: Node) -> Lowered:
        from budget.ops.pooling import PoolAttributes

        x = c.values[node.inputs[0]]
        window, stride = spatial(c, node, "ksize"), spatial(c, node, "strides")
        height, width = c.shape(x)[1:3]
        padding = padding_of(c, node, (height, width), window, stride)
        return c.emit(node, op, [x], PoolAttributes(window, stride, padding))

    return lower


def resize(op: str) -> Callable[[Context, Node], Lowered]:
    """ResizeBilinear and ResizeNearestNeighbor; the former always gives floats."""

    def lower(c: Context, node: Node) -> Lowered:
        from budget.ops.resize import ResizeAttributes

        height, width = c.integers(node, 1)
        x: Value = c.values[node.inputs[0]]
        if op == "resize_bilinear" and c.type(x).dtype is not DType.FLOAT32:
            from budget.ops.quantization import ConversionAttributes

            x = c.emit_one(node, "cast", [x], ConversionAttributes(DType.FLOAT32))
        attributes = ResizeAttributes(
            (height, width),
            bool(attribute(node, "align_corners", False)),
            bool(attribute(node, "half_pixel_centers", False)),
        )
        return c.emit(node, op, [x], attributes)

    return lower


HANDLERS: dict[str, Any] = {
    "Conv2D": channels_last(conv_2d),
    "DepthwiseConv2dNative": channels_last(depthwise_conv_2d),
    "Conv2DBackpropInput": channels_last(transpose_conv_2d),
    "MatMul": mat_mul,
    "BatchMatMul": mat_mul,
    "BatchMatMulV2": mat_mul,
    "BatchMatMulV3": mat_mul,
    "Einsum": einsum,
    "BiasAdd": channels_last(bias_add),
    "BiasAddV1": bias_add,
    "FusedBatchNorm": channels_last(batch_norm),
    "FusedBatchNormV2": channels_last(batch_norm),
    "FusedBatchNormV3": channels_last(batch_norm),
    "BatchNormWithGlobalNormalization": global_batch_norm,
    "MaxPool": channels_last(pool("max_pool_2d")),
    "AvgPool": channels_last(pool("average_pool_2d")),
    "ResizeBilinear": resize("resize_bilinear"),
    "ResizeNearestNeighbor": resize("resize_nearest"),
}
