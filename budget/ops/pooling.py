"""Pooling over windows of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import activation_bounds, apply_activation_float, storage_range
from budget.ops.operator import (
    NO_PADDING,
    Activation,
    Case,
    Cost,
    Operand,
    Operator,
    Padding,
    QuantizedCall,
    traffic_bytes,
)
from budget.ops.reach import window_reach_bytes
from budget.ops.requantize import operand, operand_type
from budget.ops.windows import Slide, pad, slides, windows
from budget.records import record


@record
class PoolAttributes:
    """Attributes of the pooling operators.

    Attributes:
        filter: height and width of the window.
        stride: rows and columns that the window moves.
        padding: around the image; taps on it are left out (also of the divisor of a mean).
        activation: fused behind the layer.
    """

    filter: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    activation: Activation = Activation.NONE


class _Pool(Operator):
    """What the pooling operators share."""

    Attributes = PoolAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """[n][h][w][c] → [n][out h][out w][c].

        Raises:
            ModelError: the window does not fit, or lies on nothing but padding somewhere.
        """
        x = operand_type(inputs, 0)
        rows, columns = _slides(attributes, x.shape)
        y = TensorType((x.shape[0], rows.count, columns.count, x.shape[3]), x.dtype)
        if not rows.inside_each().all() or not columns.inside_each().all():
            raise ModelError("a pooling window lies on nothing but padding")
        return (y,)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """One operation for each tap on the image and each output; FLOPs = outputs · window."""
        x, y = operand_type(inputs, 0), outputs[0]
        rows, columns = _slides(attributes, x.shape)
        taps = x.shape[0] * x.shape[3] * rows.inside * columns.inside
        return Cost(
            alu=taps + y.element_count * (1 + (attributes.activation is not Activation.NONE)),
            flops=y.element_count * rows.taps * columns.taps,
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def reach_bytes(
        self,
        attributes: Any,
        inputs: Sequence[TensorType | None],
        outputs: Sequence[TensorType],
        lookahead: int = 0,
    ) -> int | None:
        """Output pixels are computed row by row, all channels of one before the next."""
        x = operand_type(inputs, 0)
        rows, columns = _slides(attributes, x.shape)
        channels = ((0, 0), (x.shape[3] - 1, x.shape[3] - 1))
        return window_reach_bytes(rows, columns, x, outputs[0], channels, lookahead)

    def cases(self) -> Iterator[Case]:
        """Every activation, stride, uneven padding, whole image, batch above 1."""
        for activation in Activation:
            yield self.case(
                f"2x2-{activation.value}",
                (1, 4, 6, 3),
                PoolAttributes((2, 2), (2, 2), activation=activation),
            )
        yield self.case(
            "same-3x3", (2, 5, 5, 2), PoolAttributes((3, 3), (1, 1), Padding(1, 1, 1, 1))
        )
        yield self.case(
            "same-stride-2", (1, 7, 8, 3), PoolAttributes((3, 3), (2, 2), Padding(1, 1, 0, 1))
        )
        yield self.case("whole-image", (1, 7, 5, 4), PoolAttributes((7, 5)))
        yield self.case("uneven", (1, 9, 6, 1), PoolAttributes((4, 1), (3, 2)))
        yield self.case("one-dimension", (1, 1, 12, 2), PoolAttributes((1, 3), (1, 2)))

    def case(self, label: str, x: tuple[int, ...], attributes: PoolAttributes) -> Case:
        """A case with quantisation passed on."""
        return Case(label, attributes, (Operand(x),), output_quant="same")


class AveragePool2D(_Pool):
    """Mean over windows of x [n][h][w][c]; global pooling has a window as large as the image."""

    name = "average_pool_2d"

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Sum over the window, divided by the taps on the image."""
        sums, counts = _window_sums(attributes, operand(inputs, 0))
        y = (sums / counts.astype(np.float32)).astype(np.float32)
        return (apply_activation_float(attributes.activation, y),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Mean of stored values, rounded to nearest with ties away from zero.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h.
        """
        sums, counts = _window_sums(attributes, operand(inputs, 0).astype(np.int64))
        magnitude = (np.abs(sums) + counts // 2) // counts
        low, high = activation_bounds(attributes.activation, call.outputs[0])
        y = np.clip(np.where(sums > 0, magnitude, -magnitude), low, high)
        return (y.astype(call.outputs[0].dtype.numpy),)


class MaxPool2D(_Pool):
    """Maximum over windows of x [n][h][w][c]."""

    name = "max_pool_2d"

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The largest tap on the image."""
        y = _window_maxima(attributes, operand(inputs, 0), -np.inf)
        return (apply_activation_float(attributes.activation, y.astype(np.float32)),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """The largest stored value.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h.
        """
        x = operand(inputs, 0)
        lowest, _ = storage_range(call.outputs[0].dtype)
        low, high = activation_bounds(attributes.activation, call.outputs[0])
        return (np.clip(_window_maxima(attributes, x, lowest), low, high).astype(x.dtype),)


class L2Pool2D(_Pool):
    """Root of the mean of squares over windows of x [n][h][w][c]; float only, as in TFLite."""

    name = "l2_pool_2d"

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """As the mean's, a square for each input element, a root for each output.

        The profiler has no rule for the root.
        """
        squares = operand_type(inputs, 0).element_count
        return _Pool.cost(self, attributes, inputs, outputs) + Cost(
            alu=squares + outputs[0].element_count, flops=squares
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Root of the mean of squares over the taps on the image."""
        sums, counts = _window_sums(attributes, np.square(operand(inputs, 0).astype(np.float32)))
        y = np.sqrt(sums / counts.astype(np.float32)).astype(np.float32)
        return (apply_activation_float(attributes.activation, y),)

    def case(self, label: str, x: tuple[int, ...], attributes: PoolAttributes) -> Case:
        """A case in float."""
        return Case(label, attributes, (Operand(x),), (DType.FLOAT32,))


def _slides(attributes: PoolAttributes, x: tuple[int, ...]) -> tuple[Slide, Slide]:
    return slides(x, attributes.filter, attributes.stride, attributes.padding)


def _window_sums(
    attributes: PoolAttributes, x: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sums over the taps on the image, and how many they are ([1][out h][out w][1])."""
    rows, columns = _slides(attributes, x.shape)
    view = windows(pad(x, rows, columns, 0), rows, columns)
    counts = rows.inside_each()[:, None] * columns.inside_each()
    return view.sum(axis=(4, 5)), counts[None, :, :, None]


def _window_maxima(attributes: PoolAttributes, x: NDArray[Any], lowest: float) -> NDArray[Any]:
    rows, columns = _slides(attributes, x.shape)
    view: NDArray[Any] = windows(pad(x, rows, columns, lowest), rows, columns)
    return np.asarray(np.max(view, axis=(4, 5)))


OPERATORS = (AveragePool2D(), MaxPool2D(), L2Pool2D())
