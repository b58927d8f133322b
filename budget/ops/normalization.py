"""Normalisation: by recorded statistics, by those of the example, by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import inverse_square_roots, multiply_twice_rounded
from budget.ops.operator import (
    Case,
    Cost,
    Operand,
    Operator,
    QuantizedCall,
    traffic_bytes,
)
from budget.ops.requantize import has_operand, operand, operand_type, shifted


@dataclass(frozen=True, slots=True)
class BatchNormAttributes:
    """Attributes of `BatchNorm`.

    Attributes:
        epsilon: added to the variance.
    """

    epsilon: float = 0.001


class BatchNorm(Operator):
    """y = (x - mean)·scale/sqrt(variance + epsilon) + offset; inputs x [...][c], then four [c].

    Inputs in order: x, scale, offset, mean, variance; scale and offset may be absent. Float only:
    quantised models have it folded into their weights.
    """

    name = "batch_norm"
    Attributes = BatchNormAttributes
    witness = "tensorflow"
    overwrites = (0,)

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The input's shape.

        Raises:
            ModelError: a parameter has not one element for each channel.
        """
        x = operand_type(inputs, 0)
        channels = x.shape[-1] if x.shape else 0
        for parameter in (operand_type(inputs, 3), operand_type(inputs, 4), *inputs[1:3]):
            if parameter is not None and parameter.shape != (channels,):
                raise ModelError(
                    f"a batch normalisation of {channels} channels has a parameter of shape "
                    f"{parameter.shape}"
                )
        return (TensorType(x.shape, x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """A product and a sum for each element; the profiler has no rule for it, so no FLOPs."""
        return Cost(
            alu=2 * outputs[0].element_count,
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """One product and one sum for each element, in float32."""
        x, mean, variance = (_real(operand(inputs, index)) for index in (0, 3, 4))
        factor = 1 / np.sqrt(variance + np.float32(attributes.epsilon))
        if has_operand(inputs, 1):
            factor = factor * _real(operand(inputs, 1))
        y = (x - mean) * factor
        if has_operand(inputs, 2):
            y = y + _real(operand(inputs, 2))
        return (y.astype(np.float32),)

    def cases(self) -> Iterator[Case]:
        """Image and rows, with and without scale and offset."""
        full = (*_vectors(3), _vector(3), _positive(3))
        yield Case("image", BatchNormAttributes(), (Operand((2, 3, 4, 3)), *full), _FLOAT)
        yield Case("rows", BatchNormAttributes(1e-5), (Operand((5, 3)), *full), _FLOAT)
        yield Case(
            "no-scale",
            BatchNormAttributes(),
            (Operand((1, 4, 3)), None, *_vectors(3), _positive(3)),
            _FLOAT,
        )


@dataclass(frozen=True, slots=True)
class LayerNormAttributes:
    """Attributes of `LayerNorm`.

    Attributes:
        axes: dimensions over which mean and variance are taken, not negative, rising.
        epsilon: added to the variance.
    """

    axes: tuple[int, ...]
    epsilon: float = 0.001


class LayerNorm(Operator):
    """y = (x - mean)·scale/sqrt(variance + epsilon) + offset with the example's own statistics.

    Inputs in order: x, scale, offset; the last two broadcast against x and may be absent.
    """

    name = "layer_norm"
    Attributes = LayerNormAttributes
    witness = "tensorflow"

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The input's shape.

        Raises:
            ModelError: there is no such axis, or scale or offset do not broadcast to the input.
        """
        x = operand_type(inputs, 0)
        axes = attributes.axes
        if not axes or any(not 0 <= axis < len(x.shape) for axis in axes):
            raise ModelError(f"a tensor of shape {x.shape} has no axes {axes} to normalise over")
        for parameter in inputs[1:3]:
            if parameter is not None and not _broadcasts(parameter.shape, x.shape):
                raise ModelError(
                    f"a parameter of shape {parameter.shape} does not broadcast to {x.shape}"
                )
        return (TensorType(x.shape, x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Two passes for the statistics, one for each of centring, scaling, scale and offset.

        FLOPs are those of the sequence mean, squared difference, mean, add, reciprocal root,
        subtract, multiply (and multiply, add) by the profiler's rules.
        """
        x = outputs[0]
        rows = x.element_count
        for axis in attributes.axes:
            rows //= max(x.shape[axis], 1)
        optional = has_operand(inputs, 1) + has_operand(inputs, 2)
        return Cost(
            alu=x.element_count * (5 + optional) + 4 * rows,
            flops=x.element_count * (6 + optional) + 3 * rows,
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Two passes: the mean, then the variance around it."""
        x = _real(operand(inputs, 0))
        centred = x - x.mean(axis=attributes.axes, keepdims=True)
        variance = np.square(centred).mean(axis=attributes.axes, keepdims=True)
        y = centred / np.sqrt(variance + np.float32(attributes.epsilon))
        if has_operand(inputs, 1):
            y = y * _real(operand(inputs, 1))
        if has_operand(inputs, 2):
            y = y + _real(operand(inputs, 2))
        return (y.astype(np.float32),)

    def cases(self) -> Iterator[Case]:
        """Last axis and several axes, with and without scale and offset."""
        last = LayerNormAttributes((2,))
        yield Case("last-axis", last, (Operand((2, 5, 6)), *_vectors(6)), _FLOAT)
        yield Case("no-scale", last, (Operand((2, 5, 6)), None, _vector(6)), _FLOAT)
        yield Case(
            "two-axes",
            LayerNormAttributes((1, 2), 1e-6),
            (Operand((3, 4, 5)), _constant((4, 5)), _constant((4, 5))),
            _FLOAT,
        )


@dataclass(frozen=True, slots=True)
class L2NormAttributes:
    """Attributes of `L2Norm`.

    Attributes:
        epsilon: the least length that is divided by.
    """

    epsilon: float = 1e-6


class L2Norm(Operator):
    """Each row along the last dimension divided by its Euclidean length."""

    name = "l2_norm"
    Attributes = L2NormAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The input's shape.

        Raises:
            ModelError: a scalar has no length.
        """
        x = operand_type(inputs, 0)
        if not x.shape:
            raise ModelError("a scalar cannot be divided by its length")
        return (TensorType(x.shape, x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """A square, a sum and a product for each element, a reciprocal root for each row."""
        count = outputs[0].element_count
        rows = count // max(outputs[0].shape[-1], 1)
        return Cost(
            alu=3 * count + 2 * rows,
            flops=3 * count + 2 * rows,
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Rows over their lengths, in float32."""
        x = _real(operand(inputs, 0))
        length = np.sqrt(np.square(x).sum(axis=-1, keepdims=True))
        return ((x / np.maximum(length, np.float32(attributes.epsilon))).astype(np.float32),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Reciprocal root in fixed point; the output has scale 1/128 and zero point 0.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/l2normalization.h.
        """
        x = shifted(operand(inputs, 0), operand_type(call.inputs, 0)).astype(np.int64)
        q, shift = inverse_square_roots(np.square(x).sum(axis=-1, keepdims=True))
        y = multiply_twice_rounded(x, q, shift + 7)
        return (np.clip(y, -128, 127).astype(np.int8),)

    def cases(self) -> Iterator[Case]:
        """Rows of several lengths."""
        for label, shape in (("rows", (3, 8)), ("image", (1, 2, 3, 5)), ("row", (1, 64))):
            yield Case(
                label,
                L2NormAttributes(),
                (Operand(shape),),
                (DType.FLOAT32, DType.INT8),
                output_quant=(1 / 128, 0),
            )


def _real(array: Array) -> NDArray[np.float32]:
    return array.astype(np.float32)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(
        extent in (1, whole) for extent, whole in zip(shape[::-1], to[::-1])
    )


def _constant(shape: tuple[int, ...]) -> Operand:
    return Operand(shape, is_constant=True)


def _vector(extent: int) -> Operand:
    return _constant((extent,))


def _vectors(extent: int) -> tuple[Operand, Operand]:
    return _vector(extent), _vector(extent)


def _positive(extent: int) -> Operand:
    values = tuple(0.25 + 0.5 * index for index in range(extent))
    return Operand((extent,), is_constant=True, values=values)


_FLOAT = (DType.FLOAT32,)
OPERATORS = (BatchNorm(), LayerNorm(), L2Norm())
