"""Keras's convolutions, dense layers, pools, normalisations and attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from budget.ops.operator import Padding
from budget.transforms.lower.keras_context import Handler, Layer
from budget.transforms.lower.keras_functions import activate
from budget.transforms.lower.tensorflow_context import Value

Pair = tuple[int, int]


# --- images of one or two dimensions --------------------------------------------------------------
def _image(layer: Layer) -> tuple[Value, int]:
    """The operand as [n][h][w][c] and how many spatial dimensions it really has."""
    x = layer.real()
    shape = layer.c.shape(x)
    if len(shape) == 4:
        return x, 2
    return layer.reshape(x, (shape[0], 1, shape[1], shape[2])), 1


def _pair(layer: Layer, key: str, rank: int, default: Any = 1) -> Pair:
    values = layer.settings.integers(key, rank, default)
    return (1, values[0]) if rank == 1 else (values[0], values[1])


def _padding(layer: Layer, size: Pair, window: Pair, stride: Pair, dilation: Pair) -> Padding:
    """Rows and columns that "same" and "causal" stand for.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
    """
    kind = layer.settings.choice("padding", "valid", ("valid", "same", "causal"))
    if kind == "valid":
        return Padding()
    reach = tuple((k - 1) * d + 1 for k, d in zip(window, dilation))
    if kind == "causal":
        return Padding(left=reach[1] - 1)
    totals = [max((-(-n // s) - 1) * s + r - n, 0) for n, r, s in zip(size, reach, stride)]
    rows, columns = totals
    return Padding(rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)


def _window(layer: Layer, x: Value, rank: int) -> Any:
    from budget.ops.convolution import ConvolutionAttributes

    size = layer.c.shape(x)
    window = _pair(layer, "kernel_size", rank)
    stride, dilation = _pair(layer, "strides", rank), _pair(layer, "dilation_rate", rank)
    padding = _padding(layer, (size[1], size[2]), window, stride, dilation)
    return ConvolutionAttributes(stride, dilation, padding)


def _flat_kernel(rank: int, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A kernel of either rank with a row dimension."""
    return change if rank == 2 else lambda kernel: change(kernel[np.newaxis])


def _finish(layer: Layer, y: Value) -> Value:
    """Activation, then the shape that Keras gives the output."""
    return layer.reshape(activate(layer, y), layer.output)


def _convolution(layer: Layer) -> Value:
    x, rank = _image(layer)
    kernel = layer.weight(1, _flat_kernel(rank, lambda k: k.transpose(3, 0, 1, 2)))
    y = layer.emit("conv_2d", x, kernel, layer.weight(2), attributes=_window(layer, x, rank))
    return _finish(layer, y)


def _depthwise_kernel(kernel: Any) -> Any:
    return kernel.reshape(1, *kernel.shape[:2], -1)


def _depthwise(layer: Layer) -> Value:
    x, rank = _image(layer)
    kernel = layer.weight(1, _flat_kernel(rank, _depthwise_kernel))
    attributes = _window(layer, x, rank)
    y = layer.emit("depthwise_conv_2d", x, kernel, layer.weight(2), attributes=attributes)
    return _finish(layer, y)


def _separable(layer: Layer) -> Value:
    x, rank = _image(layer)
    kernel = layer.weight(1, _flat_kernel(rank, _depthwise_kernel))
    attributes = _window(layer, x, rank)
    depth = layer.emit("depthwise_conv_2d", x, kernel, None, attributes=attributes)
    point = layer.weight(2, _flat_kernel(rank, lambda k: k.transpose(3, 0, 1, 2)))
    return _finish(layer, layer.emit("conv_2d", depth, point, layer.weight(3)))


def _transposed(layer: Layer) -> Value:
    from budget.ops.transpose_convolution import TransposeConv2DAttributes

    x, rank = _image(layer)
    window, stride = _pair(layer, "kernel_size", rank), _pair(layer, "strides", rank)
    size: Pair = (1, layer.output[1]) if rank == 1 else (layer.output[1], layer.output[2])
    cut = (0, 0)
    if layer.settings.choice("padding", "valid", ("valid", "same")) == "same":
        given = layer.c.shape(x)[1:3]
        rows, columns = (
            max((n - 1) * s + k - out, 0) for n, s, k, out in zip(given, stride, window, size)
        )
        cut = (rows, columns)
    padding = Padding(cut[0] // 2, cut[0] - cut[0] // 2, cut[1] // 2, cut[1] - cut[1] // 2)
    kernel = layer.weight(1, _flat_kernel(rank, lambda k: k.transpose(2, 0, 1, 3)))
    attributes = TransposeConv2DAttributes(size, stride, padding)
    y = layer.emit("transpose_conv_2d", x, kernel, layer.weight(2), attributes=attributes)
    return _finish(layer, y)


def _pool(op: str) -> Handler:
    def handler(layer: Layer) -> Value:
        from budget.ops.pooling import PoolAttributes

        x, rank = _image(layer)
        size = layer.c.shape(x)
        window = _pair(layer, "pool_size", rank, 2)
        stride = _pair(layer, "strides", rank, list(window[2 - rank :]))
        padding = _padding(layer, (size[1], size[2]), window, stride, (1, 1))
        y = layer.emit(op, x, attributes=PoolAttributes(window, stride, padding))
        return layer.reshape(y, layer.output)

    return handler


def _global_pool(op: str) -> Handler:
    def handler(layer: Layer) -> Value:
        from budget.ops.reduction import ReduceAttributes

        x, _ = _image(layer)
        keep = layer.settings.flag("keepdims", False)
        y = layer.emit(op, x, attributes=ReduceAttributes((1, 2), keep))
        return layer.reshape(y, layer.output)

    return handler


# --- dense layers, normalisation ------------------------------------------------------------------
def _dense(layer: Layer) -> Value:
    from budget.ops.fully_connected import FullyConnectedAttributes

    attributes = FullyConnectedAttributes(keep_dimensions=len(layer.shape) != 2)
    kernel = layer.weight(1, np.transpose)
    y = layer.emit("fully_connected", layer.real(), kernel, layer.weight(2), attributes=attributes)
    return activate(layer, y)


def _batch_norm(layer: Layer) -> Value:
    from budget.ops.normalization import BatchNormAttributes

    attributes = BatchNormAttributes(layer.settings.number("epsilon", 1e-3))
    weights = [layer.weight(index) for index in range(1, 5)]
    return layer.through(
        lambda x: layer.emit("batch_norm", x, *weights, attributes=attributes), layer.real()
    )


def _layer_norm(layer: Layer) -> Value:
    from budget.ops.normalization import LayerNormAttributes
    from budget.ops.reduction import ReduceAttributes

    x, shape = layer.real(), layer.shape
    axes = layer.settings.axes("axis", -1, len(shape))
    along = tuple(n if axis in axes else 1 for axis, n in enumerate(shape))
    scale, offset = (layer.weight(i, lambda w: w.reshape(along)) for i in (1, 2))
    epsilon = layer.settings.number("epsilon", 1e-3)
    if not layer.settings.flag("rms_scaling", False):
        attributes = LayerNormAttributes(axes, epsilon)
        return layer.emit("layer_norm", x, scale, offset, attributes=attributes)
    # Keras divides by the deviation from the mean here too, though it leaves the mean in.
    over = ReduceAttributes(axes, True)
    centred = layer.emit("sub", x, layer.emit("mean", x, attributes=over))
    variance = layer.emit("mean", layer.emit("square", centred), attributes=over)
    factor = layer.emit("rsqrt", layer.emit("add", variance, layer.number(epsilon)))
    return layer.emit("mul", layer.emit("mul", x, factor), scale)


def unit_norm(layer: Layer, x: Value, axes: tuple[int, ...]) -> Value:
    """X over its Euclidean length along some dimensions."""
    from budget.ops.normalization import L2NormAttributes
    from budget.ops.reduction import ReduceAttributes

    if axes == (len(layer.c.shape(x)) - 1,):
        return layer.emit("l2_norm", x, attributes=L2NormAttributes(1e-6))
    square = layer.emit("square", x)
    total = layer.emit("sum", square, attributes=ReduceAttributes(axes, True))
    return layer.emit(
        "mul", x, layer.emit("rsqrt", layer.emit("maximum", total, layer.number(1e-12)))
    )


def _unit_norm(layer: Layer) -> Value:
    axes = layer.settings.axes("axis", -1, len(layer.shape))
    return unit_norm(layer, layer.real(), axes)


def _numbers(layer: Layer, key: str, default: float) -> Any:
    """A number or a list of numbers, as an array of float32."""
    value = layer.settings.config.get(key, default)
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        value = value["config"].get("value")
    array = np.asarray(value) if isinstance(value, int | float | list | tuple) else None
    if array is None or array.dtype.kind not in "fiu" or array.ndim > len(layer.shape):
        raise layer.settings.bad(f"{key} is {str(value)[:60]!r}, not numbers")
    return array.astype(np.float32)


def _rescaling(layer: Layer) -> Value:
    scale, offset = _numbers(layer, "scale", 1.0), _numbers(layer, "offset", 0.0)
    y = layer.emit("mul", layer.real(), scale) if np.any(scale != 1.0) else layer.real()
    return layer.emit("add", y, offset) if np.any(offset) else y


def _normalization(layer: Layer) -> Value:
    """(x - mean)/max(√variance, 1e-7), or the way back."""
    if layer.settings.has("mean"):
        mean, variance = _numbers(layer, "mean", 0.0), _numbers(layer, "variance", 1.0)
    else:
        axis = layer.settings.config.get("axis", -1)
        axes = () if axis is None else layer.settings.axes("axis", -1, len(layer.shape))
        along = tuple(n if i in axes else 1 for i, n in enumerate(layer.shape))
        mean, variance = (np.asarray(value).reshape(along) for value in layer.inputs[1:3])
    deviation = np.maximum(np.sqrt(variance), np.float32(1e-7)).astype(np.float32)
    if layer.settings.flag("invert", False):
        return layer.emit("add", layer.emit("mul", layer.real(), deviation), mean)
    centred = layer.emit("sub", layer.real(), mean)
    return layer.emit("mul", centred, (1 / deviation).astype(np.float32))


# --- attention ------------------------------------------------------------------------------------
def _attention(layer: Layer) -> Value:
    """softmax(q·kᵀ/√depth)·v for several heads, between four dense layers."""
    from budget.ops.matmul import BatchMatmulAttributes

    count = len(layer.inputs) - 8
    query, value = layer.real(layer.inputs[0]), layer.real(layer.inputs[1])
    key = layer.real(layer.inputs[2]) if count > 2 else value
    heads = layer.settings.integer("num_heads")
    depth = layer.settings.integer("key_dim")
    q = _heads(layer, query, count, heads)
    k = _heads(layer, key, count + 2, heads)
    v = _heads(layer, value, count + 4, heads)
    q = layer.emit("mul", q, layer.number(1 / math.sqrt(depth)))
    scores = layer.emit("batch_matmul", q, k, attributes=BatchMatmulAttributes(adj_y=True))
    mixed: Value = layer.emit("batch_matmul", layer.emit("softmax", scores), v)
    mixed = layer.c.permute(layer.node, mixed, (0, 2, 1, 3))
    shape = layer.c.shape(mixed)
    mixed = layer.reshape(mixed, (*shape[:2], shape[2] * shape[3]))
    kernel = layer.weight(count + 6, lambda w: w.reshape(-1, w.shape[-1]).T)
    return _project(layer, mixed, kernel, layer.weight(count + 7))


def _heads(layer: Layer, x: Value, index: int, heads: int) -> Value:
    """A projection, split as [n][heads][length][depth]."""
    kernel = layer.weight(index, lambda w: w.reshape(w.shape[0], -1).T)
    bias = layer.weight(index + 1, np.ravel)
    y = _project(layer, x, kernel, bias)
    batch, length, width = layer.c.shape(y)
    y = layer.reshape(y, (batch, length, heads, width // heads))
    return layer.c.permute(layer.node, y, (0, 2, 1, 3))


def _project(layer: Layer, x: Value, kernel: str | None, bias: str | None) -> Value:
    from budget.ops.fully_connected import FullyConnectedAttributes

    attributes = FullyConnectedAttributes(keep_dimensions=True)
    return layer.emit("fully_connected", x, kernel, bias, attributes=attributes)


def _both(name: str, handler: Handler) -> dict[str, Handler]:
    return {f"{name}1D": handler, f"{name}2D": handler}


HANDLERS: dict[str, Handler] = {
    "Dense": _dense,
    **_both("Conv", _convolution),
    **_both("DepthwiseConv", _depthwise),
    **_both("SeparableConv", _separable),
    "Conv1DTranspose": _transposed,
    "Conv2DTranspose": _transposed,
    **_both("MaxPooling", _pool("max_pool_2d")),
    **_both("AveragePooling", _pool("average_pool_2d")),
    **_both("GlobalMaxPooling", _global_pool("reduce_max")),
    **_both("GlobalAveragePooling", _global_pool("mean")),
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "UnitNormalization": _unit_norm,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "MultiHeadAttention": _attention,
}
"""How each layer of this family becomes canonical operators."""
