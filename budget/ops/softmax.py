"""Normalised exponentials along the last dimension."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops import gemmlowp
from budget.ops.fixed_point import (
    Int64s,
    multiply_twice_rounded,
    quantize_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    wrap_int32,
)
from budget.ops.operator import (
    Case,
    Cost,
    NoAttributes,
    Operand,
    Operator,
    QuantizedCall,
    Rounding,
    traffic_bytes,
)
from budget.ops.quantized import interpolate, interpolation_table, per_tensor, saturate, types_of
from budget.ops.requantize import operand_type
from budget.records import record


@record
class SoftmaxAttributes:
    """Attributes of `Softmax`.

    Attributes:
        beta: factor in front of the argument.
    """

    beta: float = 1.0


class Softmax(Operator):
    """y = exp(βx) / Σ exp(βx) along the last dimension."""

    name = "softmax"
    Attributes: ClassVar[type] = SoftmaxAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The operand's own shape and type."""
        x = operand_type(inputs, 0)
        if not x.shape:
            raise ModelError(f"{self.name} needs a tensor with at least one dimension")
        return (TensorType(x.shape, x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Five operations for each element: maximum, difference, exponential, sum, quotient."""
        count = outputs[0].element_count
        return Cost(
            alu=5 * count,
            flops=self.flops_of(count),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def flops_of(self, count: int) -> int:
        """What TensorFlow's profiler counts for so many elements."""
        return 5 * count

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """In float32, the largest element taken off first."""
        x = np.asarray(inputs[0])
        exponentials = np.exp((x - x.max(-1, keepdims=True)) * x.dtype.type(attributes.beta))
        return (exponentials / exponentials.sum(-1, keepdims=True),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """8 bits through fixed-point exponentials, 16 bits through two tables.

        Source: tensorflow/lite/kernels/internal/reference/softmax.h and SoftmaxPrepare in
        tensorflow/lite/kernels/activations.cc.
        """
        (x_type,), (y_type,) = types_of(call)
        x = np.asarray(inputs[0]).astype(np.int64)
        difference = x - x.max(-1, keepdims=True)
        scale = per_tensor(x_type).scale
        if x_type.dtype is DType.INT16:
            is_tflm = call.rounding is Rounding.TFLM
            return (saturate(_softmax16(difference, scale * attributes.beta, is_tflm), y_type),)
        q, shift, least = q5_multiplier(attributes.beta, scale)
        counted = difference >= least
        scaled = multiply_twice_rounded(np.maximum(difference, least), q, shift)
        exponentials = gemmlowp.exp_on_negative_values(scaled, 5)
        parts = np.where(counted, rounding_divide_by_pot(exponentials, 12), 0)
        total = wrap_int32(parts.sum(-1, keepdims=True))
        inverse, bits_over_unit = gemmlowp.reciprocal(total, 12)
        product = saturating_rounding_doubling_high_mul(inverse, exponentials)
        output = rounding_divide_by_pot(product, bits_over_unit + 31 - y_type.dtype.bits)
        lowest = -(1 << (y_type.dtype.bits - 1)) if y_type.dtype.value.startswith("int") else 0
        return (saturate(np.where(counted, output, 0) + lowest, y_type),)

    def cases(self) -> Iterator[Case]:
        """Every rank, a steep and a flat beta, one class, many classes."""
        quants: dict[DType, tuple[float, int] | None] = {
            DType.FLOAT32: None,
            DType.INT8: (1 / 256, -128),
            DType.INT16: (1 / 32768, 0),
        }
        for dtype, quant in quants.items():
            for shape in ((12,), (1, 1), (3, 10), (2, 3, 5), (1, 2, 3, 300)):
                label = f"{dtype.value}-{'x'.join(map(str, shape))}"
                yield Case(label, SoftmaxAttributes(), (Operand(shape),), (dtype,), quant)
            for beta in (0.25, 3.0):
                attributes = SoftmaxAttributes(beta)
                label = f"{dtype.value}-beta-{beta}"
                yield Case(label, attributes, (Operand((2, 10)),), (dtype,), quant)


class LogSoftmax(Softmax):
    """y = x - ln Σ exp(x) along the last dimension; 8-bit outputs have scale 1/16, zero at 127."""

    name = "log_softmax"
    Attributes = NoAttributes

    def flops_of(self, count: int) -> int:
        """TensorFlow's profiler counts nothing for it."""
        return 0

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """In float32, the largest element taken off first."""
        x = np.asarray(inputs[0])
        largest = x.max(-1, keepdims=True)
        return (x - largest - np.log(np.exp(x - largest).sum(-1, keepdims=True)),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Fixed-point exponentials and logarithm.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/log_softmax.h.
        """
        (x_type,), (y_type,) = types_of(call)
        x = np.asarray(inputs[0]).astype(np.int64)
        difference = x - x.max(-1, keepdims=True)
        q, shift, least = q5_multiplier(1.0, per_tensor(x_type).scale)
        scaled = multiply_twice_rounded(np.maximum(difference, least), q, shift)
        exponentials = gemmlowp.exp_on_negative_values(scaled, 5)
        parts = np.where(difference >= least, rounding_divide_by_pot(exponentials, 12), 0)
        log_sum = gemmlowp.log_of_at_least_one(wrap_int32(parts.sum(-1, keepdims=True)), 12, 5)
        reverse_q, reverse_shift = quantize_multiplier((1 << 31) / q)
        reach = multiply_twice_rounded(log_sum - 2**31, reverse_q, reverse_shift - shift)
        lowest = np.maximum(least - 1, reach)
        output = rounding_divide_by_pot(scaled - log_sum, 31 - 5 - 4) + 127
        return (saturate(np.where(difference > lowest, output, -128), y_type),)

    def cases(self) -> Iterator[Case]:
        """Every rank."""
        for dtype, quant in {DType.FLOAT32: None, DType.INT8: (16 / 256, 127)}.items():
            for shape in ((12,), (1, 1), (3, 10), (1, 2, 3, 300)):
                label = f"{dtype.value}-{'x'.join(map(str, shape))}"
                yield Case(label, NoAttributes(), (Operand(shape),), (dtype,), quant)


def q5_multiplier(beta: float, scale: float) -> tuple[int, int, int]:
    """Multiplier and shift to Q5, and the smallest difference that Q5 can hold.

    Source: PreprocessSoftmaxScaling and CalculateInputRadius in
    tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    q, shift = quantize_multiplier(min(beta * scale * (1 << 26), 2.0**31 - 1))
    return q, shift, -math.floor(31 * 2.0**26 / 2.0**shift)


def _softmax16(difference: Int64s, scale: float, is_tflm: bool) -> Int64s:
    exponential_table = interpolation_table(np.exp, -10.0, 0.0, in_float32=is_tflm)
    reciprocal_table = interpolation_table(lambda x: 1 / (1 + x), 0.0, 1.0, in_float32=is_tflm)
    q, shift = quantize_multiplier(scale / (10.0 / 65535.0))
    scaled = multiply_twice_rounded(difference, q, shift)
    parts = interpolate(np.clip(scaled + 32767, -32768, 32767), exponential_table)
    total = parts.sum(-1, keepdims=True)
    headroom = gemmlowp.leading_zeros(total)
    shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
    inverse = interpolate(
        np.clip(shifted - ((1 << 15) + (1 << 16)), -32768, 32767), reciprocal_table
    )
    right = 31 - headroom
    scaled = (parts * inverse + (np.int64(1) << (right - 1))) >> right
    return np.asarray(np.clip(scaled, 0, 32767))


OPERATORS = (Softmax(), LogSoftmax())
