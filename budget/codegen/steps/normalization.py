"""Normalisation."""

from __future__ import annotations

import numpy as np

from budget.codegen.c import literal
from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.loops import assignments, row_major, stretched, walk
from budget.graph import DType


def write_batch_norm(context: StepContext) -> StepCode:
    """Results (x - mean) · factor + offset, the factor from scale and variance."""
    context.suffix(DType.FLOAT32)
    mean, variance = context.constant(3), context.constant(4).astype(np.float32)
    factor = 1 / np.sqrt(variance + np.float32(context.attributes.epsilon))
    if context.has(1):
        factor = factor * context.constant(1).astype(np.float32)
    offset = context.constant(2) if context.has(2) else np.zeros(factor.shape, np.float32)
    shape = context.output_type().shape
    dense, channel = row_major(shape), stretched(shape[-1:], shape)
    arrays = [
        context.operand(0),
        context.table("mean", "float", mean, "mean"),
        context.table("factor", "float", factor, "scale / sqrt(variance + epsilon)"),
        context.table("offset", "float", offset, "offset"),
        "y0",
    ]
    value = assignments(lambda e: f"({e[0]} - {e[1]}) * {e[2]} + {e[3]}")
    strides = [dense, channel, channel, channel, dense]
    return context.code((), *walk(shape, arrays, strides, value))


def write_layer_norm(context: StepContext) -> StepCode:
    """Trailing dimensions, by mean and variance of the example, then scale and offset."""
    context.suffix(DType.FLOAT32)
    shape, axes = context.type(0).shape, context.attributes.axes
    if tuple(axes) != tuple(range(len(shape) - len(axes), len(shape))):
        raise context.refuse("only the last dimensions can be normalised")
    kept = shape[: len(shape) - len(axes)]
    rows = int(np.prod(kept, dtype=np.int64))
    depth = context.type(0).element_count // max(rows, 1)
    epsilon = literal(float(np.float32(context.attributes.epsilon)), "float")
    numbers = f"{rows}, {depth}, {epsilon}"
    statements = [f"layer_norm_f32({context.operand(0)}, y0, {numbers});"]
    for index, sign in ((1, "*"), (2, "+")):
        if context.has(index):
            strides = [stretched(context.type(index).shape, shape), row_major(shape)]
            arrays = [context.operand(index), "y0"]

            def update(elements: list[str], sign: str = sign) -> str:
                return f"{elements[1]} {sign} {elements[0]}"

            value = assignments(update)
            dense = row_major(shape)
            statements += walk(shape, [*arrays, "y0"], [*strides, dense], value)
    return context.code("norm_f32.h", *statements)


def write_l2_norm(context: StepContext) -> StepCode:
    """Rows divided by their lengths."""
    suffix = context.suffix(DType.INT8, DType.FLOAT32)
    x = context.type(0)
    depth = x.shape[-1]
    operands = [context.operand(0), "y0", x.element_count // max(depth, 1), depth]
    if suffix == "f32":
        epsilon = literal(float(np.float32(context.attributes.epsilon)), "float")
        return context.call("norm_f32.h", "l2_norm_f32", *operands, epsilon)
    if depth * 255 * 255 >= 1 << 31:
        raise context.refuse("its sums may leave 32 bits")
    return context.call("l2_norm_s8.h", "l2_norm_s8", *operands, per_tensor(x)[1])
