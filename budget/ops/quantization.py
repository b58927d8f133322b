"""Between real numbers, quantised integers and plain numbers of other types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, QuantParams, TensorType
from budget.ops.elementwise import Elementwise
from budget.ops.fixed_point import multiply_twice_rounded, quantize_multiplier
from budget.ops.operator import Case, NoAttributes, Operand, QuantizedCall
from budget.ops.quantized import per_tensor, round_away, saturate, types_of
from budget.ops.requantize import operand_type


@dataclass(frozen=True, slots=True)
class ConversionAttributes:
    """Attributes of `Quantize`, `Requantize` and `Cast`.

    Attributes:
        dtype: element type of the output.
    """

    dtype: DType


class _Conversion(Elementwise):
    operand_count = 1
    overwrites = (0,)
    # TensorFlow's profiler counts nothing for it
    flops_per_element = 0
    Attributes: ClassVar[type] = ConversionAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The operand's shape in another element type."""
        return (TensorType(operand_type(inputs, 0).shape, self.output_dtype(attributes)),)

    def output_dtype(self, attributes: Any) -> DType:
        """Element type of the output."""
        dtype: DType = attributes.dtype
        return dtype


class Quantize(_Conversion):
    """Stored = round(x / scale) + zero point, saturated."""

    name = "quantize"

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Reals stay what they are."""
        return (np.asarray(inputs[0]),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """A quotient in float32, rounded half away from zero.

        Quotients that 32 bits do not hold saturate here; in TFLite they are undefined.

        Source: tensorflow/lite/kernels/internal/reference/quantize.h.
        """
        y_type = call.outputs[0]
        if y_type.quant is None:
            raise ModelError("quantize needs a quantised output")
        scale, zero_point = _along_axis(y_type.quant, len(y_type.shape))
        with np.errstate(over="ignore"):
            quotient = np.asarray(inputs[0], np.float32) / scale
        return (saturate(round_away(quotient).astype(np.float64) + zero_point, y_type),)

    def cases(self) -> Iterator[Case]:
        """To 8 and 16 bits."""
        operand = Operand((2, 5, 7), dtype=DType.FLOAT32)
        for dtype in (DType.INT8, DType.INT16):
            yield Case(dtype.value, ConversionAttributes(dtype), (operand,), (dtype,))


class Dequantize(_Conversion):
    """y = scale · (stored - zero point)."""

    name = "dequantize"
    Attributes = NoAttributes

    def output_dtype(self, attributes: Any) -> DType:
        """Always float32."""
        return DType.FLOAT32

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Half-precision numbers widen; integers need their scale, which `run_quantized` has."""
        x = np.asarray(inputs[0])
        if np.issubdtype(x.dtype, np.integer):
            raise ModelError("dequantize needs a quantised operand")
        return (x.astype(np.float32),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """A product in double precision.

        Source: tensorflow/lite/kernels/internal/reference/dequantize.h.
        """
        x_type = operand_type(call.inputs, 0)
        if x_type.quant is None:
            raise ModelError("dequantize needs a quantised operand")
        scale, zero_point = _along_axis(x_type.quant, len(x_type.shape))
        difference = np.asarray(inputs[0]).astype(np.int64) - zero_point
        return ((difference * scale.astype(np.float64)).astype(np.float32),)

    def cases(self) -> Iterator[Case]:
        """From 8 and 16 bits."""
        for dtype in (DType.INT8, DType.INT16):
            yield Case(dtype.value, NoAttributes(), (Operand((2, 5, 7)),), (dtype,))


class Requantize(_Conversion):
    """Quantised numbers in another scale, zero point or width."""

    name = "requantize"

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Reals stay what they are."""
        return (np.asarray(inputs[0]),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Rescaled with two roundings.

        Source: tensorflow/lite/kernels/internal/reference/requantize.h.
        """
        (x_type,), (y_type,) = types_of(call)
        x, y = per_tensor(x_type), per_tensor(y_type)
        raw = np.asarray(inputs[0]).astype(np.int64) - x.zero_point
        output = multiply_twice_rounded(raw, *quantize_multiplier(x.scale / y.scale))
        return (saturate(output + y.zero_point, y_type),)

    def cases(self) -> Iterator[Case]:
        """Between 8 and 16 bits, both ways, and to another scale."""
        for source in (DType.INT8, DType.INT16):
            for target in (DType.INT8, DType.INT16):
                label = f"{source.value}-to-{target.value}"
                attributes = ConversionAttributes(target)
                operand = Operand((2, 5, 7), dtype=source)
                yield Case(label, attributes, (operand,), (target,))


class Cast(_Conversion):
    """Plain numbers in another type; broken parts are cut off."""

    name = "cast"

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """As C converts numbers."""
        with np.errstate(invalid="ignore"):
            return (np.asarray(inputs[0]).astype(attributes.dtype.numpy),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Of the stored numbers, as TFLite does it."""
        return self.run_float(attributes, inputs)

    def cases(self) -> Iterator[Case]:
        """Float to integer and back."""
        values = tuple(float(value) * 1.375 for value in range(-12, 13))
        operand = Operand((5, 5), is_constant=False, values=values)
        attributes = ConversionAttributes(DType.INT32)
        yield Case("to-int32", attributes, (operand,), (DType.FLOAT32,))
        integers = Operand((5, 5), dtype=DType.INT32, role="raw", values=tuple(range(-12, 13)))
        attributes = ConversionAttributes(DType.FLOAT32)
        yield Case("from-int32", attributes, (integers,), (DType.FLOAT32,))


def _along_axis(quant: QuantParams, rank: int) -> tuple[Any, Any]:
    """Scale and zero point shaped so that they stretch over a tensor of that rank."""
    if quant.axis is None:
        return quant.scale[0], quant.zero_point[0]
    shape = [1] * rank
    shape[quant.axis] = -1
    return quant.scale.reshape(shape), quant.zero_point.reshape(shape)


OPERATORS = (Quantize(), Dequantize(), Requantize(), Cast())
