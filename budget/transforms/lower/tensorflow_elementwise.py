"""TensorFlow's element-wise operators, reductions and soft-maxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import DTYPES
from budget.graph.graph import Node
from budget.graph.types import DType
from budget.transforms.lower.tensorflow_context import (
    Context,
    Handler,
    Lowered,
    Value,
    attribute,
    axis_of,
)

_DIRECT = {
    "Add": "add", "AddV2": "add", "Sub": "sub", "Mul": "mul", "RealDiv": "div", "Div": "div",
    "Maximum": "maximum", "Minimum": "minimum", "Pow": "pow",
    "SquaredDifference": "squared_difference", "Greater": "greater",
    "GreaterEqual": "greater_equal", "Less": "less", "LessEqual": "less_equal", "Equal": "equal",
    "NotEqual": "not_equal", "Select": "select", "SelectV2": "select", "Exp": "exp", "Log": "log",
    "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Square": "square", "Abs": "abs", "Neg": "neg",
    "Floor": "floor", "Relu": "relu", "Relu6": "relu6", "Elu": "elu", "Sigmoid": "logistic",
    "Tanh": "tanh", "LogSoftmax": "log_softmax", "Softmax": "softmax",
}  # fmt: skip


def product(c: Context, node: Node) -> Lowered:
    """Mul; a factor of one, such as the slope that exporters give swish, is left out."""
    a, b = c.inputs(node)
    for value, factor in ((a, b), (b, a)):
        is_one = isinstance(factor, np.ndarray) and factor.size == 1 and bool(factor == 1)
        is_known = isinstance(value, str) and value in c.values
        if is_one and is_known and np.ndim(factor) <= len(c.shape(value)):
            return value
    return c.emit(node, "mul", [a, b])


def direct(op: str) -> Handler:
    """An operator with a canonical counterpart and no attributes of its own."""
    return lambda c, node: c.emit(node, op, c.inputs(node))


def _number(c: Context, value: Value, number: float) -> Value:
    return np.array(number, c.type(value).dtype.numpy)


def add_n(c: Context, node: Node) -> Lowered:
    """AddN as a chain of additions."""
    first, *others = c.inputs(node)
    for other in others:
        first = c.emit_one(node, "add", [first, other])
    return first


def leaky_relu(c: Context, node: Node) -> Lowered:
    """Slope ``alpha`` for negative arguments."""
    from budget.ops.activations import LeakyReluAttributes

    alpha = float(attribute(node, "alpha", 0.2))
    return c.emit(node, "leaky_relu", c.inputs(node), LeakyReluAttributes(alpha))


def gelu(c: Context, node: Node) -> Lowered:
    """The function that `tensorflow_patterns` found."""
    from budget.ops.activations import GeluAttributes

    return c.emit(node, "gelu", c.inputs(node), GeluAttributes(node.attributes["approximate"]))


def selu(c: Context, node: Node) -> Lowered:
    """λ·max(x, 0) + λα·(exp(min(x, 0)) - 1); Klambauer et al., 2017."""
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    (x,) = c.inputs(node)
    zero = _number(c, x, 0)
    above = c.emit_one(node, "mul", [c.emit_one(node, "maximum", [x, zero]), _number(c, x, scale)])
    power = c.emit_one(node, "exp", [c.emit_one(node, "minimum", [x, zero])])
    below = c.emit_one(node, "sub", [power, _number(c, x, 1)])
    below = c.emit_one(node, "mul", [below, _number(c, x, scale * alpha)])
    return c.emit(node, "add", [above, below])


def softplus(c: Context, node: Node) -> Lowered:
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    (x,) = c.inputs(node)
    power = c.emit_one(node, "exp", [c.emit_one(node, "neg", [c.emit_one(node, "abs", [x])])])
    logarithm = c.emit_one(node, "log", [c.emit_one(node, "add", [power, _number(c, x, 1)])])
    return c.emit(node, "add", [c.emit_one(node, "maximum", [x, _number(c, x, 0)]), logarithm])


def softsign(c: Context, node: Node) -> Lowered:
    """X / (1 + |x|)."""
    (x,) = c.inputs(node)
    below = c.emit_one(node, "add", [c.emit_one(node, "abs", [x]), _number(c, x, 1)])
    return c.emit(node, "div", [x, below])


def reciprocal(c: Context, node: Node) -> Lowered:
    """1 / x."""
    (x,) = c.inputs(node)
    return c.emit(node, "div", [_number(c, x, 1), x])


def clip(c: Context, node: Node) -> Lowered:
    """ClipByValue."""
    x, low, high = c.inputs(node)
    return c.emit(node, "maximum", [c.emit_one(node, "minimum", [x, high]), low])


def div_no_nan(c: Context, node: Node) -> Lowered:
    """Division by a constant without zeros is plain division."""
    x, y = c.inputs(node)
    if not isinstance(y, np.ndarray) or not np.all(np.asarray(y) != 0):
        raise c.unsupported(node, "the divisor may be zero during inference")
    return c.emit(node, "div", [x, y])


def reduce(op: str) -> Handler:
    """Mean, Sum, Max, Min over constant axes."""

    def lower(c: Context, node: Node) -> Lowered:
        from budget.ops.reduction import ReduceAttributes

        x = c.values[node.inputs[0]]
        rank = len(c.shape(x))
        axes = tuple(sorted({axis_of(axis, rank) for axis in c.integers(node, 1)}))
        if not axes:
            return x
        return c.emit(node, op, [x], ReduceAttributes(axes, bool(attribute(node, "keep_dims", 0))))

    return lower


def arg(op: str) -> Handler:
    """ArgMax and ArgMin."""

    def lower(c: Context, node: Node) -> Lowered:
        from budget.ops.indexing import ArgAttributes

        x = c.values[node.inputs[0]]
        axis = c.integers(node, 1)[0] if len(node.inputs) > 1 else 0
        dtype = DTYPES[attribute(node, "output_type", DataType.INT64)]
        attributes = ArgAttributes(axis_of(axis, len(c.shape(x))), dtype)
        return c.emit(node, op, [x], attributes)

    return lower


def cast(c: Context, node: Node) -> Lowered:
    """A cast to the type a value has already is nothing."""
    from budget.ops.quantization import ConversionAttributes

    (x,) = c.inputs(node)
    dtype = DTYPES.get(attribute(node, "DstT", DataType.FLOAT), DType.VARIANT)
    if c.type(x).dtype is dtype:
        return x
    return c.emit(node, "cast", [x], ConversionAttributes(dtype))


HANDLERS: dict[str, Any] = {
    **{name: direct(op) for name, op in _DIRECT.items()},
    "Mul": product,
    "AddN": add_n,
    "LeakyRelu": leaky_relu,
    "Gelu": gelu,
    "Selu": selu,
    "Softplus": softplus,
    "Softsign": softsign,
    "Reciprocal": reciprocal,
    "Inv": reciprocal,
    "ClipByValue": clip,
    "DivNoNan": div_no_nan,
    "Mean": reduce("mean"),
    "Sum": reduce("sum"),
    "Max": reduce("reduce_max"),
    "Min": reduce("reduce_min"),
    "ArgMax": arg("arg_max"),
    "ArgMin": arg("arg_min"),
    "Cast": cast,
}
