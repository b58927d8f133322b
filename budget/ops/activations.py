"""Functions that make a network non-linear, applied to every element by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops import gemmlowp
from budget.ops.elementwise import broadcast_shape, same_types
from budget.ops.fixed_point import (
    Int64s,
    activation_bounds,
    multiply_twice_rounded,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from budget.ops.mathematics import Unary
from budget.ops.operator import (
    Activation,
    Case,
    NoAttributes,
    Operand,
    QuantizedCall,
    Rounding,
)
from budget.ops.quantized import look_up, per_tensor, saturate, table_of, types_of

_FLOAT_AND_INT8 = (DType.FLOAT32, DType.INT8)
_ALL = (DType.FLOAT32, DType.INT8, DType.INT16)


@dataclass(frozen=True, slots=True)
class LeakyReluAttributes:
    """Attributes of `LeakyRelu`.

    Attributes:
        alpha: slope for negative arguments.
    """

    alpha: float = 0.2


@dataclass(frozen=True, slots=True)
class GeluAttributes:
    """Attributes of `Gelu`.

    Attributes:
        approximate: by tanh instead of the error function.
    """

    approximate: bool = False


class Relu(Unary):
    """y = max(x, 0)."""

    name = "relu"
    bounds: ClassVar[Activation] = Activation.RELU
    real_bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def apply(self, attributes: Any, x: Any) -> Any:
        """The argument between two bounds."""
        return np.clip(x, *self.real_bounds)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Rescaled, then clipped to what the bounds are in the output's scale.

        Source: ReluPrepare and QuantizedReluX in tensorflow/lite/kernels/activations.cc.
        """
        (x_type,), (y_type,) = types_of(call)
        x, y = per_tensor(x_type), per_tensor(y_type)
        raw = np.asarray(inputs[0]).astype(np.int64) - x.zero_point
        output = _scaled(raw, float(x.scale32 / y.scale32)) + y.zero_point
        return (saturate(output, y_type, *activation_bounds(self.bounds, y_type)),)

    def cases(self) -> Iterator[Case]:
        """Arguments on both sides of the bounds."""
        yield from _cases(NoAttributes(), _FLOAT_AND_INT8)


class Relu6(Relu):
    """y = min(max(x, 0), 6)."""

    name = "relu6"
    bounds = Activation.RELU6
    real_bounds = (0.0, 6.0)


class ReluN1To1(Relu):
    """y = min(max(x, -1), 1)."""

    name = "relu_n1_to_1"
    bounds = Activation.RELU_N1_TO_1
    real_bounds = (-1.0, 1.0)


class LeakyRelu(Unary):
    """y = x where x > 0, else alpha · x."""

    name = "leaky_relu"
    Attributes = LeakyReluAttributes

    def apply(self, attributes: Any, x: Any) -> Any:
        """A line with a bend."""
        return np.where(x > 0, x, x * np.float32(attributes.alpha))

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """One multiplier for each side of zero, both computed in float32.

        Source: LeakyReluPrepare in tensorflow/lite/kernels/activations.cc and
        internal/reference/leaky_relu.h.
        """
        (x_type,), (y_type,) = types_of(call)
        x, y = per_tensor(x_type), per_tensor(y_type)
        raw = np.asarray(inputs[0]).astype(np.int64) - x.zero_point
        above = _scaled(raw, float(x.scale32 / y.scale32))
        slope = x.scale32 * np.float32(attributes.alpha) / y.scale32
        below = _signed_scaled(raw, float(slope))
        return (saturate(np.where(raw >= 0, above, below) + y.zero_point, y_type),)

    def cases(self) -> Iterator[Case]:
        """Slopes below and above 1."""
        for alpha in (0.1, 0.3, 1.5):
            yield from _cases(LeakyReluAttributes(alpha), _ALL, f"{alpha}-")


class Prelu(Unary):
    """y = x where x >= 0, else alpha · x; alpha is the second operand, broadcast to the first."""

    name = "prelu"
    operand_count = 2

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The first operand's type; the slopes must stretch to its shape."""
        x, alpha = same_types(self.name, inputs, 2)
        if broadcast_shape(self.name, (x, alpha)) != x.shape:
            raise ModelError(f"slopes of shape {alpha.shape} do not stretch to {x.shape}")
        return (TensorType(x.shape, x.dtype),)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A line with a bend for each channel."""
        x, alpha = np.asarray(inputs[0]), np.asarray(inputs[1])
        return (np.where(x >= 0, x, x * alpha),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """One multiplier for the positive side, one for the product with the slope.

        Source: PreluPrepare in tensorflow/lite/kernels/activations.cc and
        internal/reference/prelu.h.
        """
        (x_type, alpha_type), (y_type,) = types_of(call)
        x, alpha, y = per_tensor(x_type), per_tensor(alpha_type), per_tensor(y_type)
        raw = np.asarray(inputs[0]).astype(np.int64) - x.zero_point
        slope = np.asarray(inputs[1]).astype(np.int64) - alpha.zero_point
        above = _scaled(raw, float(x.scale32 / y.scale32))
        below = _scaled(raw * slope, float(x.scale32 * alpha.scale32 / y.scale32))
        return (saturate(np.where(raw >= 0, above, below) + y.zero_point, y_type),)

    def cases(self) -> Iterator[Case]:
        """A slope for each channel, one for all, one for each element."""
        for label, shape in {"channels": (1, 1, 4), "one": (1, 1, 1), "each": (3, 5, 4)}.items():
            operands = (Operand((2, 3, 5, 4)), Operand(shape, is_constant=True))
            yield Case(label, NoAttributes(), operands, _FLOAT_AND_INT8)


class _Tabulated(Unary):
    """Base: 8-bit numbers through a table of 256 results."""

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """A look-up in a table made from the float function."""
        (x_type,), (y_type,) = types_of(call)
        table = table_of(lambda x: np.asarray(self.apply(attributes, x)), x_type, y_type)
        return (look_up(inputs[0], table, x_type),)


class _Sigmoid(_Tabulated):
    """Base of the functions that share TFLite's table of 256 values for 16-bit numbers."""

    integer_shift: ClassVar[int]

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

    def interpolated(self, x: Array, scale: float) -> Int64s:
        """16-bit results."""
        raise NotImplementedError

    def fixed_point(self, x: Array, x_type: TensorType) -> Int64s:
        """8-bit results of the microcontroller kernels."""
        raise NotImplementedError


class Logistic(_Sigmoid):
    """y = 1 / (1 + exp(-x)); quantised outputs have scale 1/256, or 1/32768 for 16 bits."""

    name = "logistic"

    def apply(self, attributes: Any, x: Any) -> Any:
        """The same in double precision, with TFLite's cut-offs.

        Source: tensorflow/lite/kernels/internal/reference/logistic.h: above 16.619 the result is
        1, below -9 it is exp(x).
        """
        wide = np.maximum(x, -500).astype(np.float64)  # its exponential is 0 in float32 anyway
        y = np.where(x < -9.0, np.exp(wide), 1 / (1 + np.exp(-wide)))
        return np.where(x > np.float32(16.619047164916992188), 1.0, y).astype(np.float32)

    def interpolated(self, x: Array, scale: float) -> Int64s:
        """Source: Logistic for int16 in internal/reference/integer_ops/logistic.h."""
        z = _to_table_units(x, scale)
        magnitude = np.abs(z)
        index = np.minimum(magnitude >> 9, 254)
        left, right = _SIGMOID.values[index], _SIGMOID.values[index + 1]
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
        yield from _cases(NoAttributes(), (DType.FLOAT32,), "float-")
        yield from _cases(NoAttributes(), (DType.INT8,), "int8-", (1 / 256, -128))
        yield from _cases(NoAttributes(), (DType.INT16,), "int16-", (1 / 32768, 0))


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
        left, right = _SIGMOID.values[index], _SIGMOID.values[index + 1]
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
        yield from _cases(NoAttributes(), (DType.FLOAT32,), "float-")
        yield from _cases(NoAttributes(), (DType.INT8,), "int8-", (1 / 128, 0))
        yield from _cases(NoAttributes(), (DType.INT16,), "int16-", (1 / 32768, 0))


class HardSwish(Unary):
    """y = x · min(max(x + 3, 0), 6) / 6."""

    name = "hard_swish"

    def apply(self, attributes: Any, x: Any) -> Any:
        """Three multiplications and two bounds."""
        return x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """The product of two 16-bit numbers: x itself, and x brought from [-3, 3] to [0, 1].

        Source: HardSwishPrepare in tensorflow/lite/kernels/activations.cc and
        internal/reference/hard_swish.h.
        """
        (x_type,), (y_type,) = types_of(call)
        x, y = per_tensor(x_type), per_tensor(y_type)
        fine_scale = np.float32(1 / 128) * x.scale32
        output_q, output_shift = _multiplier16(fine_scale / y.scale32)
        gate_q, gate_shift = _multiplier16(fine_scale / np.float32(3 / 32768))
        fine = _wrap16((np.asarray(inputs[0]).astype(np.int64) - x.zero_point) * 128)
        value = _rounding_high_mul16(fine, output_q)
        gate = fine
        if gate_shift > 0:
            gate = _clip16(gate << (gate_shift - 1))
        gate = _rounding_high_mul16(gate, gate_q)
        right = max(-gate_shift, 0)
        gate = _clip16(gate << 1) if gate_shift > 0 else rounding_divide_by_pot(gate, right)
        gate = (gate + (1 << 15)) >> 1
        product = gate * value
        product = np.where(product >= 0, product >> 15, -((-product) >> 15))
        output = rounding_divide_by_pot(product, max(-output_shift, 0))
        return (saturate(output + y.zero_point, y_type),)

    def cases(self) -> Iterator[Case]:
        """Arguments on both sides of ±3."""
        yield from _cases(NoAttributes(), _FLOAT_AND_INT8)


class Elu(_Tabulated):
    """y = x where x >= 0, else exp(x) - 1."""

    name = "elu"
    witness = "tensorflow"

    def apply(self, attributes: Any, x: Any) -> Any:
        """An exponential below zero."""
        return np.where(x < 0, np.expm1(np.minimum(x, 0).astype(np.float64)), x).astype(np.float32)

    def cases(self) -> Iterator[Case]:
        """Arguments on both sides of zero."""
        yield from _cases(NoAttributes(), (DType.FLOAT32,))


class Gelu(_Tabulated):
    """y = x · Φ(x), Φ the normal distribution, or its approximation by tanh."""

    name = "gelu"
    Attributes = GeluAttributes

    def apply(self, attributes: Any, x: Any) -> Any:
        """Exact through the error function, or 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))."""
        wide = x.astype(np.float64)
        if attributes.approximate:
            inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
            return (0.5 * wide * (1 + np.tanh(inner))).astype(np.float32)
        error = np.vectorize(math.erf, otypes=[np.float64])(wide * math.sqrt(0.5))
        return (0.5 * wide * (1 + error)).astype(np.float32)

    def cases(self) -> Iterator[Case]:
        """Exact and approximate."""
        for approximate in (False, True):
            label = "tanh-" if approximate else "erf-"
            yield from _cases(GeluAttributes(approximate), _FLOAT_AND_INT8, label)


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


_SIGMOID = _SigmoidTable()


def _cases(
    attributes: Any,
    dtypes: tuple[DType, ...],
    prefix: str = "",
    output_quant: tuple[float, int] | None = None,
) -> Iterator[Case]:
    for label, shape in {"odd": (1, 3, 5, 7), "batch": (4, 64)}.items():
        yield Case(prefix + label, attributes, (Operand(shape),), dtypes, output_quant)


def _scaled(x: Int64s, real: float) -> Int64s:
    return multiply_twice_rounded(x, *quantize_multiplier(real))


def _signed_scaled(x: Int64s, real: float) -> Int64s:
    q, shift = quantize_multiplier(abs(real))
    return multiply_twice_rounded(x, q if real >= 0 else -q, shift)


def _to_table_units(x: Array, scale: float) -> Int64s:
    """Arguments in units of 1 / 12288, as SigmoidPrepare and TanhPrepare set them up."""
    raw = x.astype(np.int64)
    shift = round(math.log2(scale))
    if scale == 2.0**shift and shift + 12 >= 0:
        return raw * (3 << (shift + 12))
    multiplier, left = scale * 4096 * 3, 0
    while multiplier <= 32767 / 2 and left <= 30:
        left += 1
        multiplier *= 2
    rounding = 1 << (left - 1) if left > 0 else 0
    return np.asarray((raw * int(multiplier) + rounding) >> left)


def _to_q4(x: Array, x_type: TensorType) -> tuple[Int64s, Int64s, int]:
    """Differences from zero, the same in Q4, and the difference from which on Q4 overflows."""
    quant = per_tensor(x_type)
    raw = x.astype(np.int64) - quant.zero_point
    q, shift = quantize_multiplier(quant.scale * (1 << 27))
    radius = math.floor(15 * 2.0 ** (27 - shift))
    inside = np.clip(raw, -radius, radius)
    return raw, multiply_twice_rounded(inside, q, shift), radius


def _multiplier16(real: np.float32) -> tuple[int, int]:
    q, shift = quantize_multiplier(float(real))
    return min((q + (1 << 15)) >> 16, 32767), shift


def _rounding_high_mul16(a: Int64s, b: int) -> Int64s:
    product = a * b + np.where(a >= 0, 1 << 14, 1 - (1 << 14))  # b is not negative
    return np.where(product >= 0, product >> 15, -((-product) >> 15))


def _wrap16(x: Int64s) -> Int64s:
    return x.astype(np.int16).astype(np.int64)


def _clip16(x: Int64s) -> Int64s:
    return np.clip(x, -32768, 32767)


OPERATORS = (
    Relu(),
    Relu6(),
    ReluN1To1(),
    LeakyRelu(),
    Prelu(),
    Logistic(),
    Tanh(),
    HardSwish(),
    Elu(),
    Gelu(),
)
