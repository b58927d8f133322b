"""Softmax."""

from __future__ import annotations

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.graph import DType
from budget.ops.softmax import q5_multiplier


def write_softmax(context: StepContext) -> StepCode:
    """int8 softmax along the last dimension."""
    x = context.type(0)
    if x.dtype is not DType.INT8:
        raise context.refuse(f"{x.dtype.value} activations cannot be emitted")
    scale, _ = per_tensor(x)
    depth = x.shape[-1]
    numbers = [x.element_count // depth, depth, *q5_multiplier(context.attributes.beta, scale)]
    text = ", ".join(map(str, [context.operand(0), "y0", *numbers]))
    return context.code("softmax_s8.h", f"softmax_s8({text});")
