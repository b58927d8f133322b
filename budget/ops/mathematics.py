"""Elementary functions of one argument."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from budget.graph.types import Array, DType
from budget.ops.elementwise import Elementwise
from budget.ops.fixed_point import multiply_twice_rounded, quantize_multiplier
from budget.ops.operator import Case, NoAttributes, Operand, QuantizedCall
from budget.ops.quantized import look_up, per_tensor, saturate, table_of, types_of

_POSITIVE = (0.03125, 0.5, 1.0, 1.5, 2.0, 3.75, 10.0, 100.0, 0.25, 7.0, 42.0, 0.001)


class Unary(Elementwise):
    """Base: a function of every element by itself."""

    operand_count = 1
    overwrites = (0,)
    # TensorFlow's profiler counts nothing for most functions of one argument
    flops_per_element = 0
    dtypes: ClassVar[tuple[DType, ...]] = (DType.FLOAT32,)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The function in the operand's own type."""
        x = np.asarray(inputs[0])
        with np.errstate(all="ignore"):
            return (np.asarray(self.apply(attributes, x)).astype(x.dtype),)

    @abstractmethod
    def apply(self, attributes: Any, x: Any) -> Any:
        """The function on real numbers."""

    def cases(self) -> Iterator[Case]:
        """An odd number of elements; batch above 1."""
        for label, shape in {"odd": (1, 3, 5, 7), "batch": (4, 9)}.items():
            yield Case(label, NoAttributes(), (Operand(shape),), self.dtypes)


class _Mathematics(Unary):
    function: ClassVar[Callable[..., Any]]
    positive: ClassVar[bool] = False

    def apply(self, attributes: Any, x: Any) -> Any:
        return type(self).function(x)

    def cases(self) -> Iterator[Case]:
        """Any arguments, or only positive ones where there is no other result."""
        if not self.positive:
            yield from super().cases()
            return
        operand = Operand((1, 3, 4), is_constant=True, values=_POSITIVE)
        yield Case("positive", NoAttributes(), (operand,), (DType.FLOAT32,))


class Exp(_Mathematics):
    """y = e^x."""

    name = "exp"
    function = np.exp
    dtypes = (DType.FLOAT32, DType.INT8)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """A table of 256 results.

        Source: tensorflow/lite/kernels/exp.cc.
        """
        (x_type,), (y_type,) = types_of(call)
        table = table_of(lambda x: np.exp(np.minimum(x, 80)), x_type, y_type)
        return (look_up(inputs[0], table, x_type),)


class Log(_Mathematics):
    """y = ln x."""

    name = "log"
    flops_per_element = 1
    function = np.log
    positive = True


class Sqrt(_Mathematics):
    """y = √x."""

    name = "sqrt"
    function = np.sqrt
    positive = True


class Rsqrt(_Mathematics):
    """y = 1 / √x."""

    name = "rsqrt"
    flops_per_element = 2
    positive = True

    def apply(self, attributes: Any, x: Any) -> Any:
        """1 / √x."""
        return x.dtype.type(1) / np.sqrt(x)


class Square(_Mathematics):
    """y = x²."""

    name = "square"
    flops_per_element = 1
    function = np.square


class Abs(_Mathematics):
    """y = |x|."""

    name = "abs"
    function = np.abs
    dtypes = (DType.FLOAT32, DType.INT8, DType.INT16)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """The distance from the zero point, rescaled where the scales differ.

        Source: AbsEvalQuantized in tensorflow/lite/kernels/elementwise.cc.
        """
        (x_type,), (y_type,) = types_of(call)
        x, y = per_tensor(x_type), per_tensor(y_type)
        distance = np.abs(np.asarray(inputs[0]).astype(np.int64) - x.zero_point)
        real = float(x.scale32 / y.scale32)
        output = multiply_twice_rounded(distance, *quantize_multiplier(real))
        return (saturate(output + y.zero_point, y_type),)


class Neg(_Mathematics):
    """y = -x."""

    name = "neg"
    flops_per_element = 1
    function = np.negative


class Floor(_Mathematics):
    """The largest integer that is not above x."""

    name = "floor"
    function = np.floor


OPERATORS = (Exp(), Log(), Sqrt(), Rsqrt(), Square(), Abs(), Neg(), Floor())
