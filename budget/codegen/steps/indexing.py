"""Look-up by position."""

from __future__ import annotations

import numpy as np

from budget.codegen.context import StepCode, StepContext
from budget.graph import DType


def write_gather(context: StepContext) -> StepCode:
    """Slices at integer positions, which may be computed or constant."""
    x, indices = context.type(0), context.type(1)
    axis, batch = context.attributes.axis, context.attributes.batch_dims
    if indices.dtype is not DType.INT32:
        raise context.refuse(f"indices of {indices.dtype.value} cannot be emitted")
    outer = int(np.prod(x.shape[:batch], dtype=np.int64))
    middle = int(np.prod(x.shape[batch:axis], dtype=np.int64))
    if outer > 1 and middle > 1:
        raise context.refuse("batch dimensions that are not next to the axis")
    run_bytes = int(np.prod(x.shape[axis + 1 :], dtype=np.int64)) * x.dtype.bits // 8
    return context.call(
        "gather.h",
        "gather",
        context.operand(0),
        context.operand(1),
        "y0",
        outer * middle,
        x.shape[axis],
        int(np.prod(indices.shape[batch:], dtype=np.int64)),
        run_bytes,
        int(outer > 1),
    )
