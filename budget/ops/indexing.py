"""Positions of extremes, and look-up by position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.operator import Case, Cost, Operand, Operator, QuantizedCall, traffic_bytes
from budget.ops.requantize import operand, operand_type


@dataclass(frozen=True, slots=True)
class ArgAttributes:
    """Attributes of `ArgMax` and `ArgMin`.

    Attributes:
        axis: dimension that disappears, not negative.
        dtype: of the positions, int32 or int64.
    """

    axis: int
    dtype: DType = DType.INT32


class _ArgExtreme(Operator):
    """What `ArgMax` and `ArgMin` share."""

    Attributes = ArgAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The input's shape without the axis.

        Raises:
            ModelError: there is no such axis, or nothing along it.
        """
        shape = operand_type(inputs, 0).shape
        axis = attributes.axis
        if not 0 <= axis < len(shape) or not shape[axis]:
            raise ModelError(f"there is no largest element along axis {axis} of shape {shape}")
        return (TensorType((*shape[:axis], *shape[axis + 1 :]), attributes.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """A comparison for each element but the first of every row."""
        comparisons = operand_type(inputs, 0).element_count - outputs[0].element_count
        return Cost(
            alu=comparisons,
            flops=comparisons,
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """As on real numbers: a scale is positive.

        Source: tensorflow/lite/kernels/internal/reference/arg_min_max.h.
        """
        return self.run_float(attributes, inputs)

    def cases(self) -> Iterator[Case]:
        """Every axis, both types of position, ties."""
        for axis in range(3):
            yield Case(f"axis-{axis}", ArgAttributes(axis), (Operand((2, 5, 3)),), _FLOAT_AND_INT8)
        yield Case("int64", ArgAttributes(1, DType.INT64), (Operand((1, 12)),), _FLOAT_AND_INT8)
        yield Case("vector", ArgAttributes(0), (Operand((9,)),), _FLOAT_AND_INT8)


class ArgMax(_ArgExtreme):
    """Position of the largest element along an axis; the first of equals."""

    name = "arg_max"

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The first of the largest."""
        x: Any = operand(inputs, 0)
        return (np.asarray(np.argmax(x, axis=attributes.axis), attributes.dtype.numpy),)


class ArgMin(_ArgExtreme):
    """Position of the smallest element along an axis; the first of equals."""

    name = "arg_min"

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The first of the smallest."""
        x: Any = operand(inputs, 0)
        return (np.asarray(np.argmin(x, axis=attributes.axis), attributes.dtype.numpy),)


@dataclass(frozen=True, slots=True)
class GatherAttributes:
    """Attributes of `Gather`.

    Attributes:
        axis: dimension of x that the indices select from, not negative; 0 is embedding look-up.
        batch_dims: leading dimensions that x and the indices share.
    """

    axis: int = 0
    batch_dims: int = 0


class Gather(Operator):
    """Slices of x at integer positions; inputs x, indices."""

    name = "gather"
    Attributes = GatherAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The axis of x is replaced by the dimensions of the indices behind the batch.

        Raises:
            ModelError: axis, batch or index type make no sense.
        """
        x, indices = operand_type(inputs, 0), operand_type(inputs, 1)
        axis, batch = attributes.axis, attributes.batch_dims
        if not 0 <= batch <= axis < len(x.shape) or x.shape[:batch] != indices.shape[:batch]:
            raise ModelError(
                f"indices of shape {indices.shape} do not select from axis {axis} of shape "
                f"{x.shape} with {batch} batch dimensions"
            )
        if not indices.dtype.is_integer:
            raise ModelError(f"indices are integers, not {indices.dtype.value}")
        return (x.with_shape((*x.shape[:axis], *indices.shape[batch:], *x.shape[axis + 1 :])),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Moves what is selected; the rest of x is not read."""
        moved = traffic_bytes(outputs)
        return Cost(read_bytes=moved + traffic_bytes(inputs[1:]), write_bytes=moved)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Selected slices.

        Raises:
            ModelError: an index lies outside x.
        """
        x, indices = operand(inputs, 0), operand(inputs, 1).astype(np.int64)
        axis, batch = attributes.axis, attributes.batch_dims
        if indices.size and (indices.min() < 0 or indices.max() >= x.shape[axis]):
            raise ModelError(f"an index lies outside the {x.shape[axis]} elements of axis {axis}")
        if not batch:
            return (np.take(x, indices, axis=axis),)
        lead = x.shape[:batch]
        parts = [
            np.take(x[place], indices[place], axis=axis - batch) for place in np.ndindex(*lead)
        ]
        return (np.stack(parts).reshape(*lead, *parts[0].shape),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Stored values are copied.

        Source: tensorflow/lite/kernels/internal/reference/gather.h.
        """
        return self.run_float(attributes, inputs)

    def cases(self) -> Iterator[Case]:
        """Embedding look-up, inner axes, batch dimensions, indices of every rank."""
        for label, x, axis, batch, shape, values in (
            ("embedding", (7, 3), 0, 0, (4,), (6, 0, 3, 3)),
            ("scalar", (5, 2), 0, 0, (), (4,)),
            ("inner-axis", (2, 4, 3), 1, 0, (2, 2), (3, 0, 1, 3)),
            ("last-axis", (2, 6), 1, 0, (3,), (5, 5, 2)),
            ("batch", (2, 4, 3), 1, 1, (2, 2), (3, 0, 1, 2)),
        ):
            indices = Operand(shape, True, DType.INT32, "raw", values=values)
            yield Case(
                label, GatherAttributes(axis, batch), (Operand(x), indices), output_quant="same"
            )


_FLOAT_AND_INT8 = (DType.FLOAT32, DType.INT8)
OPERATORS = (ArgMax(), ArgMin(), Gather())
