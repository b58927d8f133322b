"""Convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.graph import DType
from budget.ops.fixed_point import activation_bounds, quantize_multipliers


def write_conv_2d(context: StepContext) -> StepCode:
    """Dense and grouped convolutions."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    batch, in_h, in_w, in_c = x.shape
    _, out_h, out_w, out_c = y.shape
    attributes = context.attributes
    shape = [batch, in_h, in_w, in_c, out_h, out_w, out_c, *w.shape[1:3], in_c // w.shape[3]]
    arguments = [*_quantized(context, out_c), *shape, *_window(attributes), *_bounds(context)]
    return _call(context, "conv_2d", arguments)


def write_depthwise_conv_2d(context: StepContext) -> StepCode:
    """Depthwise convolutions."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    batch, in_h, in_w, in_c = x.shape
    _, out_h, out_w, out_c = y.shape
    shape = [batch, in_h, in_w, in_c, out_h, out_w, out_c // in_c, *w.shape[1:3]]
    arguments = [
        *_quantized(context, out_c),
        *shape,
        *_window(context.attributes),
        *_bounds(context),
    ]
    return _call(context, "depthwise_conv_2d", arguments)


def _call(context: StepContext, kernel: str, arguments: list[Any]) -> StepCode:
    name = f"{kernel}_s8"
    text = ", ".join(map(str, [context.operand(0), "y0", *arguments]))
    return context.code(f"{name}.h", f"{name}({text});")


def _quantized(context: StepContext, channels: int) -> list[str]:
    """Weights, bias, multipliers and shifts as tables; one multiplier for each channel."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    if x.dtype is not DType.INT8:
        raise context.refuse(f"{x.dtype.value} activations cannot be emitted")
    if w.quant is None:
        raise context.refuse("its weights are not quantised")
    in_scale, _ = per_tensor(x)
    out_scale, _ = per_tensor(y)
    real = in_scale * w.quant.scale.astype(np.float64) / out_scale
    q, shift = quantize_multipliers(np.broadcast_to(real, (channels,)))
    bias = context.constant(2) if context.has(2) else np.zeros(channels, np.int32)
    return [
        context.table("weights", "int8_t", context.constant(1), "weights"),
        context.table("bias", "int32_t", bias, "bias"),
        context.table("multiplier", "int32_t", q, "multipliers"),
        context.table("shift", "int8_t", shift, "their shifts"),
    ]


def _window(attributes: Any) -> list[int]:
    padding = attributes.padding
    return [*attributes.stride, *attributes.dilation, padding.top, padding.left]


def _bounds(context: StepContext) -> list[int]:
    _, zero_in = per_tensor(context.type(0))
    _, zero_out = per_tensor(context.output_type())
    low, high = activation_bounds(context.attributes.activation, context.output_type())
    return [zero_in, zero_out, low, high]
