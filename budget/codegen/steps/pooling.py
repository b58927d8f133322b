"""Pooling."""

from __future__ import annotations

from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.linear import bounds
from budget.graph import DType


def write_pool(context: StepContext) -> StepCode:
    """Average, maximum or root of mean squares over windows."""
    op, attributes = context.step.node.op, context.attributes
    is_real_only = op == "l2_pool_2d"
    suffix = context.suffix(DType.FLOAT32) if is_real_only else context.suffix()
    padding = attributes.padding
    return context.call(
        f"pool_{suffix}.h",
        f"{op}_{suffix}",
        context.operand(0),
        "y0",
        *context.type(0).shape,
        *context.output_type().shape[1:3],
        *attributes.filter,
        *attributes.stride,
        padding.top,
        padding.left,
        *bounds(context),
    )
