"""Sums, means and extremes along dimensions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import (
    multiply_once_rounded,
    multiply_twice_rounded,
    quantize_multiplier,
)
from budget.ops.operator import (
    Case,
    Cost,
    Operand,
    Operator,
    QuantizedCall,
    Rounding,
    traffic_bytes,
)
from budget.ops.quantized import per_tensor, saturate, types_of
from budget.ops.requantize import operand_type


@dataclass(frozen=True, slots=True)
class ReduceAttributes:
    """Attributes of every reduction.

    Attributes:
        axes: dimensions that are reduced, ascending, not negative.
        keep_dims: reduced dimensions stay with extent 1.
    """

    axes: tuple[int, ...]
    keep_dims: bool = False


class Reduction(Operator):
    """Base: one number for all elements along some dimensions."""

    Attributes = ReduceAttributes
    function: ClassVar[Callable[..., Any]]

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The operand's shape without the reduced dimensions, or with 1 in their place."""
        x = operand_type(inputs, 0)
        axes = set(attributes.axes)
        if any(axis not in range(len(x.shape)) for axis in axes):
            raise ModelError(f"{self.name} along {attributes.axes} of a tensor of shape {x.shape}")
        shape = tuple(
            1 if axis in axes else extent
            for axis, extent in enumerate(x.shape)
            if attributes.keep_dims or axis not in axes
        )
        return (TensorType(shape, x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """One operation for each operand element."""
        count = operand_type(inputs, 0).element_count
        return Cost(
            alu=count,
            flops=self.flops_of(count, outputs[0].element_count),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def flops_of(self, count: int, output_count: int) -> int:
        """What TensorFlow's profiler counts: the first element of each sum is free."""
        return count - output_count

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The reduction in the operand's own type."""
        x = np.asarray(inputs[0])
        y = type(self).function(x, axis=attributes.axes, keepdims=attributes.keep_dims)
        return (np.asarray(y).astype(x.dtype),)

    def cases(self) -> Iterator[Case]:
        """Height and width as pooling does it, one dimension, several, all; dimensions kept."""
        for axes in ((1, 2), (3,), (0,), (1, 3), (0, 1, 2, 3)):
            for keep in (False, True):
                label = f"{''.join(map(str, axes))}{'-keep' if keep else ''}"
                attributes = ReduceAttributes(axes, keep)
                yield Case(label, attributes, (Operand((2, 5, 7, 3)),), self.dtypes, self._output)

    dtypes: ClassVar[tuple[DType, ...]] = (DType.FLOAT32, DType.INT8, DType.INT16)
    _output: ClassVar[str | None] = None


class Mean(Reduction):
    """The arithmetic mean."""

    name = "mean"
    function: ClassVar[Callable[..., Any]] = np.mean
    is_mean: ClassVar[bool] = True

    def flops_of(self, count: int, output_count: int) -> int:
        """One for each element: the quotient makes up for the free first element."""
        return count

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """In float32; integers divide towards zero."""
        x = np.asarray(inputs[0])
        if not np.issubdtype(x.dtype, np.integer):
            return super().run_float(attributes, inputs)
        total = x.astype(np.int64).sum(attributes.axes, keepdims=attributes.keep_dims)
        count = x.size // max(total.size, 1)
        return ((np.sign(total) * (np.abs(total) // count)).astype(x.dtype),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """An exact sum, rescaled; a mean's multiplier includes the quotient.

        TFLite rounds a mean twice and a sum once, TFLM rounds both twice.

        Source: QuantizedMeanOrSum in tensorflow/lite/kernels/internal/reference/reduce.h.
        """
        (x_type,), (y_type,) = types_of(call)
        x, y = per_tensor(x_type), per_tensor(y_type)
        stored = np.asarray(inputs[0]).astype(np.int64)
        total = stored.sum(attributes.axes, keepdims=attributes.keep_dims)
        count = stored.size // max(total.size, 1)
        q, shift = quantize_multiplier(x.scale / y.scale)
        if self.is_mean:
            spare = min(count.bit_length() - 1, 32, 31 + shift)
            q, shift = (q << spare) // count, shift - spare
        multiply = multiply_twice_rounded
        if not self.is_mean and call.rounding is Rounding.TFLITE:
            multiply = multiply_once_rounded
        output = multiply(total - x.zero_point * count, q, shift)
        return (saturate(output + y.zero_point, y_type),)


class Sum(Mean):
    """The sum.

    LiteRT's reference kernel for integers reads memory that nothing has written; its optimised
    kernels are the witness for them.
    """

    name = "sum"
    function = np.sum
    is_mean = False
    dtypes = (DType.FLOAT32,)

    def flops_of(self, count: int, output_count: int) -> int:
        """One less than there are elements, for each sum."""
        return count - output_count

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """In the operand's own type."""
        return Reduction.run_float(self, attributes, inputs)


class ReduceMax(Reduction):
    """The largest element; quantised operand and output share one scale."""

    name = "reduce_max"
    function = np.max
    _output = "same"

    def flops_of(self, count: int, output_count: int) -> int:
        """TensorFlow's profiler counts nothing for it."""
        return 0

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Of the stored numbers; nothing is rescaled."""
        return self.run_float(attributes, inputs)


class ReduceMin(ReduceMax):
    """The smallest element; quantised operand and output share one scale."""

    name = "reduce_min"
    function = np.min


OPERATORS = (Mean(), Sum(), ReduceMax(), ReduceMin())
