"""Dense convolutions on cores with the DSP extension: widened activations, packed weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.armv7em_assembly import Ending
from budget.codegen.steps.armv7em_gemm import Gemm, first_channels, function, stream
from budget.ops.fixed_point import activation_bounds
from budget.plan.variants import (
    SLACK_BYTES,
    UNROLLED_STEPS,
    columns_of,
    four_words,
    has_setting,
    number_of,
    pointwise_block,
    short_shifts,
)

_KERNELS = ("armv7em_conv_2d_s8.h", "armv7em_gemm_s8.h")


def write_pointwise(context: StepContext) -> StepCode:
    """Products of single pixels, a block of them at a time."""
    x, y = context.type(0), context.output_type()
    depth, channels = x.shape[3], y.shape[3]
    pixels = y.element_count // channels
    gemm = _gemm(context, depth, depth, channels)
    weights = context.constant(1).reshape(channels, depth).astype(np.int64)
    block = pointwise_block(pixels, depth, context.step.variant)
    numbers = [pixels, depth, channels, block]
    return _code(context, gemm, weights, "armv7em_pointwise", numbers, block * depth)


def write_columns(context: StepContext) -> StepCode:
    """Windows of any size and stride, over a buffer of the rows that they see."""
    return _write_lines(context, down=False)


def write_columns_down(context: StepContext) -> StepCode:
    """The same from top to bottom, where that leaves fewer pixels without a neighbour."""
    return _write_lines(context, down=True)


def _write_lines(context: StepContext, *, down: bool) -> StepCode:
    x, w, y = context.type(0), context.type(1), context.output_type()
    _, in_h, in_w, in_c = x.shape
    _, out_h, out_w, out_c = y.shape
    columns = columns_of(context.step.node, x, w, y, down=down)
    attributes, padding = context.attributes, context.attributes.padding
    # (lines, pixels) of everything that has rows and columns
    image, out = (in_h, in_w), (out_h, out_w)
    x_steps, y_steps = (in_w * in_c, in_c), (out_w * out_c, out_c)
    stride, pads = attributes.stride, (padding.top, padding.left)
    k_lines = w.shape[1]
    weights = context.constant(1).astype(np.int64)
    if down:
        image, out, x_steps, y_steps = image[::-1], out[::-1], x_steps[::-1], y_steps[::-1]
        stride, pads = stride[::-1], pads[::-1]
        k_lines = w.shape[2]
        weights = weights.transpose(0, 2, 1, 3)
    # what a pixel sees lies column after column: [k_pixels][k_lines][in_c]
    weights = weights.transpose(0, 2, 1, 3).reshape(out_c, -1)
    gemm = _gemm(context, weights.shape[1], columns.pixel, y_steps[1])
    _, zero_in = per_tensor(x)
    numbers = [*image, *x_steps, in_c, *out, *y_steps, k_lines, *stride, *pads]
    numbers += [columns.width, zero_in]
    if has_setting(context.step.variant, "ram"):
        numbers.append(out_c)
    return _code(context, gemm, weights, "armv7em_conv_2d", numbers, columns.width * columns.column)


def _gemm(context: StepContext, depth: int, pixel: int, y_pixel: int) -> Gemm:
    """All channels; four at a time where their weights are staged."""
    variant = context.step.variant
    return Gemm(
        depth,
        pixel,
        4 if has_setting(variant, "ram") else context.output_type().shape[3],
        y_pixel,
        ending_of(context),
        number_of(variant, "u", UNROLLED_STEPS),
        has_setting(variant, "wide"),
    )


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
    buffer: int,
) -> StepCode:
    """The call of a kernel; ``buffer`` numbers of 16 bits lie before staged weights."""
    ordered = widened_order(weights, context.type(0).shape[3])
    bias = folded_bias(context, weights)
    multipliers, shifts = scales_of(context, len(weights))
    arguments: list[object] = [*numbers]
    if has_setting(context.step.variant, "ram"):
        kernel += "_staged"
        parts = [
            stream(ordered[four], bias[four], multipliers[four], shifts[four], gemm)
            for four in (slice(c, c + 4) for c in first_channels(len(weights)))
        ]
        words = np.concatenate(parts)
        place = 2 * buffer + SLACK_BYTES
        arguments += [
            f"(int32_t *)(void *)(s + {place // 4 * 4})",
            four_words(gemm.steps, context.step.variant),
        ]
    else:
        words = stream(ordered, bias, multipliers, shifts, gemm)
    table = context.table("stream", "int32_t", words, "biases, packed weights, scales")
    operands = [context.operand(0), "y0", table, "(int16_t *)(void *)s", gemm.name, *arguments]
    code = context.code(_KERNELS, f"{kernel}_s8({', '.join(map(str, operands))});")
    return StepCode(code.kernels, code.statements, code.tables, (function(gemm),))
