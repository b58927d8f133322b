"""Rules of the dialect ``tfl`` for layers, pooling, reduction, resizing and conversion."""

from __future__ import annotations

from budget.formats.tflite_geometry import same_padding
from budget.graph import ABSENT, DType, Node, TensorType
from budget.ops.operator import Activation, Padding
from budget.transforms.lower.tflite import Lowering, Refused, Rule
from budget.transforms.lower.tflite_elementwise import activation_of, check_operands
from budget.transforms.lower.tflite_folding import real_values

_NORM_EPSILON = 1e-6  # L2Normalization in tensorflow/lite/kernels/l2norm.cc
_MAX_EXTENT = 1 << 20  # rows, columns or taps; larger ones are nonsense and cost time to refuse


def _steps(node: Node, what: str, default: int = 0) -> tuple[int, int]:
    """(rows, columns) of an option that the file holds twice.

    Raises:
        Refused: one of them is not positive, or far larger than any image.
    """
    names = {
        "stride": ("stride_h", "stride_w"),
        "dilation": ("dilation_h_factor", "dilation_w_factor"),
        "filter": ("filter_height", "filter_width"),
    }[what]
    rows, columns = (int(node.attributes.get(name, default)) for name in names)
    if not (1 <= rows <= _MAX_EXTENT and 1 <= columns <= _MAX_EXTENT):
        raise Refused(f"its {what} is {rows} x {columns}")
    return rows, columns


def _padding(
    node: Node,
    image: tuple[int, ...],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Padding:
    if len(image) != 4 or max(image) > _MAX_EXTENT or max(window) > _MAX_EXTENT:
        raise Refused(f"it needs an image in four dimensions, not {list(image)}")
    mode = node.attributes.get("padding")
    if mode == "VALID":
        return Padding()
    if mode != "SAME":
        raise Refused(f"its padding mode is {mode}")
    return Padding(*same_padding((image[1], image[2]), window, stride, dilation))


def _real_weights(lowering: Lowering, node: Node, inputs: tuple[str, ...]) -> tuple[str, ...]:
    """Operands of a layer on real numbers; weights stored in 8 bits are widened."""
    x, w = lowering.tensors[inputs[0]], lowering.tensors[inputs[1]]
    if not x.type.dtype.is_float or not w.type.is_quantized:
        return inputs
    if w.data is None or w.type.quant is None:
        raise Refused("it multiplies real numbers by quantised ones that are computed")
    lowering.note(
        "weights stored in 8 bits meet activations in floating point: they are taken as float32 "
        "(the host's runtime would round such activations to 8 bits on the fly)"
    )
    real = real_values(w.data, w.type.quant)
    type = TensorType(tuple(real.shape), DType.FLOAT32)
    name = lowering.add_tensor(f"{inputs[1]}/float32", type, real)
    return (inputs[0], name, *inputs[2:])


def _convolution(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2, 3)
    inputs = _real_weights(lowering, node, node.inputs)
    x, w = lowering.type(inputs[0]).shape, lowering.type(inputs[1]).shape
    if len(w) != 4:
        raise Refused(f"its weights have shape {list(w)}")
    stride, dilation = _steps(node, "stride"), _steps(node, "dilation", 1)
    padding = _padding(node, x, (w[1], w[2]), stride, dilation)
    lowering.emit(
        node.op.removeprefix("tfl.").lower(),
        _with_bias(lowering, inputs),
        node.outputs,
        node,
        stride=stride,
        dilation=dilation,
        padding=padding,
        activation=activation_of(node),
    )


def _without_absent(inputs: tuple[str, ...]) -> tuple[str, ...]:
    return inputs[:-1] if inputs[-1] == ABSENT else inputs


def _with_bias(lowering: Lowering, inputs: tuple[str, ...]) -> tuple[str, ...]:
    """Operands without a bias that is left out, or is the zeros that converters fill in."""
    inputs = _without_absent(inputs)
    if len(inputs) < 3:
        return inputs
    bias = lowering.tensors[inputs[2]]
    is_zero = bias.data is not None and bias.type.dtype is DType.FLOAT32 and not bias.data.any()
    return inputs[:2] if is_zero else inputs


def _transpose_convolution(lowering: Lowering, node: Node) -> None:
    check_operands(node, 3, 4)
    _, weights, x, *bias = node.inputs
    inputs = _real_weights(lowering, node, (x, weights, *bias))
    w, out = lowering.type(weights).shape, lowering.type(node.outputs[0]).shape
    if len(w) != 4 or len(out) != 4 or len(lowering.type(x).shape) != 4:
        raise Refused("its operands do not have four dimensions")
    if lowering.tensors[node.inputs[0]].data is not None:
        stated = lowering.integers(node, 0, "output shape")
        if stated != out:
            raise Refused(f"its output shape is said to be {list(stated)} and {list(out)}")
    stride = _steps(node, "stride")
    padding = _padding(node, out, (w[1], w[2]), stride)
    lowering.emit(
        "transpose_conv_2d",
        _with_bias(lowering, inputs),
        node.outputs,
        node,
        output_size=(out[1], out[2]),
        stride=stride,
        padding=padding,
        activation=activation_of(node),
    )


def _fully_connected(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2, 3)
    if node.attributes.get("weights_format", "DEFAULT") != "DEFAULT":
        raise Refused("its weights are shuffled")
    if node.attributes.get("quant_spec"):
        raise Refused("its quantisation is described by a recipe of its own")
    inputs = _with_bias(lowering, _real_weights(lowering, node, node.inputs))
    keep = bool(node.attributes.get("keep_num_dims", False))
    lowering.emit(
        "fully_connected",
        inputs,
        node.outputs,
        node,
        activation=activation_of(node),
        keep_dimensions=keep,
    )


def _batch_matmul(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    inputs = _real_weights(lowering, node, node.inputs)
    a = node.attributes
    x, y = bool(a.get("adj_x", False)), bool(a.get("adj_y", False))
    lowering.emit("batch_matmul", inputs, node.outputs, node, adj_x=x, adj_y=y)


def _pool(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    window, stride = _steps(node, "filter"), _steps(node, "stride")
    padding = _padding(node, lowering.type(node.inputs[0]).shape, window, stride)
    lowering.emit(
        node.op.removeprefix("tfl.").lower(),
        node.inputs,
        node.outputs,
        node,
        filter=window,
        stride=stride,
        padding=padding,
        activation=activation_of(node),
    )


def _softmax(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    beta = float(node.attributes.get("beta", 0.0))
    lowering.emit("softmax", node.inputs, node.outputs, node, beta=beta)


def _reduce(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    rank = len(lowering.type(node.inputs[0]).shape)
    given = lowering.integers(node, 1, "list of dimensions")
    axes = tuple(sorted({lowering.axis(axis, rank) for axis in given}))
    keep = bool(node.attributes.get("keep_dims", False))
    op = node.op.removeprefix("tfl.").lower()
    lowering.emit(op, node.inputs[:1], node.outputs, node, axes=axes, keep_dims=keep)


def _resize(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    size = lowering.integers(node, 1, "size")
    if len(size) != 2:
        raise Refused(f"its size is {list(size)}")
    a = node.attributes
    lowering.emit(
        "resize_bilinear" if node.op == "tfl.RESIZE_BILINEAR" else "resize_nearest",
        node.inputs[:1],
        node.outputs,
        node,
        size=(size[0], size[1]),
        align_corners=bool(a.get("align_corners", False)),
        half_pixel_centers=bool(a.get("half_pixel_centers", False)),
    )


def _arg(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    axes = lowering.integers(node, 1, "dimension")
    if len(axes) != 1:
        raise Refused(f"it works on dimensions {list(axes)}")
    axis = lowering.axis(axes[0], len(lowering.type(node.inputs[0]).shape))
    dtype = lowering.type(node.outputs[0]).dtype
    op = node.op.removeprefix("tfl.").lower()
    lowering.emit(op, node.inputs[:1], node.outputs, node, axis=axis, dtype=dtype)


def _l2_norm(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    if activation_of(node) is not Activation.NONE:
        raise Refused("an activation is fused into it")
    lowering.emit("l2_norm", node.inputs, node.outputs, node, epsilon=_NORM_EPSILON)


def _quantize(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    source, target = lowering.type(node.inputs[0]), lowering.type(node.outputs[0])
    if not target.is_quantized or not (source.dtype.is_float or source.is_quantized):
        raise Refused("its operand or its result lacks quantisation")
    op = "quantize" if source.dtype.is_float else "requantize"
    lowering.emit(op, node.inputs, node.outputs, node, dtype=target.dtype)


def _dequantize(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    source, target = lowering.type(node.inputs[0]), lowering.type(node.outputs[0])
    if source.dtype.is_float:
        lowering.emit("cast", node.inputs, node.outputs, node, dtype=target.dtype)
        return
    if not source.is_quantized:
        raise Refused("its operand lacks quantisation")
    lowering.emit("dequantize", node.inputs, node.outputs, node)


def _densify(lowering: Lowering, node: Node) -> None:
    raise Refused("it unfolds a tensor that is computed")


RULES: dict[str, Rule] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "TRANSPOSE_CONV": _transpose_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "L2_POOL_2D": _pool,
    "SOFTMAX": _softmax,
    "MEAN": _reduce,
    "SUM": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "ARG_MAX": _arg,
    "ARG_MIN": _arg,
    "L2_NORMALIZATION": _l2_norm,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "DENSIFY": _densify,
}
