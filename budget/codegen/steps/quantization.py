"""Between real numbers, quantised integers and plain numbers of other types."""

from __future__ import annotations

import numpy as np

from budget.codegen.c import C_TYPES, literal
from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.unary import write_elements, write_table
from budget.graph import DType, TensorType
from budget.ops.fixed_point import quantize_multiplier, storage_range
from budget.ops.quantized import per_tensor

_QUANTIZED = (DType.INT8, DType.INT16)


def write_quantize(context: StepContext) -> StepCode:
    """Stored numbers: round(x / scale) + zero point."""
    y = context.output_type()
    if context.type(0).dtype is not DType.FLOAT32 or not _is_simple(y):
        raise context.refuse(f"{context.type(0).dtype.value} to {y.dtype.value} cannot be emitted")
    quant = per_tensor(y)
    # the cast is for compilers on which roundf is another name of round
    real = f"(float)roundf({{0}} / {literal(quant.scale, 'float')}) + {_real(quant.zero_point)}"
    return write_elements(context, _to_integer(real, y.dtype), "real.h")


def write_dequantize(context: StepContext) -> StepCode:
    """Real numbers: scale · (stored - zero point), exact in float but for the last rounding."""
    x = context.type(0)
    if not _is_simple(x):
        raise context.refuse(f"{x.dtype.value} cannot be emitted here")
    quant = per_tensor(x)
    difference = f"(float)({{0}} - ({quant.zero_point}))"
    return write_elements(context, f"{difference} * {literal(quant.scale, 'float')}")


def write_requantize(context: StepContext) -> StepCode:
    """Another scale, zero point or width."""
    x_type, y_type = context.type(0), context.output_type()
    if not _is_simple(x_type) or not _is_simple(y_type):
        both = f"{x_type.dtype.value} to {y_type.dtype.value}"
        raise context.refuse(f"{both} cannot be emitted")
    if x_type.dtype is y_type.dtype is DType.INT8:
        return write_table(context)
    x, y = per_tensor(x_type), per_tensor(y_type)
    q, shift = quantize_multiplier(x.scale / y.scale)
    operands = [context.operand(0), "y0", y_type.element_count, x.zero_point]
    if x_type.dtype is y_type.dtype:
        numbers = [q, shift, q, shift, y.zero_point, *storage_range(y_type.dtype)]
        return context.call("slopes_s16.h", "slopes_s16", *operands, *numbers)
    name = "requantize_s8_s16" if x_type.dtype is DType.INT8 else "requantize_s16_s8"
    return context.call("requantize.h", name, *operands, q, shift, y.zero_point)


def write_cast(context: StepContext) -> StepCode:
    """As C converts numbers; floats beyond the target's range become its ends."""
    x, y = context.type(0), context.output_type()
    if y.dtype is DType.BOOL:
        return write_elements(context, "(uint8_t)({0} != 0)")
    if x.dtype is DType.FLOAT32 and not y.dtype.is_float:
        return write_elements(context, _to_integer("{0}", y.dtype), "real.h")
    return write_elements(context, f"({C_TYPES[y.dtype]}){{0}}")


def _is_simple(type: TensorType) -> bool:
    return type.dtype in _QUANTIZED and type.quant is not None and len(type.quant.scale) == 1


def _to_integer(real: str, dtype: DType) -> str:
    low, high = (np.float32(bound) for bound in storage_range(dtype))
    if int(high) > storage_range(dtype)[1]:
        high = np.nextafter(high, np.float32(0))
    return f"({C_TYPES[dtype]})to_range_f32({real}, {_real(low)}, {_real(high)})"


def _real(value: float | np.float32) -> str:
    text = literal(float(value), "float")
    return f"({text})" if value < 0 else text
