"""Dense convolutions on cores with the DSP extension: widened activations, packed weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.armv7em_assembly import Ending
from budget.codegen.steps.armv7em_gemm import Gemm, function, stream
from budget.ops.fixed_point import activation_bounds
from budget.plan.variants import columns_of, pointwise_block, short_shifts

_KERNELS = ("armv7em_conv_2d_s8.h", "armv7em_gemm_s8.h")


def write_pointwise(context: StepContext) -> StepCode:
    """Products of single pixels, a block of them at a time."""
    x, y = context.type(0), context.output_type()
    depth, channels = x.shape[3], y.shape[3]
    pixels = y.element_count // channels
    gemm = Gemm(depth, depth, channels, ending_of(context))
    weights = context.constant(1).reshape(channels, depth).astype(np.int64)
    block = pointwise_block(pixels, depth)
    return _code(context, gemm, weights, "armv7em_pointwise_s8", [pixels, depth, channels, block])


def write_columns(context: StepContext) -> StepCode:
    """Windows of any size and stride, over a buffer of the rows that they see."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    _, in_h, in_w, in_c = x.shape
    _, out_h, out_w, out_c = y.shape
    columns = columns_of(context.step.node, x, w, y)
    gemm = Gemm(w.shape[1] * w.shape[2] * in_c, columns.pixel, out_c, ending_of(context))
    # what a pixel sees lies column after column: [k_w][k_h][in_c]
    weights = context.constant(1).astype(np.int64).transpose(0, 2, 1, 3).reshape(out_c, -1)
    attributes = context.attributes
    padding = attributes.padding
    _, zero_in = per_tensor(x)
    numbers = [in_h, in_w, in_c, out_h, out_w, out_c, w.shape[1], *attributes.stride]
    numbers += [padding.top, padding.left, columns.width, zero_in]
    return _code(context, gemm, weights, "armv7em_conv_2d_s8", numbers)


def ending_of(context: StepContext, *, once: bool = False) -> Ending:
    """Zero point and bounds of the output."""
    y = context.output_type()
    return Ending(per_tensor(y)[1], *activation_bounds(context.attributes.activation, y), once)


def folded_bias(context: StepContext, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bias less what the input's zero point adds: padding counts as the zero point.

    Args:
        context: a step with operands input, weights, bias.
        weights: [channels][taps].
    """
    bias = context.constant(2).astype(np.int64) if context.has(2) else np.int64(0)
    _, zero_in = per_tensor(context.type(0))
    folded: NDArray[np.int64] = bias - zero_in * weights.sum(1)
    return folded


def scales_of(context: StepContext, channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Multipliers and right shifts, one for each channel."""
    q, shift = short_shifts(context.type(0), context.type(1), context.output_type())
    return np.broadcast_to(q, (channels,)), np.broadcast_to(shift, (channels,))


def widened_order(weights: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    """Taps in the order of widened activations: a c b d, where channels come in fours."""
    if channels % 4:
        return weights
    fours = weights.reshape(len(weights), -1, 4)
    return fours[:, :, (0, 2, 1, 3)].reshape(weights.shape)


def _code(
    context: StepContext,
    gemm: Gemm,
    weights: NDArray[np.int64],
    kernel: str,
    numbers: Sequence[int],
) -> StepCode:
    ordered = widened_order(weights, context.type(0).shape[3])
    bias = folded_bias(context, weights)
    words = stream(ordered, bias, *scales_of(context, gemm.channels), gemm)
    table = context.table("stream", "int32_t", words, "biases, packed weights, scales")
    arguments = [context.operand(0), "y0", table, "(int16_t *)(void *)s", gemm.name, *numbers]
    code = context.code(_KERNELS, f"{kernel}({', '.join(map(str, arguments))});")
    return StepCode(code.kernels, code.statements, code.tables, (function(gemm),))
