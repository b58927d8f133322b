"""What canonical operators mean in TensorFlow, on floats and on batches, so that it can be trained.

Every function takes the node's attributes and its operands and returns its outputs. The first
dimension of what depends on the input may be a whole batch where the graph says 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from budget.tf import recurrent

Meaning = Callable[[Any, Sequence[Any]], Any]


def active(activation: str, x: Any) -> Any:
    """A fused activation: ``none``, ``relu``, ``relu6`` or ``relu_n1_to_1``."""
    if activation == "relu":
        return tf.nn.relu(x)
    if activation == "relu6":
        return tf.clip_by_value(x, 0.0, 6.0)
    return tf.clip_by_value(x, -1.0, 1.0) if activation == "relu_n1_to_1" else x


def _padded(x: Any, padding: Any, value: float = 0.0) -> Any:
    around = [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]
    if not any(map(any, around)):
        return x
    return tf.pad(x, around, constant_values=value)


def _finished(attributes: Any, y: Any, operands: Sequence[Any]) -> Any:
    """The bias, then the activation."""
    if len(operands) > 2 and operands[2] is not None:
        y = y + tf.reshape(operands[2], [-1])
    return active(attributes.activation, y)


def _convolution(attributes: Any, operands: Sequence[Any]) -> Any:
    x, weights = _padded(operands[0], attributes.padding), operands[1]
    out, rows, columns, depth = weights.shape
    groups = x.shape[3] // depth
    strides = [1, *attributes.stride, 1]
    dilations = [1, *attributes.dilation, 1]
    if rows == columns == 1 and attributes.stride == (1, 1) and groups == 1:
        # a matrix product is several times faster, backwards above all
        flat = tf.matmul(tf.reshape(x, [-1, depth]), tf.reshape(weights, [out, depth]),
                         transpose_b=True)  # fmt: skip
        y = tf.reshape(flat, [-1, x.shape[1], x.shape[2], out])
        return _finished(attributes, y, operands)
    filters = tf.split(tf.transpose(weights, [1, 2, 3, 0]), groups, axis=3)
    parts = [
        tf.nn.conv2d(part, taps, strides, "VALID", dilations=dilations)
        for part, taps in zip(tf.split(x, groups, axis=3), filters, strict=True)
    ]
    return _finished(attributes, parts[0] if groups == 1 else tf.concat(parts, 3), operands)


def _depthwise(attributes: Any, operands: Sequence[Any]) -> Any:
    x, weights = _padded(operands[0], attributes.padding), operands[1]
    _, rows, columns, out = weights.shape
    if attributes.stride[0] == attributes.stride[1] and attributes.dilation == (1, 1):
        filters = tf.reshape(weights, [rows, columns, x.shape[3], out // x.shape[3]])
        y = tf.nn.depthwise_conv2d(x, filters, [1, *attributes.stride, 1], "VALID")
    else:
        y = _depthwise_by_taps(attributes, x, weights)
    return _finished(attributes, y, operands)


def _depthwise_by_taps(attributes: Any, x: Any, weights: Any) -> Any:
    """Sums shifted images: TensorFlow's own has no gradient for uneven strides."""
    _, rows, columns, out = weights.shape
    (down, right), (apart, beside) = attributes.stride, attributes.dilation
    if out != x.shape[3]:
        x = tf.repeat(x, out // x.shape[3], axis=3)
    height = (x.shape[1] - (rows - 1) * apart - 1) // down + 1
    width = (x.shape[2] - (columns - 1) * beside - 1) // right + 1
    y = None
    for row in range(rows):
        for column in range(columns):
            top, left = row * apart, column * beside
            seen = x[
                :,
                top : top + (height - 1) * down + 1 : down,
                left : left + (width - 1) * right + 1 : right,
            ]
            product = seen * weights[0, row, column]
            y = product if y is None else y + product
    return y


def _transpose_convolution(attributes: Any, operands: Sequence[Any]) -> Any:
    x, weights = operands[0], operands[1]
    out, rows, columns, _ = weights.shape
    (down, right), padding = attributes.stride, attributes.padding
    height, width = attributes.output_size
    full = ((x.shape[1] - 1) * down + rows, (x.shape[2] - 1) * right + columns)
    y = tf.nn.conv2d_transpose(
        x,
        tf.transpose(weights, [1, 2, 0, 3]),
        tf.stack([tf.shape(x)[0], *full, out]),
        [1, down, right, 1],
        "VALID",
    )
    y = tf.ensure_shape(y, [None, *full, out])
    missing = (padding.top + height - full[0], padding.left + width - full[1])
    y = tf.pad(y, [[0, 0], [0, max(missing[0], 0)], [0, max(missing[1], 0)], [0, 0]])
    y = y[:, padding.top : padding.top + height, padding.left : padding.left + width]
    return _finished(attributes, y, operands)


def _fully_connected(attributes: Any, operands: Sequence[Any]) -> Any:
    x, weights = operands[0], operands[1]
    out, depth = weights.shape
    y = tf.matmul(tf.reshape(x, [-1, depth]), weights, transpose_b=True)
    if attributes.keep_dimensions:
        y = tf.reshape(y, [-1, *x.shape[1:-1], out])
    return _finished(attributes, y, operands)


def _counts(attributes: Any, shape: Sequence[int]) -> Any:
    """Taps on the image for each place of a window, [rows][columns]."""
    counts: list[list[float]] = []
    ends = (
        (attributes.padding.top, attributes.padding.bottom),
        (attributes.padding.left, attributes.padding.right),
    )
    for axis, (before, after) in enumerate(ends):
        extent, taps, stride = shape[axis + 1], attributes.filter[axis], attributes.stride[axis]
        inside = np.pad(np.ones(extent), (before, after))
        places = (len(inside) - taps) // stride + 1
        counts.append([inside[p * stride : p * stride + taps].sum() for p in range(places)])
    return np.multiply.outer(np.array(counts[0]), np.array(counts[1])).astype(np.float32)


def _window_mean(attributes: Any, x: Any) -> Any:
    pad, taps = attributes.padding, attributes.filter[0] * attributes.filter[1]
    means = tf.nn.avg_pool2d(_padded(x, pad), attributes.filter, attributes.stride, "VALID")
    if not (pad.top or pad.bottom or pad.left or pad.right):
        return means
    return means * (taps / _counts(attributes, x.shape))[None, :, :, None]


def _max_pool(attributes: Any, operands: Sequence[Any]) -> Any:
    x = _padded(operands[0], attributes.padding, float(np.finfo(np.float32).min))
    y = tf.nn.max_pool2d(x, attributes.filter, attributes.stride, "VALID")
    return active(attributes.activation, y)


def _batch_norm(attributes: Any, operands: Sequence[Any]) -> Any:
    x, scale, offset, mean, variance = operands
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, attributes.epsilon)


def _layer_norm(attributes: Any, operands: Sequence[Any]) -> Any:
    x, scale, offset = (*operands, None, None)[:3]
    mean, variance = tf.nn.moments(x, attributes.axes, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, attributes.epsilon)


def _l2_norm(attributes: Any, operands: Sequence[Any]) -> Any:
    x = operands[0]
    squares = tf.reduce_sum(tf.square(x), -1, keepdims=True)
    return x * tf.math.rsqrt(tf.maximum(squares, attributes.epsilon**2))


def _reshape(attributes: Any, operands: Sequence[Any]) -> Any:
    shape = attributes.shape
    return tf.reshape(operands[0], [-1, *shape[1:]] if shape and shape[0] == 1 else shape)


def _slice(attributes: Any, operands: Sequence[Any]) -> Any:
    x = operands[0]
    box = [
        slice(begin, None if size == -1 else begin + size)
        for begin, size in zip(attributes.begin, attributes.size, strict=True)
    ]
    return x[_whole_batch(box)]


def _strided_slice(attributes: Any, operands: Sequence[Any]) -> Any:
    """Ends that run out at the front, as Python writes them, are None."""
    box = [
        slice(begin, None if stride < 0 and end < 0 else end, stride)
        for begin, end, stride in zip(
            attributes.begin, attributes.end, attributes.stride, strict=True
        )
    ]
    return operands[0][_whole_batch(box)]


def _whole_batch(box: list[slice]) -> tuple[slice, ...]:
    """An index that takes the first and only example takes all of a batch."""
    return (slice(None), *box[1:]) if box and box[0].start in {0, None} else tuple(box)


def _pad(attributes: Any, operands: Sequence[Any]) -> Any:
    return tf.pad(operands[0], attributes.paddings, constant_values=attributes.value)


def _resize(operation: Any) -> Meaning:
    def meaning(attributes: Any, operands: Sequence[Any]) -> Any:
        return operation(
            images=operands[0],
            size=list(attributes.size),
            align_corners=attributes.align_corners,
            half_pixel_centers=attributes.half_pixel_centers,
        )

    return meaning


def _gather(attributes: Any, operands: Sequence[Any]) -> Any:
    x, indices = operands
    return tf.gather(x, indices, axis=attributes.axis, batch_dims=attributes.batch_dims)


def _matmul(attributes: Any, operands: Sequence[Any]) -> Any:
    x, y = operands
    return tf.matmul(x, y, transpose_a=attributes.adj_x, transpose_b=attributes.adj_y)


def _unary(function: Callable[[Any], Any]) -> Meaning:
    return lambda attributes, operands: function(operands[0])


def _binary(function: Callable[[Any, Any], Any]) -> Meaning:
    """A function of two operands; an activation may be fused behind it."""

    def meaning(attributes: Any, operands: Sequence[Any]) -> Any:
        y = function(operands[0], operands[1])
        return active(getattr(attributes, "activation", "none"), y)

    return meaning


def _reduction(function: Any) -> Meaning:
    return lambda attributes, operands: function(
        operands[0], attributes.axes, keepdims=attributes.keep_dims
    )


def _arg(function: Any) -> Meaning:
    return lambda attributes, operands: function(
        operands[0], attributes.axis, output_type=attributes.dtype.value
    )


MEANINGS: dict[str, Meaning] = {
    "conv_2d": _convolution,
    "depthwise_conv_2d": _depthwise,
    "transpose_conv_2d": _transpose_convolution,
    "fully_connected": _fully_connected,
    "batch_matmul": _matmul,
    "average_pool_2d": lambda a, o: active(a.activation, _window_mean(a, o[0])),
    "max_pool_2d": _max_pool,
    "l2_pool_2d": lambda a, o: active(
        a.activation, tf.sqrt(_window_mean(a, tf.square(o[0])) + 1e-20)
    ),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "l2_norm": _l2_norm,
    "arg_max": _arg(tf.argmax),
    "arg_min": _arg(tf.argmin),
    "gather": _gather,
    "add": _binary(tf.add),
    "sub": _binary(tf.subtract),
    "mul": _binary(tf.multiply),
    "div": _binary(tf.divide),
    "maximum": _binary(tf.maximum),
    "minimum": _binary(tf.minimum),
    "pow": _binary(tf.pow),
    "squared_difference": _binary(tf.math.squared_difference),
    "greater": _binary(tf.greater),
    "greater_equal": _binary(tf.greater_equal),
    "less": _binary(tf.less),
    "less_equal": _binary(tf.less_equal),
    "equal": _binary(tf.equal),
    "not_equal": _binary(tf.not_equal),
    "select": lambda a, o: tf.where(o[0], o[1], o[2]),
    "exp": _unary(tf.exp),
    "log": _unary(tf.math.log),
    "sqrt": _unary(tf.sqrt),
    "rsqrt": _unary(tf.math.rsqrt),
    "square": _unary(tf.square),
    "abs": _unary(tf.abs),
    "neg": _unary(tf.negative),
    "floor": _unary(tf.floor),
    "relu": _unary(tf.nn.relu),
    "relu6": _unary(lambda x: active("relu6", x)),
    "relu_n1_to_1": _unary(lambda x: active("relu_n1_to_1", x)),
    "leaky_relu": lambda a, o: tf.where(o[0] > 0, o[0], o[0] * a.alpha),
    "prelu": lambda a, o: tf.where(o[0] >= 0, o[0], o[0] * o[1]),
    "hard_swish": _unary(lambda x: x * tf.clip_by_value(x + 3.0, 0.0, 6.0) / 6.0),
    "elu": _unary(tf.nn.elu),
    "gelu": lambda a, o: tf.nn.gelu(o[0], approximate=a.approximate),
    "logistic": _unary(tf.sigmoid),
    "tanh": _unary(tf.tanh),
    "softmax": lambda a, o: tf.nn.softmax(o[0] * a.beta),
    "log_softmax": _unary(tf.nn.log_softmax),
    "mean": _reduction(tf.reduce_mean),
    "sum": _reduction(tf.reduce_sum),
    "reduce_max": _reduction(tf.reduce_max),
    "reduce_min": _reduction(tf.reduce_min),
    "reshape": _reshape,
    "transpose": lambda a, o: tf.transpose(o[0], a.perm),
    "slice": _slice,
    "strided_slice": _strided_slice,
    "pad": _pad,
    "mirror_pad": lambda a, o: tf.pad(o[0], a.paddings, mode=str(a.mode).upper()),
    "concat": lambda a, o: active(a.activation, tf.concat(list(o), a.axis)),
    "split": lambda a, o: tf.split(o[0], a.sizes, a.axis),
    "pack": lambda a, o: tf.stack(list(o), a.axis),
    "unpack": lambda a, o: tf.unstack(o[0], axis=a.axis),
    "resize_nearest": _resize(tf.raw_ops.ResizeNearestNeighbor),
    "resize_bilinear": _resize(tf.raw_ops.ResizeBilinear),
    "simple_rnn": recurrent.layer(recurrent.simple_step, 1, 1),
    "gru": recurrent.layer(recurrent.gru_step, 2, 1),
    "lstm": recurrent.layer(recurrent.lstm_step, 1, 2),
    "cast": lambda a, o: tf.cast(o[0], a.dtype.value),
}
"""By canonical name; operators that only exist on integers are not among them."""

LISTED = frozenset({"split", "unpack", "simple_rnn", "gru", "lstm"})
"""Those whose function returns a list of outputs."""

TRAINED: dict[str, tuple[int, ...]] = {
    "conv_2d": (1, 2),
    "depthwise_conv_2d": (1, 2),
    "transpose_conv_2d": (1, 2),
    "fully_connected": (1, 2),
    "batch_matmul": (0, 1),
    "batch_norm": (1, 2),
    "layer_norm": (1, 2),
    "simple_rnn": (1, 2, 3),
    "gru": (1, 2, 3, 4),
    "lstm": (1, 2, 3),
    "prelu": (1,),
    "gather": (0,),
    "add": (0, 1),
    "mul": (0, 1),
}
"""Which constant operands training may change."""
