"""The logistic function and the hyperbolic tangent, which share a table."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from budget.graph.types import Array, DType, TensorType
from budget.ops import gemmlowp
from budget.ops.activations import Tabulated, unary_cases
from budget.ops.fixed_point import (
    Int64s,
    multiply_twice_rounded,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from budget.ops.operator import Case, NoAttributes, QuantizedCall, Rounding
from budget.ops.quantized import per_tensor, saturate, types_of


class _Sigmoid(Tabulated):
    """Base of the functions that share TFLite's table of 256 values for 16-bit numbers."""

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """A table for 8 bits, interpolation for 16; TFLM computes 8 bits in fixed point."""
        (x_type,), (y_type,) = types_of(call)
        x = np.asarray(inputs[0])
        if x_type.dtype is DType.INT16:
            return (saturate(self.interpolated(x, per_tensor(x_type).scale), y_type),)
        if call.rounding is Rounding.TFLM:
            return (saturate(self.fixed_point(x, x_type), y_type),)
        return super().run_quantized(attributes, inputs, call)

    @abstractmethod
    def interpolated(self, x: Array, scale: float) -> Int64s:
        """16-bit results."""

    @abstractmethod
    def fixed_point(self, x: Array, x_type: TensorType) -> Int64s:
        """8-bit results of the microcontroller kernels."""


class Logistic(_Sigmoid):
    """y = 1 / (1 + exp(-x)); quantised outputs have scale 1/256, or 1/32768 for 16 bits."""

    name = "logistic"

    def apply(self, attributes: Any, x: Any) -> Any:
        """The same in double precision, with TFLite's cut-offs.

        Source: tensorflow/lite/kernels/internal/reference/logistic.h: above 16.619 the result is
        1, below -9 it is exp(x).
        """
        wide = np.clip(x.astype(np.float64), -500, 500)  # beyond it is 0 or 1 in float32
        y = np.where(x < -9.0, np.exp(wide), 1 / (1 + np.exp(-wide)))
        return np.where(x > np.float32(16.619047164916992188), 1.0, y).astype(np.float32)

    def interpolated(self, x: Array, scale: float) -> Int64s:
        """Source: Logistic for int16 in internal/reference/integer_ops/logistic.h."""
        z = _to_table_units(x, scale)
        magnitude = np.abs(z)
        index = np.minimum(magnitude >> 9, 254)
        left, right = SIGMOID_TABLE.values[index], SIGMOID_TABLE.values[index + 1]
        y = np.where(
            magnitude >> 9 >= 255, 0x7FFF << 10, (left << 9) + (magnitude & 0x1FF) * (right - left)
        )
        return np.asarray(np.where(z >= 0, y + (1 << 9), (1 << 25) - y + (1 << 9) - 1) >> 10)

    def fixed_point(self, x: Array, x_type: TensorType) -> Int64s:
        """Source: Logistic for int8 in internal/reference/integer_ops/logistic.h."""
        raw, scaled, radius = _to_q4(x, x_type)
        y = rounding_divide_by_pot(gemmlowp.logistic(scaled, 4), 23) - 128
        return np.where(raw <= -radius, -128, np.where(raw >= radius, 127, y))

    def cases(self) -> Iterator[Case]:
        """Arguments over the whole range."""
        yield from unary_cases(NoAttributes(), (DType.FLOAT32,), "float-")
        yield from unary_cases(NoAttributes(), (DType.INT8,), "int8-", (1 / 256, -128))
        yield from unary_cases(NoAttributes(), (DType.INT16,), "int16-", (1 / 32768, 0))


class Tanh(_Sigmoid):
    """y = tanh x; quantised outputs have scale 1/128, or 1/32768 for 16 bits."""

    name = "tanh"

    def apply(self, attributes: Any, x: Any) -> Any:
        """The hyperbolic tangent."""
        return np.tanh(x.astype(np.float64)).astype(np.float32)

    def interpolated(self, x: Array, scale: float) -> Int64s:
        """By tanh x = 2 · logistic(2x) - 1.

        Source: Tanh for int16 in internal/reference/integer_ops/tanh.h.
        """
        z = _to_table_units(x, scale)
        magnitude = np.abs(z)
        index = np.minimum(magnitude >> 8, 254)
        left, right = SIGMOID_TABLE.values[index], SIGMOID_TABLE.values[index + 1]
        y = np.where(
            magnitude >> 8 >= 255, 0xFFFF << 8, (left << 8) + (magnitude & 0xFF) * (right - left)
        )
        up, half = 1 << 23, 1 << 7
        return np.asarray(np.where(z >= 0, y - up + half, -y + up + half - 1) >> 8)

    def fixed_point(self, x: Array, x_type: TensorType) -> Int64s:
        """Source: Tanh for int8 in internal/reference/integer_ops/tanh.h."""
        raw, scaled, radius = _to_q4(x, x_type)
        y = rounding_divide_by_pot(gemmlowp.tanh(scaled, 4), 24)
        return np.where(raw <= -radius, -128, np.where(raw >= radius, 127, y))

    def cases(self) -> Iterator[Case]:
        """Arguments over the whole range."""
        yield from unary_cases(NoAttributes(), (DType.FLOAT32,), "float-")
        yield from unary_cases(NoAttributes(), (DType.INT8,), "int8-", (1 / 128, 0))
        yield from unary_cases(NoAttributes(), (DType.INT16,), "int16-", (1 / 32768, 0))


class _SigmoidTable:
    """TFLite's sigmoid_table_uint16: 65536 · logistic(i / 24) for i = 0 … 255, made on first use.

    Each sample is lifted by half of what the straight line to the next one misses in its middle;
    the last one, which only ends the last line, is the largest number of 16 bits.
    """

    def __init__(self) -> None:
        self._values: Int64s | None = None

    @property
    def values(self) -> Int64s:
        if self._values is None:
            exact = 65536 / (1 + np.exp(-np.arange(511) / 48))
            samples, middles = exact[::2], exact[1::2]
            missed = middles - (samples[:-1] + samples[1:]) / 2
            lifted = np.floor(samples[:-1] + missed / 2 + 0.5).astype(np.int64)
            self._values = np.append(lifted, 65535)
        return self._values


SIGMOID_TABLE = _SigmoidTable()


def table_units(scale: float) -> tuple[int, int]:
    """Multiplier and right shift that bring 16-bit arguments to units of 1 / 12288.

    Source: SigmoidPrepare and TanhPrepare in tensorflow/lite/kernels/activations.cc.
    """
    shift = round(math.log2(scale))
    if scale == 2.0**shift and shift + 12 >= 0:
        return 3 << (shift + 12), 0
    multiplier, right = scale * 4096 * 3, 0
    while multiplier <= 32767 / 2 and right <= 30:
        right += 1
        multiplier *= 2
    return int(multiplier), right


def _to_table_units(x: Array, scale: float) -> Int64s:
    multiplier, right = table_units(scale)
    rounding = 1 << (right - 1) if right > 0 else 0
    return np.asarray((x.astype(np.int64) * multiplier + rounding) >> right)


def _to_q4(x: Array, x_type: TensorType) -> tuple[Int64s, Int64s, int]:
    """Differences from zero, the same in Q4, and the difference from which on Q4 overflows."""
    quant = per_tensor(x_type)
    raw = x.astype(np.int64) - quant.zero_point
    q, shift = quantize_multiplier(quant.scale * (1 << 27))
    radius = math.floor(15 * 2.0 ** (27 - shift))
    inside = np.clip(raw, -radius, radius)
    return raw, multiply_twice_rounded(inside, q, shift), radius


OPERATORS = (Logistic(), Tanh())
