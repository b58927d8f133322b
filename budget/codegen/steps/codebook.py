"""Layers whose weights are numbers into a code book."""

from __future__ import annotations

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.linear import bounds, parameters
from budget.ops import Rounding
from budget.plan.codebook import packed
from budget.plan.variants import number_of


def write_codebook(context: StepContext) -> StepCode:
    """A convolution, or a fully connected layer as one of single pixels."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    bits = number_of(context.step.variant, "b", 4)
    dense = context.step.node.op == "fully_connected"
    codes, book = packed(context.constant(1), bits)
    _, *tables = parameters(
        context, w.shape[0], channel_axis=0, fold=dense, shared=dense, weights="s"
    )
    if dense:
        depth = w.shape[1]
        rows = x.element_count // depth
        shape = [1, 1, rows, depth, 1, rows, w.shape[0], 1, 1, 1, 1, 1, 1, 0, 0]
    else:
        a = context.attributes
        padding = a.padding
        shape = [*x.shape, *y.shape[1:], *w.shape[1:3], *a.stride, *a.dilation]
        shape += [padding.top, padding.left]
    assert w.quant is not None
    once = dense and context.options.rounding is Rounding.TFLITE
    arguments = [
        context.operand(0),
        "y0",
        "s",
        context.table("codes", "uint8_t", codes, f"weights, {bits} bits each"),
        context.table("book", "int8_t", book, "what they stand for"),
        *tables,
        bits,
        int(not dense or len(w.quant.scale) > 1),
        *shape,
        0 if dense else per_tensor(x)[1],
        per_tensor(y)[1],
        *bounds(context),
        int(once),
    ]
    return context.call("codebook_s8.h", "codebook_s8", *arguments)
