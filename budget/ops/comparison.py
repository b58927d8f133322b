"""Comparisons, and choosing by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.elementwise import Elementwise, broadcast_cases, broadcast_shape, same_types
from budget.ops.fixed_point import multiply_twice_rounded, quantize_multiplier
from budget.ops.operator import Case, NoAttributes, Operand, QuantizedCall
from budget.ops.quantized import per_tensor, types_of


class Comparison(Elementwise):
    """Base: a truth value for each pair of elements."""

    overwrites = (0, 1)
    function: ClassVar[Callable[..., Any]]
    orders: ClassVar[bool] = True

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """Operands of one type, shapes broadcast against each other; truth values come out."""
        present = same_types(self.name, inputs, self.operand_count)
        return (TensorType(broadcast_shape(self.name, present), DType.BOOL),)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Comparison of the numbers."""
        return (np.asarray(type(self).function(np.asarray(inputs[0]), np.asarray(inputs[1]))),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Both operands are multiplied by their scales in fixed point, with 8 bits behind.

        Which of two 16-bit numbers is larger TFLite tells from what is stored, whatever it stands
        for.

        TFLite's shift is undefined for scales above 1; here they mean what they say.

        Source: tensorflow/lite/kernels/comparisons.cc.
        """
        if self.orders and types_of(call)[0][0].dtype is DType.INT16:
            return self.run_float(attributes, inputs)
        scaled = []
        for x, x_type in zip(inputs, types_of(call)[0], strict=True):
            quant = per_tensor(x_type)
            raw = np.asarray(x).astype(np.int64) - quant.zero_point
            scaled.append(multiply_twice_rounded(raw << 8, *quantize_multiplier(quant.scale)))
        return (np.asarray(type(self).function(*scaled)),)

    def cases(self) -> Iterator[Case]:
        """Every way to broadcast."""
        dtypes = (DType.FLOAT32, DType.INT8, DType.INT16)
        yield from broadcast_cases(NoAttributes(), dtypes)


class Greater(Comparison):
    """Whether a > b."""

    name = "greater"
    function = np.greater


class GreaterEqual(Comparison):
    """Whether a >= b."""

    name = "greater_equal"
    function = np.greater_equal


class Less(Comparison):
    """Whether a < b."""

    name = "less"
    function = np.less


class LessEqual(Comparison):
    """Whether a <= b."""

    name = "less_equal"
    function = np.less_equal


class Equal(Comparison):
    """Whether a = b."""

    name = "equal"
    orders = False
    function = np.equal


class NotEqual(Comparison):
    """Whether a ≠ b."""

    name = "not_equal"
    orders = False
    function = np.not_equal


class Select(Elementwise):
    """a where the condition holds, else b; quantised operands and output share one scale."""

    name = "select"
    operand_count = 3
    overwrites = (1, 2)
    # TensorFlow's profiler counts nothing for it
    flops_per_element = 0

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """A condition and two operands of one type, shapes broadcast against each other."""
        if not inputs or inputs[0] is None or inputs[0].dtype is not DType.BOOL:
            raise ModelError("select needs a condition of truth values")
        present = same_types(self.name, inputs[1:], 2)
        return (TensorType(broadcast_shape(self.name, [inputs[0], *present]), present[0].dtype),)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A choice, element by element."""
        condition, a, b = (np.asarray(x) for x in inputs)
        return (np.where(condition, a, b),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Of the stored numbers; nothing is rescaled."""
        return self.run_float(attributes, inputs)

    def cases(self) -> Iterator[Case]:
        """A condition for each element."""
        values = tuple(index % 3 == 0 for index in range(24))
        condition = Operand((2, 3, 4), is_constant=True, dtype=DType.BOOL, values=values)
        operands = (condition, Operand((2, 3, 4)), Operand((2, 3, 4)))
        dtypes = (DType.FLOAT32, DType.INT8, DType.INT16)
        yield Case("each", NoAttributes(), operands, dtypes, "same")


OPERATORS = (Greater(), GreaterEqual(), Less(), LessEqual(), Equal(), NotEqual(), Select())
