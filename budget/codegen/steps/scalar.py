"""Layers on cores without DSP instructions: plain C with few multiplications and loads."""

from __future__ import annotations

import numpy as np

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.linear import bias_table, bounds
from budget.plan.variants import short_shifts


def write_pairs(context: StepContext) -> StepCode:
    """Dense convolutions: one multiplication serves two pixels."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    attributes, padding = context.attributes, context.attributes.padding
    weights = context.constant(1)
    return context.call(
        "scalar_conv_2d_s8.h",
        "scalar_conv_2d_s8",
        context.operand(0),
        "y0",
        context.table("weights", "int8_t", weights, "weights"),
        bias_table(context, y.shape[3], weights, 0, fold=True),
        *_scales(context, y.shape[3]),
        "(uint32_t *)(void *)s",
        *x.shape,
        *y.shape[1:],
        *w.shape[1:3],
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
