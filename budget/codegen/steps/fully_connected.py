"""Fully connected layers and products of matrices."""

from __future__ import annotations

import numpy as np

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.linear import ending, parameters, twice, wide_multipliers
from budget.codegen.steps.loops import nest, offset, row_major, stretched
from budget.graph import DType
from budget.ops import Rounding
from budget.ops.requantize import single_multiplier


def write_fully_connected(context: StepContext) -> StepCode:
    """Layers of y = x · Wᵀ + b; the input's zero point moves into the bias, which is exact."""
    x, w = context.type(0), context.type(1)
    out_c, depth = w.shape
    shape = [x.element_count // depth, depth, out_c]
    arguments = [
        context.operand(0),
        "y0",
        *parameters(context, out_c, channel_axis=0, fold=True, shared=True),
    ]
    last = ending(context, fold=True)
    if x.dtype is DType.FLOAT32:
        arguments += map(str, [*shape, *last])
    else:
        assert w.quant is not None
        per_channel = int(len(w.quant.scale) > 1)
        if x.dtype is DType.INT8:
            last = [int(w.quant.zero_point[0]), *last[1:]]
            last.append(int(context.options.rounding is Rounding.TFLITE))
        arguments += map(str, [per_channel, *shape, *last])
    name = f"fully_connected_{context.suffix()}"
    return context.call(f"{name}.h", name, *arguments)


def write_batch_matmul(context: StepContext) -> StepCode:
    """One product of two matrices for each place in the leading dimensions."""
    a, b, y = context.type(0), context.type(1), context.output_type()
    attributes = context.attributes
    name = f"matmul_{context.suffix()}"
    if b.dtype is not a.dtype:
        raise context.refuse(f"a product of {a.dtype.value} and {b.dtype.value}")
    m, n = y.shape[-2:]
    depth = a.shape[-2] if attributes.adj_x else a.shape[-1]
    a_steps = (1, m) if attributes.adj_x else (depth, 1)
    b_steps = (1, depth) if attributes.adj_y else (n, 1)
    batch = y.shape[:-2]
    places = [
        offset([stride * size for stride in stretched(shape[:-2], batch)])
        for shape, size in ((a.shape, m * depth), (b.shape, depth * n))
    ]
    places.append(offset([stride * m * n for stride in row_major(batch)]))
    arrays = (context.operand(0), context.operand(1), "y0")
    arguments: list[object] = [
        f"{array} + {place}" if place else array for array, place in zip(arrays, places)
    ]
    arguments += [m, depth, n, *a_steps, *b_steps]
    if a.dtype is not DType.FLOAT32:
        real = np.asarray(single_multiplier(a, b, y))
        is_8_bit = a.dtype is DType.INT8
        multiplier, shift = twice(real) if is_8_bit else wide_multipliers(context, real)
        if is_8_bit:
            arguments += [per_tensor(type)[1] for type in (a, b, y)]
            if depth * 255 * 255 >= 1 << 31:
                raise context.refuse("its sums may leave 32 bits")
        arguments += [int(multiplier[0]), int(shift[0])]
    call = f"{name}({', '.join(map(str, arguments))});"
    return context.code(f"{name}.h", *nest(batch, [call]))
