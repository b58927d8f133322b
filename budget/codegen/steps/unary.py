"""Functions of one number, applied to every element."""

from __future__ import annotations

from typing import Any

import numpy as np

from budget.codegen.c import C_TYPES, float_bounds, literal
from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.loops import assignments, walk
from budget.graph import DType
from budget.ops import Activation, Operator, QuantizedCall, registry
from budget.ops.fixed_point import activation_bounds, quantize_multiplier, storage_range
from budget.ops.quantized import per_tensor
from budget.ops.sigmoid import table_units

_REAL = {
    "exp": "expf({0})",
    "log": "logf({0})",
    "sqrt": "sqrtf({0})",
    "rsqrt": "1.0f / sqrtf({0})",
    "square": "{0} * {0}",
    "abs": "fabsf({0})",
    "neg": "-{0}",
    "floor": "floorf({0})",
    "logistic": "logistic_f32({0})",
    "tanh": "tanhf({0})",
    "hard_swish": "{0} * clamp_f32({0} + 3.0f, 0.0f, 6.0f) / 6.0f",
    "elu": "{0} < 0.0f ? expm1f({0}) : {0}",
}
_BOUNDS = {
    "relu": Activation.RELU,
    "relu6": Activation.RELU6,
    "relu_n1_to_1": Activation.RELU_N1_TO_1,
}


def write_unary(context: StepContext) -> StepCode:
    """8 bits: a table of 256 results; 16 bits: straight lines; float: an expression."""
    x, y = context.type(0), context.output_type()
    match x.dtype:
        case DType.FLOAT32:
            own = {"logistic": "logistic_f32.h", "gelu": "gelu_f32.h"}
            return write_elements(context, _real(context), own.get(context.step.node.op, "real.h"))
        case DType.INT8 if x.is_quantized and y.dtype is DType.INT8:
            return write_table(context)
        case DType.INT16 if x.is_quantized and y.dtype is DType.INT16:
            return _write_16_bits(context)
    raise context.refuse(f"{x.dtype.value} cannot be emitted here")


def write_elements(context: StepContext, text: str, *kernels: str) -> StepCode:
    """A loop that gives each element the value of an expression in ``{0}``."""
    count = context.output_type().element_count
    value = assignments(lambda elements: text.format(*elements))
    return context.code(kernels, *walk([count], [context.operand(0), "y0"], [[1], [1]], value))


def write_table(context: StepContext) -> StepCode:
    """The operator's own integer meaning, computed here for all 256 numbers."""
    count = context.output_type().element_count
    table = context.table(
        "table", C_TYPES[context.output_type().dtype], all_results(context), "result by input"
    )
    return context.call("table_s8.h", "table_s8", context.operand(0), "y0", count, table)


def all_results(context: StepContext) -> Any:
    """What the operator makes of each 8-bit number, that of -128 first."""
    x, y = context.type(0).with_shape((256,)), context.output_type().with_shape((256,))
    stored = np.arange(-128, 128).astype(np.int8)
    call = QuantizedCall((x,), (y,), context.options.rounding)
    operator = registry.get(context.step.node.op)
    if operator.__class__.run_quantized is Operator.run_quantized:
        raise context.refuse(f"there is no integer arithmetic for {x.dtype.value}")
    return operator.run_quantized(context.attributes, [stored], call)[0]


def _real(context: StepContext) -> str:
    op, attributes = context.step.node.op, context.attributes
    if op in _BOUNDS:
        return f"clamp_f32({{0}}, {', '.join(float_bounds(_BOUNDS[op]))})"
    if op == "leaky_relu":
        return f"{{0}} > 0.0f ? {{0}} : {{0}} * {literal(attributes.alpha, 'float')}"
    if op == "gelu":
        return "gelu_by_tanh_f32({0})" if attributes.approximate else "gelu_f32({0})"
    return _REAL[op]


def _write_16_bits(context: StepContext) -> StepCode:
    op = context.step.node.op
    if op in ("logistic", "tanh"):
        return _write_interpolated(context)
    x, y = per_tensor(context.type(0)), per_tensor(context.output_type())
    low, high = storage_range(DType.INT16)
    above = below = float(x.scale32 / y.scale32)
    if op in _BOUNDS:
        low, high = activation_bounds(_BOUNDS[op], context.output_type())
    elif op == "leaky_relu":
        below = float(x.scale32 * np.float32(context.attributes.alpha) / y.scale32)
    elif op == "abs":
        below = -above
    else:
        raise context.refuse("there is no such function of 16-bit numbers in TensorFlow Lite")
    numbers = [
        context.output_type().element_count,
        x.zero_point,
        *quantize_multiplier(above),
        *_signed(below),
        y.zero_point,
        low,
        high,
    ]
    return context.call("slopes_s16.h", "slopes_s16", context.operand(0), "y0", *numbers)


def _signed(real: float) -> tuple[int, int]:
    q, shift = quantize_multiplier(abs(real))
    return (q if real >= 0 else -q), shift


def _write_interpolated(context: StepContext) -> StepCode:
    multiplier, right = table_units(per_tensor(context.type(0)).scale)
    if multiplier > 32767:
        raise context.refuse("its scale is too large for 32-bit arithmetic")
    name = f"{context.step.node.op}_s16"
    return context.call(
        "sigmoid_s16.h",
        name,
        context.operand(0),
        "y0",
        context.output_type().element_count,
        multiplier,
        right,
    )
