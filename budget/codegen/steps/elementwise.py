"""Sums and products of two tensors."""

from __future__ import annotations

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.graph import DType
from budget.ops.fixed_point import activation_bounds, quantize_multiplier


def write_add(context: StepContext) -> StepCode:
    """Sums and differences, int8, of tensors of the same shape."""
    a, b, y = context.type(0), context.type(1), context.output_type()
    if y.dtype is not DType.INT8:
        raise context.refuse(f"{y.dtype.value} activations cannot be emitted")
    if a.shape != b.shape:
        raise context.refuse("operands of different shapes cannot be emitted")
    (scale_a, zero_a), (scale_b, zero_b), (scale_y, zero_y) = map(per_tensor, (a, b, y))
    twice_max = 2.0 * max(scale_a, scale_b)
    low, high = activation_bounds(context.attributes.activation, y)
    numbers = [
        y.element_count,
        1 if context.step.node.op == "add" else -1,
        zero_a,
        *quantize_multiplier(scale_a / twice_max),
        zero_b,
        *quantize_multiplier(scale_b / twice_max),
        zero_y,
        *quantize_multiplier(twice_max / ((1 << 20) * scale_y)),
        low,
        high,
    ]
    operands = [context.operand(0), context.operand(1), "y0"]
    text = ", ".join(map(str, [*operands, *numbers]))
    return context.code("add_s8.h", f"add_s8({text});")
