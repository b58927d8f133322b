"""Convolutions."""

from __future__ import annotations

from typing import Any

from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.linear import ending, parameters
from budget.ops.windows import slides, taps_on_padding


def write_conv_2d(context: StepContext) -> StepCode:
    """Dense and grouped convolutions."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    fold = _fits(context)
    return _call(
        context,
        parameters(context, y.shape[3], channel_axis=0, fold=fold),
        [*x.shape, *y.shape[1:], *w.shape[1:3], x.shape[3] // w.shape[3]],
        _window(context.attributes),
        ending(context, fold=fold),
    )


def write_depthwise_conv_2d(context: StepContext) -> StepCode:
    """Depthwise convolutions."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    fold = _fits(context)
    return _call(
        context,
        parameters(context, y.shape[3], channel_axis=3, fold=fold),
        [*x.shape, *y.shape[1:3], y.shape[3] // x.shape[3], *w.shape[1:3]],
        _window(context.attributes),
        ending(context, fold=fold),
    )


def write_transpose_conv_2d(context: StepContext) -> StepCode:
    """Transposed convolutions; outputs at the border gather fewer taps, so nothing folds."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    attributes = context.attributes
    return _call(
        context,
        parameters(context, y.shape[3], channel_axis=0, fold=False),
        [*x.shape, *y.shape[1:], *w.shape[1:3]],
        [*attributes.stride, attributes.padding.top, attributes.padding.left],
        ending(context, fold=False),
    )


def _call(context: StepContext, *arguments: list[Any]) -> StepCode:
    name = f"{context.step.node.op}_{context.suffix()}"
    flat = [argument for group in arguments for argument in group]
    return context.call(f"{name}.h", name, context.operand(0), "y0", *flat)


def _window(attributes: Any) -> list[int]:
    padding = attributes.padding
    return [*attributes.stride, *attributes.dilation, padding.top, padding.left]


def _fits(context: StepContext) -> bool:
    """Whether no tap of any window falls outside the image."""
    attributes, kernel = context.attributes, context.type(1).shape[1:3]
    both = slides(
        context.type(0).shape,
        (kernel[0], kernel[1]),
        attributes.stride,
        attributes.padding,
        attributes.dilation,
    )
    return not any(taps_on_padding(slide).any() for slide in both)
