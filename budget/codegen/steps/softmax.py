"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np

from budget.codegen.c import literal
from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.graph import DType
from budget.ops import Rounding
from budget.ops.fixed_point import quantize_multiplier
from budget.ops.quantized import interpolation_table
from budget.ops.softmax import q5_multiplier


def write_softmax(context: StepContext) -> StepCode:
    """Along the last dimension."""
    suffix = context.suffix()
    beta = context.attributes.beta
    if suffix == "f32":
        return _call(context, "softmax", suffix, literal(beta, "float"))
    scale, _ = per_tensor(context.type(0))
    if suffix == "s8":
        return _call(context, "softmax", suffix, *q5_multiplier(beta, scale))
    is_tflm = context.options.rounding is Rounding.TFLM
    exponentials = interpolation_table(np.exp, -10.0, 0.0, in_float32=is_tflm)
    reciprocals = interpolation_table(lambda x: 1 / (1 + x), 0.0, 1.0, in_float32=is_tflm)
    return _call(
        context,
        "softmax",
        suffix,
        *quantize_multiplier(scale * beta / (10.0 / 65535.0)),
        context.table("exponentials", "int16_t", exponentials, "exp(x) for x from -10 to 0"),
        context.table("reciprocals", "int16_t", reciprocals, "1 / (1 + x) for x from 0 to 1"),
    )


def write_log_softmax(context: StepContext) -> StepCode:
    """Along the last dimension."""
    suffix = context.suffix(DType.INT8, DType.FLOAT32)
    if suffix == "f32":
        return _call(context, "log_softmax", suffix)
    scale, _ = per_tensor(context.type(0))
    q, shift, least = q5_multiplier(1.0, scale)
    reverse_q, reverse_shift = quantize_multiplier((1 << 31) / q)
    last = (reverse_q, reverse_shift - shift)
    return _call(context, "log_softmax", suffix, q, shift, least, *last)


def _call(context: StepContext, name: str, suffix: str, *numbers: Any) -> StepCode:
    x = context.type(0)
    depth = x.shape[-1]
    rows = x.element_count // max(depth, 1)
    function = f"{name}_{suffix}"
    return context.call(f"{function}.h", function, context.operand(0), "y0", rows, depth, *numbers)
