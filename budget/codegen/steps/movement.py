"""Operators that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from budget.codegen.c import C_TYPES, float_bounds, literal
from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.loops import merged, row_major
from budget.graph import Array, DType, TensorType
from budget.ops import Activation
from budget.ops.fixed_point import storage_range
from budget.ops.quantized import per_tensor, round_away, saturate
from budget.ops.shaping import MirrorMode

_MOST_DIMENSIONS = 4


def write_reshape(context: StepContext) -> StepCode:
    """A copy, where the result may not share the operand's bytes."""
    size_bytes = context.output_type().size_bytes
    return context.code((), f"memcpy(y0, {context.operand(0)}, {size_bytes});")


def write_transpose(context: StepContext) -> StepCode:
    """Dimensions in another order."""
    shape, out = context.type(0).shape, context.output_type().shape
    strides = row_major(shape)
    read = [strides[axis] for axis in context.attributes.perm]
    return _write(context, [_move(context, context.operand(0), "y0", out, read, row_major(out))])


def write_slice(context: StepContext) -> StepCode:
    """A box."""
    attributes = context.attributes
    return _write_box(context, attributes.begin, [1] * len(attributes.begin))


def write_strided_slice(context: StepContext) -> StepCode:
    """Every stride-th element of a box."""
    return _write_box(context, context.attributes.begin, context.attributes.stride)


def write_split(context: StepContext) -> StepCode:
    """Parts along a dimension."""
    return _write_parts(context, context.attributes.axis, context.attributes.sizes)


def write_unpack(context: StepContext) -> StepCode:
    """Slices along a dimension, which vanishes."""
    axis = context.attributes.axis
    return _write_parts(context, axis, [1] * context.type(0).shape[axis])


def write_concat(context: StepContext) -> StepCode:
    """Tensors one behind the other; those of another scale are brought to the result's."""
    y, axis = context.output_type(), context.attributes.axis
    activation = context.attributes.activation
    if activation is not Activation.NONE and y.dtype is not DType.FLOAT32:
        raise context.refuse(f"{activation.value} behind {y.dtype.value}")
    statements, start = [], 0
    kernels = ["move.h"]
    for index in range(len(context.step.node.inputs)):
        x = context.type(index)
        to = _place("y0", start * row_major(y.shape)[axis])
        if x.is_quantized and x.quant != y.quant:
            statements += _rescaled(context, index, to, axis)
            kernels.append("rows_table_s8.h")
        else:
            operand = context.operand(index)
            read, write = row_major(x.shape), row_major(y.shape)
            statements.append(_move(context, operand, to, x.shape, read, write))
        start += x.shape[axis]
    if activation is not Activation.NONE:
        kernels.append("real.h")
        bounds = ", ".join(float_bounds(activation))
        statements += [
            f"for (int32_t i = 0; i < {y.element_count}; i++) {{",
            f"    y0[i] = clamp_f32(y0[i], {bounds});",
            "}",
        ]
    return context.code(kernels, *statements)


def write_pack(context: StepContext) -> StepCode:
    """Tensors stacked along a new dimension."""
    axis, out = context.attributes.axis, context.output_type().shape
    strides = row_major(out)
    write = [stride for index, stride in enumerate(strides) if index != axis]
    moves = []
    for index in range(len(context.step.node.inputs)):
        shape = context.type(index).shape
        to = _place("y0", index * strides[axis])
        moves.append(_move(context, context.operand(index), to, shape, row_major(shape), write))
    return _write(context, moves)


def write_pad(context: StepContext) -> StepCode:
    """A border of one value around a tensor."""
    x, y = context.type(0), context.output_type()
    strides = row_major(y.shape)
    before = [pair[0] for pair in context.attributes.paddings]
    value = _stored(context.attributes.value, y)
    start = sum(first * stride for first, stride in zip(before, strides))
    return _write(
        context,
        [
            f"for (int32_t i = 0; i < {y.element_count}; i++) {{",
            f"    y0[i] = {value};",
            "}",
            _move(
                context,
                context.operand(0),
                _place("y0", start),
                x.shape,
                row_major(x.shape),
                strides,
            ),
        ],
    )


def write_mirror_pad(context: StepContext) -> StepCode:
    """A tensor continued as its own image; at most two neighbouring dimensions may grow."""
    mode = context.attributes.mode
    orders = []
    for extent, (before, behind) in zip(context.type(0).shape, context.attributes.paddings):
        places = np.arange(-before, extent + behind)
        turn = 0 if mode is MirrorMode.REFLECT else 1
        places = np.where(places < 0, -places - turn, places)
        last = extent - 1
        orders.append(np.where(places > last, 2 * last - places + turn, places))
    return write_orders(context, orders)


def write_orders(context: StepContext, orders: Sequence[Array]) -> StepCode:
    """Indices chosen for each dimension; at most two neighbouring ones may differ from the input's.

    Args:
        context: the step.
        orders: for each dimension of the result, the index of the input that each index takes.
    """
    shape = context.type(0).shape
    changed = [
        axis
        for axis, (extent, order) in enumerate(zip(shape, orders))
        if not np.array_equal(order, np.arange(extent))
    ]
    first = changed[0] if changed else 0
    last = changed[-1] if changed else 0
    if last - first > 1:
        raise context.refuse("more than two neighbouring dimensions change")
    row, column = (first, last) if first < last else (first, None)
    rows = orders[row]
    columns = orders[column] if column is not None else np.zeros(1, np.int16)
    inner = shape[last + 1 :]
    element_bytes = TensorType(inner, context.type(0).dtype).size_bytes
    arguments = [
        context.operand(0),
        "y0",
        context.table("rows", "int16_t", rows, "input index by output index"),
        context.table("columns", "int16_t", columns, "input index by output index"),
        int(np.prod(shape[:first], dtype=np.int64)),
        len(rows),
        len(columns),
        shape[row],
        shape[column] if column is not None else 1,
        element_bytes,
    ]
    return context.call("pick.h", "pick", *arguments)


def _write(context: StepContext, statements: list[str]) -> StepCode:
    return context.code("move.h", *statements)


def _write_box(context: StepContext, begin: Sequence[int], step: Sequence[int]) -> StepCode:
    strides = row_major(context.type(0).shape)
    out = context.output_type().shape
    start = sum(first * stride for first, stride in zip(begin, strides))
    read = [stride * every for stride, every in zip(strides, step)]
    operand = _place(context.operand(0), start)
    return _write(context, [_move(context, operand, "y0", out, read, row_major(out))])


def _write_parts(context: StepContext, axis: int, sizes: Sequence[int]) -> StepCode:
    shape = context.type(0).shape
    strides = row_major(shape)
    moves, start = [], 0
    for index, size in enumerate(sizes):
        part = (*shape[:axis], size, *shape[axis + 1 :])
        operand = _place(context.operand(0), start * strides[axis])
        moves.append(_move(context, operand, f"y{index}", part, strides, row_major(part)))
        start += size
    return _write(context, moves)


def _place(array: str, start: int) -> str:
    return f"{array} + {start}" if start else array


def _move(
    context: StepContext,
    operand: str,
    result: str,
    shape: Sequence[int],
    read: Sequence[int],
    write: Sequence[int],
) -> str:
    """A call that copies elements; strides are in elements."""
    width = context.output_type().dtype.bits // 8
    extents, (from_steps, to_steps) = merged(shape, (read, write))
    run = 1
    if from_steps[-1] == to_steps[-1] == 1:
        run, extents = extents[-1], extents[:-1]
        from_steps, to_steps = from_steps[:-1], to_steps[:-1]
    missing = _MOST_DIMENSIONS - len(extents)
    if missing < 0:
        raise context.refuse("more than four dimensions change places")
    if not extents:
        return f"memcpy({result}, {operand}, {run * width});"
    pad = [0] * missing
    numbers = [
        run * width,
        *([1] * missing + extents),
        *(step * width for step in pad + from_steps),
        *(step * width for step in pad + to_steps),
    ]
    return f"move({operand}, {result}, {', '.join(map(str, numbers))});"


def _stored(value: float, type: TensorType) -> str:
    """The C literal of a real number, as the tensor holds it."""
    if type.dtype is DType.FLOAT32:
        return literal(float(np.float32(value)), "float")
    if not type.is_quantized:
        return str(int(value))
    quant = per_tensor(type)
    real = np.asarray(value, np.float64)
    return str(int(saturate(round_away(real / quant.scale) + quant.zero_point, type)))


def _rescaled(context: StepContext, index: int, to: str, axis: int) -> list[str]:
    """Rows through a table of the 256 rescaled numbers."""
    x, y = context.type(index), context.output_type()
    if x.dtype is not DType.INT8:
        raise context.refuse(f"operands of {x.dtype.value} in different scales")
    quant, to_quant = per_tensor(x), per_tensor(y)
    low, high = storage_range(DType.INT8)
    factor = quant.scale32 * (np.float32(1) / to_quant.scale32)
    bias = -np.float32(quant.zero_point) * factor
    stored = np.arange(low, high + 1).astype(np.float32)
    rounded = round_away(stored * factor + bias).astype(np.int64)
    values = saturate(rounded + to_quant.zero_point, y)
    table = context.table(f"table{index}", C_TYPES[y.dtype], values, "rescaled by stored number")
    outer = int(np.prod(x.shape[:axis], dtype=np.int64))
    run = x.element_count // max(outer, 1)
    step = y.element_count // max(outer, 1)
    return [f"rows_table_s8({context.operand(index)}, {to}, {outer}, {run}, {step}, {table});"]
