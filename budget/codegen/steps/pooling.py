"""Pooling."""

from __future__ import annotations

from budget.codegen.context import StepCode, StepContext
from budget.graph import DType
from budget.ops.fixed_point import activation_bounds


def write_pool(context: StepContext) -> StepCode:
    """Average and maximum over windows, int8."""
    x, y = context.type(0), context.output_type()
    if x.dtype is not DType.INT8:
        raise context.refuse(f"{x.dtype.value} activations cannot be emitted")
    attributes = context.attributes
    low, high = activation_bounds(attributes.activation, y)
    padding = attributes.padding
    numbers = [
        *x.shape,
        *y.shape[1:3],
        *attributes.filter,
        *attributes.stride,
        padding.top,
        padding.left,
        low,
        high,
    ]
    text = ", ".join(map(str, [context.operand(0), "y0", *numbers]))
    return context.code("pool_s8.h", f"{context.step.node.op}_s8({text});")
