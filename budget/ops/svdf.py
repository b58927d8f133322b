"""A fully connected layer over a window of time, of rank one or a few (SVDF)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import (
    activation_bounds,
    apply_activation_float,
    multiply_twice_rounded,
    quantize_multiplier,
)
from budget.ops.operator import (
    Activation,
    Case,
    Cost,
    Operand,
    Operator,
    QuantizedCall,
    traffic_bytes,
)
from budget.ops.quantized import per_tensor
from budget.ops.requantize import has_operand, operand, operand_type, quant_of
from budget.records import record


@record
class SvdfAttributes:
    """Attributes of `Svdf`.

    Attributes:
        rank: filters that are added up for each output.
        activation: fused behind the sum.
    """

    rank: int = 1
    activation: Activation = Activation.NONE


class Svdf(Operator):
    """Features of x [batch][in] enter a memory of steps; y sums it by weights in time, and rank.

    Operands: x, feature weights [filters][in], time weights [filters][memory], bias
    [filters/rank] or absent, memory [batch][filters·memory] or absent. Results: y, memory. In
    integers x and y have 8 bits, time weights and memory 16.
    """

    name = "svdf"
    integer_witnesses: ClassVar[dict[DType, str]] = {DType.INT8: "litert"}
    Attributes = SvdfAttributes
    witness = "tensorflow"

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """Results [batch][filters/rank] and the memory.

        Raises:
            ModelError: weights, bias or memory do not fit together.
        """
        x, features, times = (operand_type(inputs, index) for index in range(3))
        if len(x.shape) != 2 or len(features.shape) != 2 or features.shape[1] != x.shape[1]:
            raise ModelError(f"feature weights of {features.shape} do not fit inputs of {x.shape}")
        filters = features.shape[0]
        if len(times.shape) != 2 or times.shape[0] != filters:
            raise ModelError(f"time weights of {times.shape} do not fit {filters} filters")
        if attributes.rank < 1 or filters % attributes.rank:
            raise ModelError(f"{filters} filters are no whole number of ranks {attributes.rank}")
        units = filters // attributes.rank
        if has_operand(inputs, 3) and operand_type(inputs, 3).element_count != units:
            raise ModelError(f"{units} outputs need as many biases")
        shape = (x.shape[0], filters * times.shape[1])
        if has_operand(inputs, 4) and operand_type(inputs, 4).shape != shape:
            raise ModelError(f"the memory is not {list(shape)}")
        dtype = DType.INT16 if x.dtype.is_integer else x.dtype
        return TensorType((x.shape[0], units), x.dtype), TensorType(shape, dtype)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """A MAC for each feature weight and each time weight; the filters of a rank are added."""
        x, features, times = (operand_type(inputs, index) for index in range(3))
        batch = x.shape[0]
        macs = batch * (features.element_count + times.element_count)
        count = outputs[0].element_count
        return Cost(
            macs=macs,
            macs_run=macs,
            alu=count * (1 + attributes.rank),
            flops=2 * macs + count * (attributes.rank - 1 + has_operand(inputs, 3)),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """In float32; the memory is returned moved on by one step, its last place zero."""
        x, features, times = (operand(inputs, index).astype(np.float32) for index in range(3))
        filters, steps = times.shape
        memory = self._memory(inputs, (len(x), filters, steps), np.float32)
        memory[:, :, -1] = x @ features.T
        sums = (memory * times).sum(axis=2, dtype=np.float32)
        y = sums.reshape(len(x), -1, attributes.rank).sum(axis=2, dtype=np.float32)
        if has_operand(inputs, 3):
            y = y + operand(inputs, 3).reshape(-1)
        y = apply_activation_float(attributes.activation, y.astype(np.float32))
        return y, self._moved_on(memory)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Features rounded to 16 bits, sums over time in 32.

        Source: EvalIntegerSVDF in tensorflow/lite/kernels/internal/reference/svdf.h. A fused
        activation does not narrow the integers' range there.
        """
        x_type, y_type = operand_type(call.inputs, 0), call.outputs[0]
        if x_type.dtype is not DType.INT8 or y_type.dtype is not DType.INT8:
            raise ModelError("integers other than of 8 bits have no kernel here")
        (q1, shift1), (q2, shift2) = svdf_multipliers(call.inputs, call.outputs)
        x, features, times = (operand(inputs, index).astype(np.int64) for index in range(3))
        filters, steps = times.shape
        memory = self._memory(inputs, (len(x), filters, steps), np.int64)
        found = (x - per_tensor(x_type).zero_point) @ features.T
        memory[:, :, -1] = np.clip(multiply_twice_rounded(found, q1, shift1), -32768, 32767)
        y = (memory * times).sum(axis=2).reshape(len(x), -1, attributes.rank).sum(axis=2)
        if has_operand(inputs, 3):
            y = y + operand(inputs, 3).reshape(-1)
        stored = multiply_twice_rounded(y, q2, shift2) + per_tensor(y_type).zero_point
        low, high = activation_bounds(Activation.NONE, y_type)
        y = np.clip(stored, low, high).astype(np.int8)
        return y, self._moved_on(memory).astype(np.int16)

    def _memory(self, inputs: Sequence[Array | None], shape: tuple[int, ...], dtype: Any) -> Any:
        if not has_operand(inputs, 4):
            return np.zeros(shape, dtype)
        return operand(inputs, 4).astype(dtype).reshape(shape).copy()

    def _moved_on(self, memory: Any) -> Any:
        moved = np.zeros_like(memory)
        moved[:, :, :-1] = memory[:, :, 1:]
        return moved.reshape(len(memory), -1)

    def cases(self) -> Iterator[Case]:
        """Ranks, with and without bias and memory, an activation."""
        for label, rank, with_bias, with_memory, activation in (
            ("plain", 1, True, False, Activation.NONE),
            ("rank-2", 2, True, True, Activation.NONE),
            ("no-bias", 1, False, True, Activation.NONE),
            ("relu", 2, True, True, Activation.RELU),
        ):
            yield Case(
                label,
                SvdfAttributes(rank, activation),
                (
                    Operand((2, 5)),
                    Operand((6, 5), is_constant=True, role="weights"),
                    Operand((6, 4), is_constant=True, role="weights"),
                    Operand((6 // rank,), is_constant=True, role="bias") if with_bias else None,
                    Operand((2, 24)) if with_memory else None,
                ),
                (DType.FLOAT32,),
            )


def svdf_multipliers(
    inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Multiplier and shift of features into the memory, and of sums into results."""
    x, features, times = (operand_type(inputs, index) for index in range(3))
    memory, y = per_tensor(outputs[1]), per_tensor(outputs[0])
    one, two = quant_of(features).scale[0], quant_of(times).scale[0]
    first = per_tensor(x).scale32 * one / memory.scale32
    second = memory.scale32 * two / y.scale32
    return quantize_multiplier(float(first)), quantize_multiplier(float(second))


OPERATORS = (Svdf(),)
