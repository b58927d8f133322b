"""Fully connected layers."""

from __future__ import annotations

import numpy as np

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.graph import DType
from budget.ops import Rounding
from budget.ops.fixed_point import activation_bounds, quantize_multipliers


def write_fully_connected(context: StepContext) -> StepCode:
    """int8 layers; the input's zero point moves into the bias, which is exact."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    if x.dtype is not DType.INT8:
        raise context.refuse(f"{x.dtype.value} activations cannot be emitted")
    if w.quant is None:
        raise context.refuse("its weights are not quantised")
    in_scale, zero_in = per_tensor(x)
    out_scale, zero_out = per_tensor(y)
    out_c, depth = w.shape
    q, shift = quantize_multipliers(in_scale * w.quant.scale.astype(np.float64) / out_scale)
    weights = context.constant(1)
    zero_weight = int(w.quant.zero_point[0])
    bias = context.constant(2).astype(np.int64) if context.has(2) else np.zeros(out_c, np.int64)
    bias = bias - zero_in * (weights.astype(np.int64) - zero_weight).sum(1)
    low, high = activation_bounds(context.attributes.activation, y)
    arguments = [
        context.operand(0),
        "y0",
        context.table("weights", "int8_t", weights, "weights"),
        context.table("bias", "int32_t", bias, "bias, input zero point folded in"),
        context.table("multiplier", "int32_t", q, "multipliers"),
        context.table("shift", "int8_t", shift, "their shifts"),
        int(len(q) > 1),
        x.element_count // depth,
        depth,
        out_c,
        zero_weight,
        zero_out,
        low,
        high,
        int(context.options.rounding is Rounding.TFLITE),
    ]
    text = ", ".join(map(str, arguments))
    return context.code("fully_connected_s8.h", f"fully_connected_s8({text});")
