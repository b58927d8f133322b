"""Functions that make a network non-linear, applied to every element by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.elementwise import Elementwise, broadcast_shape, same_types
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
    dtypes: ClassVar[tuple[DType, ...]] = _ALL

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
        yield from unary_cases(NoAttributes(), self.dtypes)


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
    dtypes = _FLOAT_AND_INT8


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
            yield from unary_cases(LeakyReluAttributes(alpha), _ALL, f"{alpha}-")


class Prelu(Elementwise):
    """y = x where x >= 0, else alpha · x; alpha is the second operand, broadcast to the first."""

    name = "prelu"
    overwrites = (0,)
    flops_per_element = 0

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


class Tabulated(Unary):
    """Base: 8-bit numbers through a table of 256 results."""

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """A look-up in a table made from the float function."""
        (x_type,), (y_type,) = types_of(call)
        table = table_of(lambda x: np.asarray(self.apply(attributes, x)), x_type, y_type)
        return (look_up(inputs[0], table, x_type),)


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
        yield from unary_cases(NoAttributes(), _FLOAT_AND_INT8)


class Elu(Tabulated):
    """y = x where x >= 0, else exp(x) - 1."""

    name = "elu"
    witness = "tensorflow"

    def apply(self, attributes: Any, x: Any) -> Any:
        """An exponential below zero."""
        return np.where(x < 0, np.expm1(np.minimum(x, 0).astype(np.float64)), x).astype(np.float32)

    def cases(self) -> Iterator[Case]:
        """Arguments on both sides of zero."""
        yield from unary_cases(NoAttributes(), (DType.FLOAT32,))


class Gelu(Tabulated):
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
            yield from unary_cases(GeluAttributes(approximate), _FLOAT_AND_INT8, label)


def unary_cases(
    attributes: Any,
    dtypes: tuple[DType, ...],
    prefix: str = "",
    output_quant: tuple[float, int] | None = None,
) -> Iterator[Case]:
    """An odd number of elements, and a batch with arguments from all of the range."""
    for label, shape in {"odd": (1, 3, 5, 7), "batch": (4, 64)}.items():
        yield Case(prefix + label, attributes, (Operand(shape),), dtypes, output_quant)


def _scaled(x: Int64s, real: float) -> Int64s:
    return multiply_twice_rounded(x, *quantize_multiplier(real))


def _signed_scaled(x: Int64s, real: float) -> Int64s:
    q, shift = quantize_multiplier(abs(real))
    return multiply_twice_rounded(x, q if real >= 0 else -q, shift)


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
    HardSwish(),
    Elu(),
    Gelu(),
)
