"""Canonical operators as TensorFlow Lite's: which builtin, which options, which operands.

A *rule* takes the translation of a graph and one node, and emits operators; what it cannot express
it reports through `Translation.refuse`, so that everything wrong with a graph is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from budget.formats.tflite_geometry import same_padding
from budget.graph import ABSENT, DType, Node, QuantParams
from budget.ops.operator import Activation, Padding
from budget.writers.tflite_translation import Rule, Translation


def _activation(value: Activation) -> str:
    return value.value.upper()


def _window(
    t: Translation, node: Node, window: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> tuple[str, str]:
    """(first input, padding mode) of a windowed operator; emits a PAD where neither mode fits."""
    x, padding = node.inputs[0], node.attributes.padding
    type = t.type(x)
    if padding == Padding():
        return x, "VALID"
    image = (type.shape[1], type.shape[2])
    if padding == Padding(*same_padding(image, window, node.attributes.stride, dilation)):
        return x, "SAME"
    if node.op in ("average_pool_2d", "l2_pool_2d"):
        t.refuse(node, "its padding is neither SAME nor VALID, and padding may not count here")
        return x, "VALID"
    around = ((0, 0), (padding.top, padding.bottom), (padding.left, padding.right), (0, 0))
    shape = tuple(extent + a + b for extent, (a, b) in zip(type.shape, around))
    padded = t.temporary(f"{node.outputs[0]}/padded", type.with_shape(shape))
    paddings = t.integers(node, "paddings", around)
    if node.op == "max_pool_2d":
        lowest = np.finfo if type.dtype.is_float else np.iinfo
        value = np.array(lowest(type.dtype.value).min, type.dtype.numpy)
        filler = t.constant(f"{node.outputs[0]}/filler", value, type.quant)
        t.emit("PADV2", (x, paddings, filler), (padded,), "PadV2Options")
    else:
        t.emit("PAD", (x, paddings), (padded,), "PadOptions")
    return padded, "VALID"


def _bias(t: Translation, node: Node) -> tuple[str, ...]:
    """The bias as zero or one operands; convolutions refuse to run without one."""
    if len(node.inputs) > 2 and node.inputs[2] != ABSENT:
        return (node.inputs[2],)
    x, weights = t.type(node.inputs[0]), t.type(node.inputs[1])
    if x.quant is None or weights.quant is None or not x.dtype.is_integer:
        channels = t.type(node.outputs[0]).shape[-1]
        return (t.constant(f"{node.outputs[0]}/bias", np.zeros(channels, x.dtype.numpy)),)
    scale = x.quant.scale[0] * weights.quant.scale
    quant = QuantParams(scale, np.zeros(scale.shape, np.int64), None if len(scale) == 1 else 0)
    dtype = np.int64 if x.dtype is DType.INT16 else np.int32
    channels = t.type(node.outputs[0]).shape[-1]
    return (t.constant(f"{node.outputs[0]}/bias", np.zeros(channels, dtype), quant),)


def _bias_type(t: Translation, node: Node) -> dict[str, str]:
    """The option by which kernels for 16-bit activations learn that the bias has 32 bits."""
    has_bias = len(node.inputs) > 2 and node.inputs[2] != ABSENT
    if not has_bias or t.type(node.inputs[0]).dtype is not DType.INT16:
        return {}
    if t.type(node.inputs[2]).dtype is not DType.INT32:
        return {}
    return {"quantized_bias_type": DType.INT32.value}


def _convolution(t: Translation, node: Node) -> None:
    a = node.attributes
    weights = t.type(node.inputs[1]).shape
    x, padding = _window(t, node, (weights[1], weights[2]), a.dilation)
    options = {
        "padding": padding,
        "stride_h": a.stride[0],
        "stride_w": a.stride[1],
        "dilation_h_factor": a.dilation[0],
        "dilation_w_factor": a.dilation[1],
        "fused_activation_function": _activation(a.activation),
    }
    inputs = (x, node.inputs[1], *_bias(t, node))
    if node.op == "conv_2d":
        options.update(_bias_type(t, node))
        t.emit("CONV_2D", inputs, node.outputs, "Conv2DOptions", **options)
        return
    options["depth_multiplier"] = weights[3] // t.type(node.inputs[0]).shape[3]
    t.emit("DEPTHWISE_CONV_2D", inputs, node.outputs, "DepthwiseConv2DOptions", **options)


def _transpose_convolution(t: Translation, node: Node) -> None:
    a = node.attributes
    out = t.type(node.outputs[0]).shape
    weights = t.type(node.inputs[1]).shape
    same = Padding(*same_padding((out[1], out[2]), (weights[1], weights[2]), a.stride))
    x_shape = t.type(node.inputs[0]).shape
    # the padding of the convolution whose gradient this is
    if a.padding == same and all(-(-out[d] // a.stride[d - 1]) == x_shape[d] for d in (1, 2)):
        padding = "SAME"
    elif a.padding == Padding():
        padding = "VALID"
    else:
        t.refuse(node, f"its padding {a.padding} is neither SAME nor VALID")
        return
    shape = t.integers(node, "output_shape", out)
    bias = tuple(name for name in node.inputs[2:3] if name != ABSENT)
    t.emit(
        "TRANSPOSE_CONV",
        (shape, node.inputs[1], node.inputs[0], *bias),
        node.outputs,
        "TransposeConvOptions",
        **_bias_type(t, node),
        padding=padding,
        stride_h=a.stride[0],
        stride_w=a.stride[1],
        fused_activation_function=_activation(a.activation),
    )


def _fully_connected(t: Translation, node: Node) -> None:
    inputs = node.inputs if len(node.inputs) > 2 else (*node.inputs, ABSENT)
    t.emit(
        "FULLY_CONNECTED",
        inputs,
        node.outputs,
        "FullyConnectedOptions",
        **_bias_type(t, node),
        fused_activation_function=_activation(node.attributes.activation),
        keep_num_dims=node.attributes.keep_dimensions,
    )


def _pool(builtin: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        a = node.attributes
        x, padding = _window(t, node, a.filter)
        t.emit(
            builtin,
            (x,),
            node.outputs,
            "Pool2DOptions",
            padding=padding,
            stride_h=a.stride[0],
            stride_w=a.stride[1],
            filter_height=a.filter[0],
            filter_width=a.filter[1],
            fused_activation_function=_activation(a.activation),
        )

    return rule


def _arithmetic(builtin: str, table: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        options = {"fused_activation_function": _activation(node.attributes.activation)}
        if builtin in ("ADD", "SUB"):
            options["pot_scale_int16"] = node.attributes.pot_scale_int16
        t.emit(builtin, node.inputs, node.outputs, table, **options)

    return rule


def _plain(builtin: str, table: str = "", **renamed: str) -> Rule:
    """Operands as they are; options from attributes, as option name = attribute name."""

    def rule(t: Translation, node: Node) -> None:
        options = {option: getattr(node.attributes, name) for option, name in renamed.items()}
        values = {k: v.value if isinstance(v, DType) else v for k, v in options.items()}
        t.emit(builtin, node.inputs, node.outputs, table, **values)

    return rule


def _reduce(builtin: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        axes = t.integers(node, "axes", node.attributes.axes)
        keep = node.attributes.keep_dims
        t.emit(builtin, (node.inputs[0], axes), node.outputs, "ReducerOptions", keep_dims=keep)

    return rule


def _arg(builtin: str, table: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        axis = t.integers(node, "axis", node.attributes.axis)
        output_type = node.attributes.dtype.value
        t.emit(builtin, (node.inputs[0], axis), node.outputs, table, output_type=output_type)

    return rule


def _l2_norm(t: Translation, node: Node) -> None:
    if node.attributes.epsilon != 1e-6:
        t.refuse(node, f"its epsilon is {node.attributes.epsilon}, the format fixes 1e-06")
    t.emit("L2_NORMALIZATION", node.inputs, node.outputs, "L2NormOptions")


def _reshape(t: Translation, node: Node) -> None:
    shape = node.attributes.shape
    inputs = (node.inputs[0], t.integers(node, "shape", shape))
    t.emit("RESHAPE", inputs, node.outputs, "ReshapeOptions", new_shape=shape)


def _transpose(t: Translation, node: Node) -> None:
    perm = t.integers(node, "perm", node.attributes.perm)
    t.emit("TRANSPOSE", (node.inputs[0], perm), node.outputs, "TransposeOptions")


def _concat(t: Translation, node: Node) -> None:
    a = node.attributes
    activation = _activation(a.activation)
    table = "ConcatenationOptions"
    t.emit(
        "CONCATENATION",
        node.inputs,
        node.outputs,
        table,
        axis=a.axis,
        fused_activation_function=activation,
    )


def _split(t: Translation, node: Node) -> None:
    sizes, x = node.attributes.sizes, node.inputs[0]
    axis = t.integers(node, "axis", node.attributes.axis)
    count = len(sizes)
    if len(set(sizes)) == 1:
        t.emit("SPLIT", (axis, x), node.outputs, "SplitOptions", num_splits=count)
    else:
        inputs = (x, t.integers(node, "sizes", sizes), axis)
        t.emit("SPLIT_V", inputs, node.outputs, "SplitVOptions", num_splits=count)


def _slice(t: Translation, node: Node) -> None:
    begin = t.integers(node, "begin", node.attributes.begin)
    size = t.integers(node, "size", node.attributes.size)
    t.emit("SLICE", (node.inputs[0], begin, size), node.outputs, "SliceOptions")


def _strided_slice(t: Translation, node: Node) -> None:
    a = node.attributes
    end_mask = sum(1 << d for d, end in enumerate(a.end) if end < 0)  # runs to index 0
    operands = (
        t.integers(node, "begin", a.begin),
        t.integers(node, "end", [max(end, 0) for end in a.end]),
        t.integers(node, "strides", a.stride),
    )
    inputs = (node.inputs[0], *operands)
    t.emit("STRIDED_SLICE", inputs, node.outputs, "StridedSliceOptions", end_mask=end_mask)


def _pad(t: Translation, node: Node) -> None:
    x, a = node.inputs[0], node.attributes
    paddings = t.integers(node, "paddings", a.paddings)
    if a.value == 0:
        t.emit("PAD", (x, paddings), node.outputs, "PadOptions")
        return
    type = t.type(x)
    value = np.array(a.value, np.float32)
    if type.quant is not None and type.dtype.is_integer:
        info = np.iinfo(type.dtype.value)
        stored = round(float(a.value) / float(type.quant.scale[0])) + int(type.quant.zero_point[0])
        value = np.array(np.clip(stored, info.min, info.max), type.dtype.numpy)
    filler = t.constant(f"{node.outputs[0]}/filler", value.astype(type.dtype.numpy), type.quant)
    t.emit("PADV2", (x, paddings, filler), node.outputs, "PadV2Options")


def _mirror_pad(t: Translation, node: Node) -> None:
    paddings = t.integers(node, "paddings", node.attributes.paddings)
    mode = node.attributes.mode.value.upper()
    t.emit("MIRROR_PAD", (node.inputs[0], paddings), node.outputs, "MirrorPadOptions", mode=mode)


def _pack(t: Translation, node: Node) -> None:
    count, axis = len(node.inputs), node.attributes.axis
    t.emit("PACK", node.inputs, node.outputs, "PackOptions", values_count=count, axis=axis)


def _unpack(t: Translation, node: Node) -> None:
    count, axis = len(node.outputs), node.attributes.axis
    t.emit("UNPACK", node.inputs, node.outputs, "UnpackOptions", num=count, axis=axis)


def _resize(builtin: str, table: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        a = node.attributes
        size = t.integers(node, "size", a.size)
        t.emit(
            builtin,
            (node.inputs[0], size),
            node.outputs,
            table,
            align_corners=a.align_corners,
            half_pixel_centers=a.half_pixel_centers,
        )

    return rule


def _cast(t: Translation, node: Node) -> None:
    source, target = t.type(node.inputs[0]).dtype.value, t.type(node.outputs[0]).dtype.value
    table = "CastOptions"
    t.emit("CAST", node.inputs, node.outputs, table, in_data_type=source, out_data_type=target)


RULES: Mapping[str, Rule] = {
    "conv_2d": _convolution,
    "depthwise_conv_2d": _convolution,
    "transpose_conv_2d": _transpose_convolution,
    "fully_connected": _fully_connected,
    "batch_matmul": _plain("BATCH_MATMUL", "BatchMatMulOptions", adj_x="adj_x", adj_y="adj_y"),
    "average_pool_2d": _pool("AVERAGE_POOL_2D"),
    "max_pool_2d": _pool("MAX_POOL_2D"),
    "l2_pool_2d": _pool("L2_POOL_2D"),
    "l2_norm": _l2_norm,
    "arg_max": _arg("ARG_MAX", "ArgMaxOptions"),
    "arg_min": _arg("ARG_MIN", "ArgMinOptions"),
    "gather": _plain("GATHER", "GatherOptions", axis="axis", batch_dims="batch_dims"),
    "add": _arithmetic("ADD", "AddOptions"),
    "sub": _arithmetic("SUB", "SubOptions"),
    "mul": _arithmetic("MUL", "MulOptions"),
    "div": _arithmetic("DIV", "DivOptions"),
    "maximum": _plain("MAXIMUM", "MaximumMinimumOptions"),
    "minimum": _plain("MINIMUM", "MaximumMinimumOptions"),
    "pow": _plain("POW", "PowOptions"),
    "squared_difference": _plain("SQUARED_DIFFERENCE", "SquaredDifferenceOptions"),
    "greater": _plain("GREATER", "GreaterOptions"),
    "greater_equal": _plain("GREATER_EQUAL", "GreaterEqualOptions"),
    "less": _plain("LESS", "LessOptions"),
    "less_equal": _plain("LESS_EQUAL", "LessEqualOptions"),
    "equal": _plain("EQUAL", "EqualOptions"),
    "not_equal": _plain("NOT_EQUAL", "NotEqualOptions"),
    "select": _plain("SELECT_V2", "SelectV2Options"),
    "exp": _plain("EXP", "ExpOptions"),
    "log": _plain("LOG"),
    "sqrt": _plain("SQRT"),
    "rsqrt": _plain("RSQRT"),
    "square": _plain("SQUARE", "SquareOptions"),
    "abs": _plain("ABS", "AbsOptions"),
    "neg": _plain("NEG", "NegOptions"),
    "floor": _plain("FLOOR"),
    "relu": _plain("RELU"),
    "relu6": _plain("RELU6"),
    "relu_n1_to_1": _plain("RELU_N1_TO_1"),
    "leaky_relu": _plain("LEAKY_RELU", "LeakyReluOptions", alpha="alpha"),
    "prelu": _plain("PRELU"),
    "logistic": _plain("LOGISTIC"),
    "tanh": _plain("TANH"),
    "hard_swish": _plain("HARD_SWISH", "HardSwishOptions"),
    "elu": _plain("ELU"),
    "gelu": _plain("GELU", "GeluOptions", approximate="approximate"),
    "softmax": _plain("SOFTMAX", "SoftmaxOptions", beta="beta"),
    "log_softmax": _plain("LOG_SOFTMAX", "LogSoftmaxOptions"),
    "mean": _reduce("MEAN"),
    "sum": _reduce("SUM"),
    "reduce_max": _reduce("REDUCE_MAX"),
    "reduce_min": _reduce("REDUCE_MIN"),
    "reshape": _reshape,
    "transpose": _transpose,
    "concat": _concat,
    "split": _split,
    "slice": _slice,
    "strided_slice": _strided_slice,
    "pad": _pad,
    "mirror_pad": _mirror_pad,
    "pack": _pack,
    "unpack": _unpack,
    "resize_nearest": _resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    "resize_bilinear": _resize("RESIZE_BILINEAR", "ResizeBilinearOptions"),
    "quantize": _plain("QUANTIZE", "QuantizeOptions"),
    "requantize": _plain("QUANTIZE", "QuantizeOptions"),
    "dequantize": _plain("DEQUANTIZE", "DequantizeOptions"),
    "cast": _cast,
}
