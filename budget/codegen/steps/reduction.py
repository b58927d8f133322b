"""Sums, means and extremes along dimensions, and where an extreme lies."""

from __future__ import annotations

from collections.abc import Sequence

from budget.codegen.c import C_TYPES
from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.loops import assignments, merged, row_major, walk
from budget.graph import DType
from budget.ops import Rounding
from budget.ops.fixed_point import quantize_multiplier, storage_range
from budget.ops.quantized import per_tensor


def write_mean(context: StepContext) -> StepCode:
    """Means and sums: exact integer sums, rescaled once; a mean's factor has the quotient in it."""
    suffix = context.suffix()
    x_type, y_type = context.type(0), context.output_type()
    count = x_type.element_count // max(y_type.element_count, 1)
    is_mean = context.step.node.op == "mean"
    total = f"sum_{suffix}({{0}}, {_reduced(context, context.attributes.axes)})"
    if suffix == "f32":
        text = f"{total} / {float(count)}f" if is_mean else total
        return _write(context, context.attributes.axes, text, "reduce_f32.h")
    if count * -storage_range(x_type.dtype)[0] >= 1 << 31:
        raise context.refuse("its sums may leave 32 bits")
    if not x_type.is_quantized:
        raise context.refuse(f"plain {x_type.dtype.value} cannot be emitted")
    x, y = per_tensor(x_type), per_tensor(y_type)
    q, shift = quantize_multiplier(x.scale / y.scale)
    if is_mean:
        spare = min(count.bit_length() - 1, 32, 31 + shift)
        q, shift = (q << spare) // count, shift - spare
    is_once = not is_mean and context.options.rounding is Rounding.TFLITE
    rescale = "requantize_once" if is_once else "requantize_twice"
    low, high = storage_range(y_type.dtype)
    scaled = f"{rescale}({total} - ({x.zero_point * count}), {q}, {shift})"
    text = f"({C_TYPES[y_type.dtype]})clamp_i32({scaled} + ({y.zero_point}), {low}, {high})"
    return _write(context, context.attributes.axes, text, f"reduce_{suffix}.h")


def write_extreme(context: StepContext) -> StepCode:
    """The largest or smallest stored number."""
    suffix = context.suffix()
    axes = context.attributes.axes
    is_max = int(context.step.node.op == "reduce_max")
    text = f"extreme_{suffix}({{0}}, {_reduced(context, axes)}, {is_max})"
    return _write(context, axes, text, f"reduce_{suffix}.h")


def write_arg(context: StepContext) -> StepCode:
    """Where the largest or smallest number along a dimension lies."""
    suffix = context.suffix()
    axis = context.attributes.axis
    shape = context.type(0).shape
    is_max = int(context.step.node.op == "arg_max")
    text = f"arg_{suffix}({{0}}, {shape[axis]}, {row_major(shape)[axis]}, {is_max})"
    if context.output_type().dtype is not DType.INT32:
        text = f"({C_TYPES[context.output_type().dtype]}){text}"
    return _write(context, (axis,), text, f"arg_{suffix}.h")


def _write(context: StepContext, axes: Sequence[int], text: str, kernel: str) -> StepCode:
    """A loop over what is kept; ``{0}`` is the address of the first element to reduce."""
    shape = context.type(0).shape
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    extents = [shape[axis] for axis in kept]
    strides = row_major(shape)
    value = assignments(lambda elements: text.format(f"&{elements[0]}"))
    arrays = [context.operand(0), "y0"]
    read = [strides[axis] for axis in kept]
    return context.code(kernel, *walk(extents, arrays, [read, row_major(extents)], value))


def _reduced(context: StepContext, axes: Sequence[int]) -> str:
    """Extent and step of the two dimensions that are reduced, for the kernel."""
    shape = context.type(0).shape
    strides = row_major(shape)
    extents, (steps,) = merged([shape[a] for a in axes], [[strides[a] for a in axes]])
    if len(extents) > 2:
        raise context.refuse("more than two separate dimensions are reduced")
    pairs = [(1, 0)] * (2 - len(extents)) + list(zip(extents, steps))
    return ", ".join(str(number) for pair in pairs for number in pair)
