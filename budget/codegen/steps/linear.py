"""What convolutions and fully connected layers share: weights, bias, scaling, bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.codegen.c import float_bounds
from budget.codegen.context import StepContext, per_tensor
from budget.graph import DType
from budget.ops import Rounding
from budget.ops.fixed_point import Int64s, activation_bounds, quantize_multipliers
from budget.ops.requantize import product_multipliers


def parameters(
    context: StepContext,
    channels: int,
    *,
    channel_axis: int,
    fold: bool,
    shared: bool = False,
    weights: str = "",
) -> list[str]:
    """Weights, bias and, for integers, multipliers and shifts: C names, of tables if constant.

    Args:
        context: a step with operands input, weights, bias.
        channels: of the output.
        channel_axis: of the weights.
        fold: move the input's zero point into the bias, which is exact where no tap falls
            outside the image.
        shared: a single scale stays one element, it is not repeated for each channel.
        weights: where they are already, as C expression; empty makes a table of them.
    """
    x, w = context.type(0), context.type(1)
    if x.dtype is DType.FLOAT32:
        if w.dtype is not DType.FLOAT32:
            raise context.refuse(f"weights of {w.dtype.value} with float activations")
        real_weights = context.operand(1, "weights", "weights")
        if context.has(2):
            return [real_weights, context.operand(2, "bias", "bias")]
        zeros = np.zeros(channels, np.float32)
        return [real_weights, context.table("bias", "float", zeros, "no bias")]
    stored = context.constant(1)
    if w.quant is None or w.dtype is not DType.INT8:
        raise context.refuse("its weights are not quantised to 8 bits")
    real = product_multipliers(x, w, context.output_type())
    if not shared:
        real = np.broadcast_to(real, (channels,))
    multiplier, shift = wide_multipliers(context, real) if is_wide(context) else twice(real)
    return [
        weights or context.table("weights", "int8_t", stored, "weights"),
        bias_table(context, channels, stored, channel_axis, fold=fold),
        context.table("multiplier", "int32_t", multiplier, "multipliers"),
        context.table("shift", "int8_t", shift, "their shifts"),
    ]


def is_wide(context: StepContext) -> bool:
    """Whether 16-bit activations are scaled by one rounding of a 64-bit product."""
    if context.type(0).dtype is not DType.INT16:
        return False
    return _rounds_once(context) or not (context.has(2) and context.type(2).dtype is DType.INT32)


def twice(real: NDArray[np.float64]) -> tuple[Int64s, Int64s]:
    """Multipliers and shifts for two roundings."""
    return quantize_multipliers(real)


def wide_multipliers(context: StepContext, real: NDArray[np.float64]) -> tuple[Int64s, Int64s]:
    """Multipliers and right shifts for one rounding of a 64-bit product.

    Host kernels for fully connected layers keep 31 bits of a multiplier, all others 15.
    """
    q, shift = quantize_multipliers(real)
    if _rounds_once(context):
        return q, 31 - shift
    reduced: Int64s = np.where(q < 0x7FFF0000, (q + (1 << 15)) >> 16, 0x7FFF)
    return reduced, 15 - shift


def bounds(context: StepContext) -> list[str]:
    """Smallest and largest stored value of the result, as C expressions."""
    activation = context.attributes.activation
    if context.type(0).dtype is DType.FLOAT32:
        return list(float_bounds(activation))
    return [str(bound) for bound in activation_bounds(activation, context.output_type())]


def ending(context: StepContext, *, fold: bool) -> list[Any]:
    """The last arguments of a kernel: zero points or way of scaling, then the bounds."""
    match context.type(0).dtype:
        case DType.INT8:
            _, zero_in = per_tensor(context.type(0))
            _, zero_out = per_tensor(context.output_type())
            return [0 if fold else zero_in, zero_out, *bounds(context)]
        case DType.INT16:
            return [int(is_wide(context)), *bounds(context)]
        case _:
            return bounds(context)


def _rounds_once(context: StepContext) -> bool:
    is_host = context.options.rounding is Rounding.TFLITE
    return is_host and context.step.node.op == "fully_connected"


def bias_table(
    context: StepContext, channels: int, weights: Any, channel_axis: int, *, fold: bool
) -> str:
    """C name of the bias table; refuses sums that might leave their register.

    Args:
        context: a step with operands input, weights, bias.
        channels: of the output.
        weights: as they are stored.
        channel_axis: of the weights.
        fold: move the input's zero point into the bias.
    """
    x, w = context.type(0), context.type(1)
    bias = context.constant(2).astype(np.int64) if context.has(2) else np.zeros(channels, np.int64)
    if x.dtype is DType.INT16:
        return context.table("bias", "int64_t", bias, "bias")
    _, zero_in = per_tensor(x)
    assert w.quant is not None
    axes = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    taps = weights.astype(np.int64) - int(w.quant.zero_point[0])
    largest = 128 + abs(zero_in)
    what = "bias"
    if fold and zero_in:
        bias = bias - zero_in * taps.sum(axes)
        largest = 128
        what = "bias, input zero point folded in"
    reach = np.abs(bias) + largest * np.abs(taps).sum(axes)
    if reach.max(initial=0) >= 1 << 31:
        raise context.refuse("its sums may leave 32 bits")
    return context.table("bias", "int32_t", bias, what)
