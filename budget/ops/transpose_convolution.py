"""Two-dimensional transposed convolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, TensorType
from budget.ops.fixed_point import apply_activation_float
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
from budget.ops.requantize import (
    has_operand,
    operand,
    operand_type,
    product_multipliers,
    rescale,
    scaling_of,
    shifted,
)
from budget.ops.windows import Slide


@dataclass(frozen=True, slots=True)
class TransposeConv2DAttributes:
    """Attributes of `TransposeConv2D`.

    Attributes:
        output_size: height and width of the output.
        stride: rows and columns between the windows that neighbouring inputs add to.
        padding: rows and columns of the full sum that are cut off; only top and left shift it.
        activation: fused behind the layer.
    """

    output_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    activation: Activation = Activation.NONE


class TransposeConv2D(Operator):
    """Gradient of a convolution: x [n][h][w][in], weights [out][kh][kw][in], bias [out] or absent.

    Input (y, x) adds to outputs (y·stride - top + ky, x·stride - left + kx).
    """

    name = "transpose_conv_2d"
    Attributes = TransposeConv2DAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """[n][h][w][in] → [n][output height][output width][out].

        Raises:
            ModelError: shapes do not go together.
        """
        x, weights = operand_type(inputs, 0), operand_type(inputs, 1)
        if len(x.shape) != 4 or len(weights.shape) != 4 or x.shape[3] != weights.shape[3]:
            raise ModelError(
                f"an image of shape {x.shape} and weights of shape {weights.shape} do not make "
                "a transposed convolution"
            )
        if min(*attributes.output_size, *attributes.stride) < 1:
            raise ModelError(f"output size {attributes.output_size} makes no sense")
        if has_operand(inputs, 2) and operand_type(inputs, 2).element_count != weights.shape[0]:
            raise ModelError(f"{weights.shape[0]} output channels need as many biases")
        return (TensorType((x.shape[0], *attributes.output_size, weights.shape[0]), x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """MACs = inputs · taps · output channels; those run skip what is cut off.

        FLOPs follow the profiler's rule for Conv2DBackpropInput, which starts from the output.
        """
        x, weights = operand_type(inputs, 0), operand_type(inputs, 1)
        out, kernel_rows, kernel_columns, depth = weights.shape
        rows, columns = _output_slides(attributes, weights.shape, x.shape)
        count = outputs[0].element_count
        stride = attributes.stride[0] * attributes.stride[1]
        taps = kernel_rows * kernel_columns
        return Cost(
            macs=x.element_count * taps * out,
            macs_run=x.shape[0] * depth * out * rows.inside * columns.inside,
            alu=count * (1 + (attributes.activation is not Activation.NONE)),
            flops=2 * count * taps * depth // stride + count * has_operand(inputs, 2),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Sums of products in float32."""
        y = _sums(attributes, operand(inputs, 0), operand(inputs, 1))
        if has_operand(inputs, 2):
            y = y + operand(inputs, 2)
        return (apply_activation_float(attributes.activation, y.astype(np.float32)),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Integer sums, scaled for each channel.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/transpose_conv.h.
        """
        x_type, w_type = operand_type(call.inputs, 0), operand_type(call.inputs, 1)
        x, weights = shifted(operand(inputs, 0), x_type), shifted(operand(inputs, 1), w_type)
        sums = _sums(attributes, x, weights)
        bias_type = operand_type(call.inputs, 2) if has_operand(call.inputs, 2) else None
        if bias_type is not None:
            sums = sums + operand(inputs, 2).astype(np.float64)
        y_type = call.outputs[0]
        multipliers = product_multipliers(x_type, w_type, y_type)
        scaling = scaling_of(x_type, bias_type)
        return (rescale(sums, multipliers, y_type, attributes.activation, scaling),)

    def cases(self) -> Iterator[Case]:
        """Every activation, cut borders, stride over and under the window, batch above 1."""
        for activation in Activation:
            attributes = TransposeConv2DAttributes((7, 9), (2, 2), activation=activation)
            yield Case(f"3x3-{activation.value}", attributes, _operands((1, 3, 4, 2), (3, 3, 3, 2)))
        for label, x, weights, attributes in (
            (
                "same-stride-2",
                (2, 4, 3, 3),
                (5, 3, 3, 3),
                TransposeConv2DAttributes((8, 6), (2, 2), Padding(0, 1, 0, 1)),
            ),
            (
                "same-stride-1",
                (1, 5, 4, 2),
                (3, 3, 3, 2),
                TransposeConv2DAttributes((5, 4), (1, 1), Padding(1, 1, 1, 1)),
            ),
            (
                "stride-over-window",
                (1, 3, 3, 2),
                (2, 2, 1, 2),
                TransposeConv2DAttributes((9, 9), (3, 3)),
            ),
            (
                "one-dimension",
                (1, 1, 9, 4),
                (2, 1, 4, 4),
                TransposeConv2DAttributes((1, 18), (1, 2), Padding(left=1, right=1)),
            ),
        ):
            yield Case(label, attributes, _operands(x, weights))
        yield Case(
            "no-bias",
            TransposeConv2DAttributes((4, 4), (1, 1)),
            _operands((1, 3, 3, 2), (2, 2, 2, 2))[:2],
        )


def _output_slides(
    attributes: TransposeConv2DAttributes, weights: tuple[int, ...], x: tuple[int, ...]
) -> tuple[Slide, Slide]:
    """The window's way over the output: as many places as the input has elements."""

    def slide(output: int, before: int, taps: int, stride: int, places: int) -> Slide:
        after = (places - 1) * stride + taps - output - before
        return Slide(output, before, max(after, 0), taps, stride)

    (height, width), padding = attributes.output_size, attributes.padding
    return (
        slide(height, padding.top, weights[1], attributes.stride[0], x[1]),
        slide(width, padding.left, weights[2], attributes.stride[1], x[2]),
    )


def _sums(
    attributes: TransposeConv2DAttributes, x: NDArray[Any], weights: NDArray[Any]
) -> NDArray[Any]:
    batch, height, width, depth = x.shape
    out, kernel_rows, kernel_columns, _ = weights.shape
    (down, right), padding = attributes.stride, attributes.padding
    output_height, output_width = attributes.output_size
    # products of every input element with every tap, then each tap's added where it belongs
    products = (x.reshape(-1, depth) @ weights.reshape(-1, depth).T).reshape(
        batch, height, width, out, kernel_rows, kernel_columns
    )
    full_height = max((height - 1) * down + kernel_rows, padding.top + output_height)
    full_width = max((width - 1) * right + kernel_columns, padding.left + output_width)
    full = np.zeros((batch, full_height, full_width, out), x.dtype)
    for row in range(kernel_rows):
        for column in range(kernel_columns):
            full[
                :,
                row : row + (height - 1) * down + 1 : down,
                column : column + (width - 1) * right + 1 : right,
            ] += products[..., row, column]
    return full[
        :, padding.top : padding.top + output_height, padding.left : padding.left + output_width
    ]


def _operands(x: tuple[int, ...], weights: tuple[int, ...]) -> tuple[Operand, ...]:
    return (
        Operand(x),
        Operand(weights, is_constant=True, role="weights", axis=0),
        Operand((weights[0],), is_constant=True, role="bias"),
    )


OPERATORS = (TransposeConv2D(),)
