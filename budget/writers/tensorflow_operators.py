"""Canonical operators as TensorFlow's, in the layout NHWC; see `Translation`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import TYPES_BY_DTYPE
from budget.graph.graph import ABSENT, Node
from budget.writers.tensorflow_graph import Translation
from budget.writers.tensorflow_products import (
    INT,
    NHWC,
    Rule,
    activated,
    conv,
    fully_connected,
    pool,
    transpose_conv,
)


def _plain(op: str, **attributes: Any) -> Rule:
    """All operands in order, a fused activation behind."""

    def rule(t: Translation, node: Node) -> None:
        activated(t, node, op, [t.ref(name) for name in node.present_inputs], attributes)

    return rule


def _with_constants(op: str, *parts: Callable[[Any], Any], **attributes: Any) -> Rule:
    """Operands, then integers made of the attributes."""

    def rule(t: Translation, node: Node) -> None:
        made = [t.constant(node, f"operand{i}", part(node.attributes))
                for i, part in enumerate(parts)]  # fmt: skip
        activated(t, node, op, [*map(t.ref, node.present_inputs), *made], attributes)

    return rule


def _reduction(op: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        axes = t.constant(node, "axes", node.attributes.axes)
        more = {"Tidx": INT, "keep_dims": bool(node.attributes.keep_dims)}
        t.emit(node, op, [t.ref(node.inputs[0]), axes], more)

    return rule


def _softmax(t: Translation, node: Node) -> None:
    x, beta = t.ref(node.inputs[0]), node.attributes.beta
    if beta != 1:
        x = t.emit(node, "Mul", [x, t.constant(node, "beta", beta, np.float32)], part="scaled")
    t.emit(node, "Softmax", [x])


def _batch_norm(t: Translation, node: Node) -> None:
    x, scale, offset, mean, variance = node.inputs
    count = t.type(x).shape[-1]
    given = [
        t.ref(name) if name != ABSENT else t.constant(node, part, np.full(count, value), np.float32)
        for name, part, value in ((scale, "scale", 1), (offset, "offset", 0))
    ]
    operands = [*given, t.ref(mean), t.ref(variance)]
    epsilon = float(node.attributes.epsilon)
    if len(t.type(x).shape) == 4:
        more = {"U": DataType.FLOAT, "epsilon": epsilon, "is_training": False, **NHWC}
        t.emit(node, "FusedBatchNormV3", [t.ref(x), *operands], more)
        return
    raised = t.emit(node, "AddV2", [operands[3], t.constant(node, "epsilon", epsilon, np.float32)],
                    part="raised")  # fmt: skip
    root = t.emit(node, "Rsqrt", [raised], part="root")
    factor = t.emit(node, "Mul", [root, operands[0]], part="factor")
    moved = t.emit(node, "Mul", [operands[2], factor], part="moved")
    shift = t.emit(node, "Sub", [operands[1], moved], part="shift")
    t.emit(node, "AddV2", [t.emit(node, "Mul", [t.ref(x), factor], part="scaled"), shift])


def _layer_norm(t: Translation, node: Node) -> None:
    x, a = t.ref(node.inputs[0]), node.attributes
    axes = t.constant(node, "axes", a.axes)
    kept = {"Tidx": INT, "keep_dims": True}
    mean = t.emit(node, "Mean", [x, axes], kept, part="mean")
    squares = t.emit(node, "SquaredDifference", [x, mean], part="squares")
    variance = t.emit(node, "Mean", [squares, axes], kept, part="variance")
    epsilon = t.constant(node, "epsilon", a.epsilon, np.float32)
    root = t.emit(node, "Rsqrt", [t.emit(node, "AddV2", [variance, epsilon], part="raised")],
                  part="root")  # fmt: skip
    centred = t.emit(node, "Sub", [x, mean], part="centred")
    steps = [("Mul", root)]
    for index, op in ((1, "Mul"), (2, "AddV2")):
        if len(node.inputs) > index and node.inputs[index] != ABSENT:
            steps.append((op, t.ref(node.inputs[index])))
    name = centred
    for index, (op, operand) in enumerate(steps):
        last = index == len(steps) - 1
        name = t.emit(node, op, [name, operand], part="" if last else f"step{index}")


def _l2_norm(t: Translation, node: Node) -> None:
    x = t.ref(node.inputs[0])
    axis = t.constant(node, "axis", [len(t.type(node.inputs[0]).shape) - 1])
    squares = t.emit(node, "Square", [x], part="squares")
    total = t.emit(node, "Sum", [squares, axis], {"Tidx": INT, "keep_dims": True}, part="total")
    length = t.emit(node, "Sqrt", [total], part="length")
    least = t.constant(node, "least", node.attributes.epsilon, np.float32)
    t.emit(node, "RealDiv", [x, t.emit(node, "Maximum", [length, least], part="divisor")])


def _hard_swish(t: Translation, node: Node) -> None:
    x = t.ref(node.inputs[0])
    three, sixth = (t.constant(node, part, value, np.float32)
                    for part, value in (("three", 3), ("sixth", 1 / 6)))  # fmt: skip
    bounded = t.emit(node, "Relu6", [t.emit(node, "AddV2", [x, three], part="raised")],
                     part="bounded")  # fmt: skip
    t.emit(node, "Mul", [x, t.emit(node, "Mul", [bounded, sixth], part="gate")])


def _gelu(t: Translation, node: Node) -> None:
    x = t.ref(node.inputs[0])

    def number(part: str, value: float) -> str:
        return t.constant(node, part, value, np.float32)

    inner = x
    if node.attributes.approximate:
        square = t.emit(node, "Square", [x], part="square")
        cube = t.emit(node, "Mul", [square, x], part="cube")
        small = t.emit(node, "Mul", [cube, number("share", 0.044715)], part="small")
        inner = t.emit(node, "AddV2", [x, small], part="inner")
    factor = math.sqrt(2 / math.pi) if node.attributes.approximate else math.sqrt(0.5)
    scaled = t.emit(node, "Mul", [inner, number("factor", factor)], part="scaled")
    curve = t.emit(node, "Tanh" if node.attributes.approximate else "Erf", [scaled], part="curve")
    raised = t.emit(node, "AddV2", [curve, number("one", 1)], part="raised")
    half = t.emit(node, "Mul", [x, number("half", 0.5)], part="half_x")
    t.emit(node, "Mul", [half, raised])


def _prelu(t: Translation, node: Node) -> None:
    x, alpha = map(t.ref, node.inputs)
    negative = t.emit(node, "Neg", [t.emit(node, "Relu", [t.emit(node, "Neg", [x], part="neg")],
                                           part="below")], part="negative")  # fmt: skip
    scaled = t.emit(node, "Mul", [alpha, negative], part="scaled")
    t.emit(node, "AddV2", [t.emit(node, "Relu", [x], part="positive"), scaled])


def _relu_n1_to_1(t: Translation, node: Node) -> None:
    one, low = (t.constant(node, part, value, np.float32)
                for part, value in (("one", 1), ("minus_one", -1)))  # fmt: skip
    upper = t.emit(node, "Minimum", [t.ref(node.inputs[0]), one], part="bounded")
    t.emit(node, "Maximum", [upper, low])


def _concat(t: Translation, node: Node) -> None:
    axis = t.constant(node, "axis", node.attributes.axis)
    more = {"N": len(node.inputs), "Tidx": INT}
    activated(t, node, "ConcatV2", [*map(t.ref, node.inputs), axis], more)


def _split(t: Translation, node: Node) -> None:
    sizes = t.constant(node, "sizes", node.attributes.sizes)
    axis = t.constant(node, "axis", node.attributes.axis)
    more = {"num_split": len(node.outputs), "Tlen": INT}
    t.emit(node, "SplitV", [t.ref(node.inputs[0]), sizes, axis], more)


def _pack(t: Translation, node: Node) -> None:
    more = {"N": len(node.inputs), "axis": node.attributes.axis}
    t.emit(node, "Pack", map(t.ref, node.inputs), more)


def _unpack(t: Translation, node: Node) -> None:
    more = {"num": len(node.outputs), "axis": node.attributes.axis}
    t.emit(node, "Unpack", map(t.ref, node.inputs), more)


def _pad(t: Translation, node: Node) -> None:
    pairs = t.constant(node, "paddings", node.attributes.paddings)
    value = t.constant(node, "value", node.attributes.value, t.type(node.inputs[0]).dtype.numpy)
    t.emit(node, "PadV2", [t.ref(node.inputs[0]), pairs, value], {"Tpaddings": INT})


def _mirror_pad(t: Translation, node: Node) -> None:
    pairs = t.constant(node, "paddings", node.attributes.paddings)
    mode = node.attributes.mode.value.upper().encode()
    t.emit(node, "MirrorPad", [t.ref(node.inputs[0]), pairs], {"Tpaddings": INT, "mode": mode})


def _strided_slice(t: Translation, node: Node) -> None:
    a = node.attributes
    # an end of -1 means "down to the first", which TensorFlow says by a bit
    mask = sum(1 << axis for axis, end in enumerate(a.end) if end < 0)
    given = (("begin", a.begin), ("end", a.end), ("stride", a.stride))
    parts = [t.constant(node, part, values) for part, values in given]
    more = {"Index": INT, "begin_mask": 0, "end_mask": mask, "ellipsis_mask": 0,
            "new_axis_mask": 0, "shrink_axis_mask": 0}  # fmt: skip
    t.emit(node, "StridedSlice", [t.ref(node.inputs[0]), *parts], more)


def _arg(op: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        kinds = {"int32": DataType.INT32, "int64": DataType.INT64}
        more = {"Tidx": INT, "output_type": kinds[node.attributes.dtype.value]}
        axis = t.constant(node, "axis", node.attributes.axis)
        t.emit(node, op, [t.ref(node.inputs[0]), axis], more)

    return rule


def _gather(t: Translation, node: Node) -> None:
    a = node.attributes
    types = [t.type(name).dtype.value for name in node.inputs]
    more = {"T": None, "Tparams": t.kind(node), "Taxis": INT, "batch_dims": a.batch_dims,
            "Tindices": DataType.INT64 if types[1] == "int64" else INT}  # fmt: skip
    axis = t.constant(node, "axis", a.axis)
    t.emit(node, "GatherV2", [*map(t.ref, node.inputs), axis], more)


def _batch_matmul(t: Translation, node: Node) -> None:
    more = {"adj_x": node.attributes.adj_x, "adj_y": node.attributes.adj_y}
    t.emit(node, "BatchMatMulV2", map(t.ref, node.inputs), more)


def _leaky_relu(t: Translation, node: Node) -> None:
    t.emit(node, "LeakyRelu", [t.ref(node.inputs[0])], {"alpha": float(node.attributes.alpha)})


def _cast(t: Translation, node: Node) -> None:
    more = {"T": None, "SrcT": t.kind(node),
            "DstT": TYPES_BY_DTYPE[t.type(node.outputs[0]).dtype]}  # fmt: skip
    t.emit(node, "Cast", [t.ref(node.inputs[0])], more)


def _select(t: Translation, node: Node) -> None:
    kind = TYPES_BY_DTYPE[t.type(node.outputs[0]).dtype]
    t.emit(node, "SelectV2", map(t.ref, node.inputs), {"T": kind})


def _resize(op: str) -> Rule:
    def rule(t: Translation, node: Node) -> None:
        a = node.attributes
        size = t.constant(node, "size", a.size)
        more = {"align_corners": a.align_corners, "half_pixel_centers": a.half_pixel_centers}
        t.emit(node, op, [t.ref(node.inputs[0]), size], more)

    return rule


RULES: dict[str, Rule] = {
    "conv_2d": conv,
    "depthwise_conv_2d": conv,
    "transpose_conv_2d": transpose_conv,
    "fully_connected": fully_connected,
    "batch_matmul": _batch_matmul,
    "average_pool_2d": pool("AvgPool"),
    "max_pool_2d": pool("MaxPool"),
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "l2_norm": _l2_norm,
    "arg_max": _arg("ArgMax"),
    "arg_min": _arg("ArgMin"),
    "gather": _gather,
    "add": _plain("AddV2"),
    "sub": _plain("Sub"),
    "mul": _plain("Mul"),
    "div": _plain("RealDiv"),
    "maximum": _plain("Maximum"),
    "minimum": _plain("Minimum"),
    "pow": _plain("Pow"),
    "squared_difference": _plain("SquaredDifference"),
    "greater": _plain("Greater"),
    "greater_equal": _plain("GreaterEqual"),
    "less": _plain("Less"),
    "less_equal": _plain("LessEqual"),
    "equal": _plain("Equal"),
    "not_equal": _plain("NotEqual"),
    "select": _select,
    "exp": _plain("Exp"),
    "log": _plain("Log"),
    "sqrt": _plain("Sqrt"),
    "rsqrt": _plain("Rsqrt"),
    "square": _plain("Square"),
    "abs": _plain("Abs"),
    "neg": _plain("Neg"),
    "floor": _plain("Floor"),
    "relu": _plain("Relu"),
    "relu6": _plain("Relu6"),
    "relu_n1_to_1": _relu_n1_to_1,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "hard_swish": _hard_swish,
    "elu": _plain("Elu"),
    "gelu": _gelu,
    "logistic": _plain("Sigmoid"),
    "tanh": _plain("Tanh"),
    "softmax": _softmax,
    "log_softmax": _plain("LogSoftmax"),
    "mean": _reduction("Mean"),
    "sum": _reduction("Sum"),
    "reduce_max": _reduction("Max"),
    "reduce_min": _reduction("Min"),
    "reshape": _with_constants("Reshape", lambda a: a.shape, Tshape=INT),
    "transpose": _with_constants("Transpose", lambda a: a.perm, Tperm=INT),
    "slice": _with_constants("Slice", lambda a: a.begin, lambda a: a.size, Index=INT),
    "strided_slice": _strided_slice,
    "pad": _pad,
    "mirror_pad": _mirror_pad,
    "concat": _concat,
    "split": _split,
    "pack": _pack,
    "unpack": _unpack,
    "resize_nearest": _resize("ResizeNearestNeighbor"),
    "resize_bilinear": _resize("ResizeBilinear"),
    "cast": _cast,
}
"""Canonical operator → how it is written. Recurrent and integer operators have no rule."""
