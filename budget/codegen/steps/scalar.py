"""Layers on cores without DSP instructions: plain C with few multiplications and loads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.linear import bias_table, bounds
from budget.graph import Array
from budget.ops import Rounding
from budget.ops.fixed_point import quantize_multiplier
from budget.plan.variants import short_shifts, sum_multiplier


def write_pairs(context: StepContext) -> StepCode:
    """Dense convolutions: one multiplication serves two pixels."""
    w, y = context.type(1), context.output_type()
    weights = context.constant(1)
    stored = np.append(weights.ravel(), np.zeros(weights[0].size % 2, np.int8))
    shapes = [*y.shape[1:], *w.shape[1:3]]
    return _convolution(context, stored, 0, "(uint32_t *)(void *)s", shapes)


def write_windows(context: StepContext) -> StepCode:
    """Depthwise convolutions: whole windows, filters channel by channel."""
    w, y = context.type(1), context.output_type()
    stored = np.moveaxis(context.constant(1)[0], 2, 0)
    return _convolution(context, stored, 3, "s", [*y.shape[1:3], *w.shape[1:3]])


def write_rows(context: StepContext) -> StepCode:
    """Fully connected layers: four channels at a time."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    out_c, depth = w.shape
    weights = context.constant(1)
    biased = (weights.astype(np.int64) + 128).astype(np.uint8)
    whole = out_c // 4 * 4
    fours = biased[:whole].reshape(-1, 4, depth).transpose(0, 2, 1)
    stored = np.concatenate([fours.ravel(), biased[whole:].ravel()])
    assert w.quant is not None  # the choice of the variant has looked
    return context.call(
        "scalar_fully_connected_s8.h",
        "scalar_fully_connected_s8",
        context.operand(0),
        "y0",
        context.table("weights", "uint8_t", stored, "weights + 128"),
        bias_table(context, out_c, weights, 0, fold=True),
        *_scales(context, 0),
        int(len(w.quant.scale) > 1),
        x.element_count // depth,
        depth,
        out_c,
        per_tensor(y)[1],
        *bounds(context),
        int(context.options.rounding is Rounding.TFLITE),
    )


def write_sum(context: StepContext) -> StepCode:
    """Sums of two operands; the one with the larger scale comes first."""
    scales = [per_tensor(context.type(index))[0] for index in (0, 1)]
    large, small = (0, 1) if scales[0] >= scales[1] else (1, 0)
    y = context.output_type()
    a, b = context.type(large).quant, context.type(small).quant
    assert a is not None and b is not None and y.quant is not None  # the variant's choice looked
    q, shift = quantize_multiplier(scales[small] / (2 * scales[large]))
    half = int(q != 0 and shift == 0)  # equal scales: a multiplier of 1/2 is written as 1/4
    q_out, shift_out = sum_multiplier(a, b, y.quant)
    return context.call(
        "scalar_add_s8.h",
        "scalar_add_s8",
        context.operand(large),
        context.operand(small),
        "y0",
        y.element_count,
        int(a.zero_point[0]),
        int(b.zero_point[0]),
        20 + half,
        q,
        half - shift - 1 if q else 0,
        q_out,
        shift_out - 1,
        per_tensor(y)[1],
        *bounds(context),
    )


def _convolution(
    context: StepContext, stored: Array, channel_axis: int, scratch: str, shapes: Sequence[int]
) -> StepCode:
    x, y = context.type(0), context.output_type()
    attributes, padding = context.attributes, context.attributes.padding
    name = f"scalar_{context.step.node.op}_s8"
    return context.call(
        f"{name}.h",
        name,
        context.operand(0),
        "y0",
        context.table("weights", "int8_t", stored, "weights"),
        bias_table(context, y.shape[3], context.constant(1), channel_axis, fold=True),
        *_scales(context, y.shape[3]),
        scratch,
        *x.shape,
        *shapes,
        *attributes.stride,
        padding.top,
        padding.left,
        per_tensor(x)[1],
        per_tensor(y)[1],
        *bounds(context),
    )


def _scales(context: StepContext, channels: int) -> tuple[str, str]:
    """Tables of multipliers and of places to shift by, less the one that the last rounding takes.

    Args:
        context: a step with operands input, weights, bias.
        channels: of the output; 0 leaves a single scale single.
    """
    q, shift = short_shifts(context.type(0), context.type(1), context.output_type())
    places = np.where(q == 0, 1, shift - 1)
    if channels:
        q, places = np.broadcast_to(q, (channels,)), np.broadcast_to(places, (channels,))
    return (
        context.table("multiplier", "int32_t", q, "multipliers"),
        context.table("places", "int8_t", places, "places to shift right, less one"),
    )
