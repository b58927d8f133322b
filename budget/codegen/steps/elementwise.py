"""Arithmetic, comparison and choice on pairs of tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from budget.codegen.c import C_TYPES, float_bounds
from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.loops import Access, assignments, broadcast
from budget.graph import DType
from budget.ops import Activation
from budget.ops.fixed_point import activation_bounds, quantize_multiplier
from budget.ops.quantized import per_tensor

_REAL = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "pow": "powf({0}, {1})",
    "squared_difference": "({0} - {1}) * ({0} - {1})",
    "prelu": "{0} >= 0.0f ? {0} : {0} * {1}",
}
_WRAPPING = {"add": "+", "sub": "-", "mul": "*"}
_RELATIONS = {
    "greater": ">",
    "greater_equal": ">=",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "not_equal": "!=",
}


def write_arithmetic(context: StepContext) -> StepCode:
    """Sums, products and the like."""
    op = context.step.node.op
    type = context.type(0)
    if type.dtype is DType.FLOAT32:
        return _write_real(context, _REAL[op])
    if not type.is_quantized:
        return _write_plain(context)
    kernel, numbers = _QUANTIZED[op](context)

    def inner(extent: int, accesses: list[Access]) -> list[str]:
        a, b, y = accesses
        arguments = [a.pointer, b.pointer, y.pointer, extent, a.step, b.step, *numbers]
        return [f"{kernel}({', '.join(map(str, arguments))});"]

    return context.code(f"{kernel}.h", *broadcast(context, inner))


def write_extreme(context: StepContext) -> StepCode:
    """The larger or the smaller of two elements; stored numbers compare as the real ones do."""
    sign = ">" if context.step.node.op == "maximum" else "<"
    if context.type(0).dtype is DType.FLOAT32:
        # what is not a number stays so
        text = f"{{0}} {sign} {{1}} || {{0}} != {{0}} ? {{0}} : {{1}}"
    else:
        text = f"{{0}} {sign} {{1}} ? {{0}} : {{1}}"
    return _write(context, text)


def write_comparison(context: StepContext) -> StepCode:
    """A truth value for each pair."""
    sign = _RELATIONS[context.step.node.op]
    is_stored = context.type(0).dtype is DType.INT16 and sign not in ("==", "!=")
    if not context.type(0).is_quantized or is_stored:
        return _write(context, f"{{0}} {sign} {{1}}")
    sides = []
    for index in (0, 1):
        quant = per_tensor(context.type(index))
        q, shift = quantize_multiplier(quant.scale)
        difference = f"({{{index}}} - ({quant.zero_point})) * INT32_C(256)"
        sides.append(f"requantize_twice({difference}, {q}, {shift})")
    return _write(context, f"{sides[0]} {sign} {sides[1]}", "fixed_point.h")


def write_select(context: StepContext) -> StepCode:
    """One of two elements, by a condition."""
    return _write(context, "{0} ? {1} : {2}", operands=3)


def _write(context: StepContext, text: str, *kernels: str, operands: int = 2) -> StepCode:
    """Loops that give each element the value of an expression in ``{0}``, ``{1}`` …"""
    dtype = context.output_type().dtype
    if not dtype.is_float:
        text = f"({C_TYPES[dtype]})({text})"
    value = assignments(lambda elements: text.format(*elements))
    return context.code(kernels, *broadcast(context, value, operands))


def _write_real(context: StepContext, text: str) -> StepCode:
    activation = getattr(context.attributes, "activation", Activation.NONE)
    if activation is not Activation.NONE:
        text = f"clamp_f32({text}, {', '.join(float_bounds(activation))})"
    return _write(context, text, "real.h")


def _write_plain(context: StepContext) -> StepCode:
    """Integers that stand for themselves; they wrap around."""
    op, dtype = context.step.node.op, context.output_type().dtype
    activation = getattr(context.attributes, "activation", Activation.NONE)
    if op not in _WRAPPING or dtype not in (DType.INT32, DType.INT64):
        raise context.refuse(f"plain {dtype.value} cannot be emitted")
    if activation is not Activation.NONE:
        raise context.refuse(f"{activation.value} behind plain {dtype.value}")
    c_type = C_TYPES[dtype]
    return _write(context, f"(u{c_type}){{0}} {_WRAPPING[op]} (u{c_type}){{1}}")


Numbers = tuple[str, list[int]]


def _add(context: StepContext) -> Numbers:
    """Both operands at twice the larger scale."""
    a, b, y = (per_tensor(type) for type in _types(context))
    suffix = context.suffix(DType.INT8, DType.INT16)
    bounds = activation_bounds(context.attributes.activation, context.output_type())
    sign = 1 if context.step.node.op == "add" else -1
    if suffix == "s16" and context.attributes.pot_scale_int16:
        shifts = [round(np.log2(y.scale / operand.scale)) for operand in (a, b)]
        if not all(0 <= shift <= 31 for shift in shifts):
            raise context.refuse("operands with a larger scale than the result's")
        return "shifted_add_s16", [sign, *shifts, *bounds]
    left = 15 if suffix == "s16" else 20
    twice_max = 2.0 * max(a.scale, b.scale)
    return f"add_{suffix}", [
        sign,
        left,
        a.zero_point,
        *quantize_multiplier(a.scale / twice_max),
        b.zero_point,
        *quantize_multiplier(b.scale / twice_max),
        y.zero_point,
        *quantize_multiplier(twice_max / ((1 << left) * y.scale)),
        *bounds,
    ]


def _mul(context: StepContext) -> Numbers:
    a, b, y = (per_tensor(type) for type in _types(context))
    return f"mul_{context.suffix(DType.INT8, DType.INT16)}", [
        a.zero_point,
        b.zero_point,
        y.zero_point,
        *quantize_multiplier(float(a.scale32 * b.scale32 / y.scale32)),
        *activation_bounds(context.attributes.activation, context.output_type()),
    ]


def _div(context: StepContext) -> Numbers:
    a, b, y = (per_tensor(type) for type in _types(context))
    return f"div_{context.suffix(DType.INT8)}", [
        a.zero_point,
        b.zero_point,
        y.zero_point,
        *quantize_multiplier(float(a.scale32 / (b.scale32 * y.scale32))),
        *activation_bounds(context.attributes.activation, context.output_type()),
    ]


def _squared_difference(context: StepContext) -> Numbers:
    a, b, y = (per_tensor(type) for type in _types(context))
    twice_max = 2.0 * max(a.scale, b.scale)
    return f"squared_difference_{context.suffix(DType.INT8)}", [
        a.zero_point,
        *quantize_multiplier(a.scale / twice_max),
        b.zero_point,
        *quantize_multiplier(b.scale / twice_max),
        y.zero_point,
        *quantize_multiplier(twice_max * twice_max / ((1 << 14) * y.scale)),
    ]


def _prelu(context: StepContext) -> Numbers:
    x, slope, y = (per_tensor(type) for type in _types(context))
    return f"prelu_{context.suffix(DType.INT8)}", [
        x.zero_point,
        slope.zero_point,
        y.zero_point,
        *quantize_multiplier(float(x.scale32 / y.scale32)),
        *quantize_multiplier(float(x.scale32 * slope.scale32 / y.scale32)),
    ]


def _pow(context: StepContext) -> Numbers:
    raise context.refuse(f"there are no powers of quantised {context.type(0).dtype.value}")


def _types(context: StepContext) -> tuple[Any, Any, Any]:
    return context.type(0), context.type(1), context.output_type()


_QUANTIZED: dict[str, Callable[[StepContext], Numbers]] = {
    "add": _add,
    "sub": _add,
    "mul": _mul,
    "div": _div,
    "squared_difference": _squared_difference,
    "prelu": _prelu,
    "pow": _pow,
}
