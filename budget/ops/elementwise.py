"""Arithmetic on pairs of tensors, with broadcasting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import (
    Int64s,
    activation_bounds,
    apply_activation_float,
    multiply_twice_rounded,
    quantize_multiplier,
    rounding_divide_by_pot,
    wrap_int32,
)
from budget.ops.gemmlowp import leading_sign_bits, reciprocal
from budget.ops.operator import (
    Activation,
    Case,
    Cost,
    NoAttributes,
    Operand,
    Operator,
    QuantizedCall,
    traffic_bytes,
)
from budget.ops.quantized import per_tensor, saturate, types_of

_FLOAT = (DType.FLOAT32,)
_FLOAT_AND_INT8 = (DType.FLOAT32, DType.INT8)


@dataclass(frozen=True, slots=True)
class ArithmeticAttributes:
    """Attributes of `Mul` and `Div`.

    Attributes:
        activation: fused behind the operation.
    """

    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class AddAttributes:
    """Attributes of `Add` and `Sub`.

    Attributes:
        activation: fused behind the operation.
        pot_scale_int16: 16-bit operands have power-of-two scales and are only shifted, as old
            converters promised.
    """

    activation: Activation = Activation.NONE
    pot_scale_int16: bool = False


class Elementwise(Operator):
    """Base: output element = function of the operands' elements at the same (broadcast) place.

    Class attributes:
        operand_count: how many operands there are.
        flops_per_element: as TensorFlow's profiler counts this operator.
    """

    operand_count: ClassVar[int] = 2
    flops_per_element: ClassVar[int] = 1
    overwrites: ClassVar[tuple[int, ...]] = (0, 1)

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """Operands of one type, shapes broadcast against each other."""
        present = same_types(self.name, inputs, self.operand_count)
        return (TensorType(broadcast_shape(self.name, present), present[0].dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """One operation for each output element, and a compare for an activation."""
        count = outputs[0].element_count
        active = getattr(attributes, "activation", Activation.NONE) is not Activation.NONE
        return Cost(
            alu=count * (1 + active),
            flops=count * self.flops_per_element,
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )


class Binary(Elementwise):
    """Base: a function of two numbers."""

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The function in the operands' own type, then the activation."""
        a, b = np.asarray(inputs[0]), np.asarray(inputs[1])
        y = self.compute(a, b)
        active = getattr(attributes, "activation", Activation.NONE)
        if active is not Activation.NONE:
            y = apply_activation_float(active, y)
        return (np.asarray(y).astype(a.dtype),)

    @abstractmethod
    def compute(self, a: Any, b: Any) -> Any:
        """The function on numbers of any type."""

    def cases(self) -> Iterator[Case]:
        """Equal shapes, a scalar, a vector of channels on either side, batch above 1."""
        yield from broadcast_cases(NoAttributes())


class Add(Binary):
    """y = activation(a + b)."""

    name = "add"
    Attributes = AddAttributes
    sign: ClassVar[int] = 1

    def compute(self, a: Any, b: Any) -> Any:
        """A ± b."""
        return a + b if self.sign > 0 else a - b

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Both operands are brought to twice the larger scale, added, and rescaled.

        Sources: tensorflow/lite/kernels/add.cc, sub.cc and internal/reference/integer_ops/add.h.
        """
        (a_type, b_type), (y_type,) = types_of(call)
        a, b, y = per_tensor(a_type), per_tensor(b_type), per_tensor(y_type)
        low, high = activation_bounds(attributes.activation, y_type)
        raw_a = np.asarray(inputs[0]).astype(np.int64) - a.zero_point
        raw_b = np.asarray(inputs[1]).astype(np.int64) - b.zero_point
        if y_type.dtype is DType.INT16 and attributes.pot_scale_int16:
            shifted = [
                rounding_divide_by_pot(raw, round(np.log2(y.scale / type.scale)))
                for raw, type in ((raw_a, a), (raw_b, b))
            ]
            return (saturate(shifted[0] + self.sign * shifted[1], y_type, low, high),)
        left_shift = 15 if y_type.dtype is DType.INT16 else 20
        twice_max = 2.0 * max(a.scale, b.scale)
        scaled_a = _scaled(raw_a << left_shift, a.scale / twice_max)
        scaled_b = _scaled(raw_b << left_shift, b.scale / twice_max)
        total = wrap_int32(scaled_a + self.sign * scaled_b)
        output = _scaled(total, twice_max / ((1 << left_shift) * y.scale))
        return (saturate(output + y.zero_point, y_type, low, high),)

    def cases(self) -> Iterator[Case]:
        """Every activation; every way to broadcast."""
        for activation in Activation:
            operands = (Operand((1, 3, 4, 5)), Operand((1, 3, 4, 5)))
            yield Case(activation.value, self.Attributes(activation), operands)
        yield from broadcast_cases(self.Attributes(), (DType.FLOAT32, DType.INT8, DType.INT16))


class Sub(Add):
    """y = activation(a - b)."""

    name = "sub"
    sign = -1


class Mul(Binary):
    """y = activation(a · b)."""

    name = "mul"
    Attributes = ArithmeticAttributes

    def compute(self, a: Any, b: Any) -> Any:
        """A · b."""
        return a * b

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """The product of the stored differences, rescaled.

        Sources: tensorflow/lite/kernels/mul.cc (the multiplier is computed in float32) and
        internal/reference/integer_ops/mul.h.
        """
        (a_type, b_type), (y_type,) = types_of(call)
        a, b, y = per_tensor(a_type), per_tensor(b_type), per_tensor(y_type)
        raw_a = np.asarray(inputs[0]).astype(np.int64) - a.zero_point
        raw_b = np.asarray(inputs[1]).astype(np.int64) - b.zero_point
        real = a.scale32 * b.scale32 / y.scale32
        output = _scaled(raw_a * raw_b, float(real)) + y.zero_point
        return (saturate(output, y_type, *activation_bounds(attributes.activation, y_type)),)

    def cases(self) -> Iterator[Case]:
        """Every activation; every way to broadcast."""
        for activation in Activation:
            operands = (Operand((1, 3, 4, 5)), Operand((1, 3, 4, 5)))
            yield Case(activation.value, ArithmeticAttributes(activation), operands)
        yield from broadcast_cases(ArithmeticAttributes(), (DType.FLOAT32, DType.INT8, DType.INT16))


class Div(Binary):
    """y = activation(a / b); integers truncate towards zero."""

    name = "div"
    Attributes = ArithmeticAttributes

    def compute(self, a: Any, b: Any) -> Any:
        """A / b."""
        if np.issubdtype(np.asarray(a).dtype, np.integer):
            if np.any(b == 0):
                raise ModelError("integers are divided by zero")
            return np.trunc(a / b)
        with np.errstate(divide="ignore", invalid="ignore"):
            return a / b

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """The dividend times a fixed-point reciprocal; the divisor may not be zero.

        TFLite shifts 32-bit numbers by more than 31 where a quotient is far below one step of the
        output, which C leaves undefined; here such a quotient is 0.

        Sources: tensorflow/lite/kernels/div.cc and internal/reference/div.h.
        """
        (a_type, b_type), (y_type,) = types_of(call)
        a, b, y = per_tensor(a_type), per_tensor(b_type), per_tensor(y_type)
        raw_a, raw_b = np.broadcast_arrays(
            np.asarray(inputs[0]).astype(np.int64) - a.zero_point,
            np.asarray(inputs[1]).astype(np.int64) - b.zero_point,
        )
        if np.any(raw_b == 0):
            raise ModelError("a quantised divisor is zero")
        raw_a, raw_b = np.where(raw_b < 0, -raw_a, raw_a), np.abs(raw_b)
        inverse, bits_over_unit = reciprocal(raw_b, 31)
        headroom = leading_sign_bits(raw_a)
        quotient = multiply_twice_rounded(raw_a, inverse, headroom)
        q, shift = quantize_multiplier(float(a.scale32 / (b.scale32 * y.scale32)))
        total_shift = np.maximum(shift - bits_over_unit - headroom, -62)
        output = multiply_twice_rounded(quotient, q, total_shift) + y.zero_point
        return (saturate(output, y_type, *activation_bounds(attributes.activation, y_type)),)

    def cases(self) -> Iterator[Case]:
        """Every activation; every way to broadcast; a quantised divisor that may not be zero."""
        yield from broadcast_cases(ArithmeticAttributes())
        divisor = tuple(value for value in range(-110, 120, 4) if value)[:20]
        for activation in Activation:
            operands = (
                Operand((1, 4, 5)),
                Operand((1, 4, 5), is_constant=True, values=divisor),
            )
            yield Case(activation.value, ArithmeticAttributes(activation), operands, _FLOAT)


class Maximum(Binary):
    """The larger of two elements; quantised operands and output share one scale."""

    name = "maximum"

    def compute(self, a: Any, b: Any) -> Any:
        """max(a, b)."""
        return np.maximum(a, b)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Of the stored numbers, as TFLite does it: nothing is rescaled."""
        return (np.asarray(self.compute(np.asarray(inputs[0]), np.asarray(inputs[1]))),)

    def cases(self) -> Iterator[Case]:
        """Every way to broadcast."""
        shared = (DType.FLOAT32, DType.INT8, DType.INT16)
        for case in broadcast_cases(NoAttributes(), shared):
            yield Case(case.label, case.attributes, case.operands, shared, "same")


class Minimum(Maximum):
    """The smaller of two elements; quantised operands and output share one scale."""

    name = "minimum"

    def compute(self, a: Any, b: Any) -> Any:
        """min(a, b)."""
        return np.minimum(a, b)


class Pow(Binary):
    """y = a to the power b."""

    name = "pow"

    def compute(self, a: Any, b: Any) -> Any:
        """a^b; not a number for a negative base with a broken exponent."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.power(a, b)

    def cases(self) -> Iterator[Case]:
        """A square, a root, a matching exponent for each element."""
        base = tuple(0.25 * (index + 1) for index in range(12))
        for label, exponent in {"square": (2.0,), "root": (0.5,)}.items():
            operands = (
                Operand((3, 4), is_constant=True, values=base),
                Operand((1,), is_constant=True, values=exponent),
            )
            yield Case(label, NoAttributes(), operands, _FLOAT)


class SquaredDifference(Binary):
    """y = (a - b)²."""

    name = "squared_difference"
    flops_per_element = 2

    def compute(self, a: Any, b: Any) -> Any:
        """(a - b)²."""
        return (a - b) * (a - b)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Both operands at twice the larger scale with 7 more bits, subtracted and squared.

        Source: tensorflow/lite/kernels/squared_difference.cc.
        """
        (a_type, b_type), (y_type,) = types_of(call)
        a, b, y = per_tensor(a_type), per_tensor(b_type), per_tensor(y_type)
        twice_max = 2.0 * max(a.scale, b.scale)
        raw_a = np.asarray(inputs[0]).astype(np.int64) - a.zero_point
        raw_b = np.asarray(inputs[1]).astype(np.int64) - b.zero_point
        difference = _scaled(raw_a << 7, a.scale / twice_max)
        difference = difference - _scaled(raw_b << 7, b.scale / twice_max)
        real = twice_max * twice_max / ((1 << 14) * y.scale)
        return (saturate(_scaled(difference * difference, real) + y.zero_point, y_type),)

    def cases(self) -> Iterator[Case]:
        """Every way to broadcast."""
        yield from broadcast_cases(NoAttributes(), _FLOAT_AND_INT8)


def broadcast_cases(attributes: Any, dtypes: tuple[DType, ...] = _FLOAT) -> Iterator[Case]:
    """Two operands of one shape, a scalar, a vector of channels on either side, both stretched."""
    shapes = {
        "equal": ((2, 3, 5, 4), (2, 3, 5, 4)),
        "scalar": ((1, 3, 5, 2), ()),
        "channels": ((1, 3, 2, 7), (7,)),
        "reverse": ((7,), (1, 3, 2, 7)),
        "both": ((1, 4, 1, 3), (1, 1, 5, 3)),
    }
    for label, (a, b) in shapes.items():
        yield Case(label, attributes, (Operand(a), Operand(b)), dtypes)


def same_types(name: str, inputs: Sequence[TensorType | None], count: int) -> list[TensorType]:
    """The operands, all there and of one element type.

    Raises:
        ModelError: one is missing or differs.
    """
    present = [type for type in inputs if type is not None]
    if len(present) != count:
        raise ModelError(f"{name} needs {count} operands, not {len(present)}")
    if len({type.dtype for type in present}) > 1:
        kinds = " and ".join(type.dtype.value for type in present)
        raise ModelError(f"operands of {name} differ in type: {kinds}")
    return present


def broadcast_shape(name: str, types: Sequence[TensorType]) -> tuple[int, ...]:
    """The shape that all operands stretch to.

    Raises:
        ModelError: they do not agree.
    """
    try:
        return tuple(np.broadcast_shapes(*(type.shape for type in types)))
    except ValueError:
        shapes = " and ".join(str(type.shape) for type in types)
        raise ModelError(f"operands of {name} have shapes {shapes}, which do not agree") from None


def _scaled(x: Int64s, real: float) -> Int64s:
    return multiply_twice_rounded(x, *quantize_multiplier(real))


OPERATORS = (
    Add(),
    Sub(),
    Mul(),
    Div(),
    Maximum(),
    Minimum(),
    Pow(),
    SquaredDifference(),
)
