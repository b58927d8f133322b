"""Two-dimensional convolutions, dense, grouped and depthwise; a 1-D one has height 1."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
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
from budget.ops.reach import window_reach_bytes
from budget.ops.requantize import (
    has_operand,
    operand,
    operand_type,
    product_multipliers,
    rescale,
    scaling_of,
    shifted,
)
from budget.ops.windows import Slide, pad, slides, tap_view, windows
from budget.records import record


@record
class ConvolutionAttributes:
    """Attributes of `Conv2D` and `DepthwiseConv2D`; groups and depth multiplier follow from shapes.

    Attributes:
        stride: rows and columns that the window moves.
        dilation: rows and columns between neighbouring taps.
        padding: zeros (stored as the zero point) around the image.
        activation: fused behind the layer.
    """

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    activation: Activation = Activation.NONE


class _Convolution(Operator):
    """What dense and depthwise convolutions share."""

    Attributes = ConvolutionAttributes

    @abstractmethod
    def output_channels(self, x: TensorType, weights: TensorType) -> int:
        """Channels of the output.

        Raises:
            ModelError: input and weights do not go together.
        """

    @abstractmethod
    def taps_per_output(self, weights: TensorType) -> int:
        """Multiplications for each output and each position of the window."""

    @abstractmethod
    def sums(
        self, x: NDArray[Any], weights: NDArray[Any], rows: Slide, columns: Slide
    ) -> NDArray[Any]:
        """Sums of products [n][out h][out w][out] over a padded image."""

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """[n][h][w][in] → [n][out h][out w][out].

        Raises:
            ModelError: shapes do not go together, or the window does not fit.
        """
        x, weights = operand_type(inputs, 0), operand_type(inputs, 1)
        rows, columns = _slides(attributes, x.shape, weights.shape)
        channels = self.output_channels(x, weights)
        if has_operand(inputs, 2) and operand_type(inputs, 2).element_count != channels:
            raise ModelError(f"{channels} output channels need as many biases")
        return (TensorType((x.shape[0], rows.count, columns.count, channels), x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """MACs = outputs · taps · depth; a bias or an activation is one operation per output."""
        x, weights = operand_type(inputs, 0), operand_type(inputs, 1)
        rows, columns = _slides(attributes, x.shape, weights.shape)
        depth, count = self.taps_per_output(weights), outputs[0].element_count
        macs = count * rows.taps * columns.taps * depth
        batch, channels = outputs[0].shape[0], outputs[0].shape[3]
        return Cost(
            macs=macs,
            macs_run=batch * channels * depth * rows.inside * columns.inside,
            alu=count * (1 + (attributes.activation is not Activation.NONE)),
            flops=2 * macs + count * has_operand(inputs, 2),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    @abstractmethod
    def channel_reach(self, x: TensorType, weights: TensorType) -> tuple[tuple[int, int], ...]:
        """(Input channel, last output channel that reads it) for the first and last group."""

    def reach_bytes(
        self,
        attributes: Any,
        inputs: Sequence[TensorType | None],
        outputs: Sequence[TensorType],
        lookahead: int = 0,
    ) -> int | None:
        """Output pixels are computed row by row, all channels of one before the next."""
        x, weights = operand_type(inputs, 0), operand_type(inputs, 1)
        rows, columns = _slides(attributes, x.shape, weights.shape)
        channels = self.channel_reach(x, weights)
        return window_reach_bytes(rows, columns, x, outputs[0], channels, lookahead)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Sums of products in float32."""
        x, weights = operand(inputs, 0), operand(inputs, 1)
        rows, columns = _slides(attributes, x.shape, weights.shape)
        y = self.sums(pad(x, rows, columns, 0), weights, rows, columns)
        if has_operand(inputs, 2):
            y = y + operand(inputs, 2)
        return (apply_activation_float(attributes.activation, y.astype(np.float32)),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Integer sums, scaled for each channel; both families of kernels round alike.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/conv.h, depthwise_conv.h.
        """
        x_type, w_type = operand_type(call.inputs, 0), operand_type(call.inputs, 1)
        x, weights = shifted(operand(inputs, 0), x_type), shifted(operand(inputs, 1), w_type)
        rows, columns = _slides(attributes, x.shape, weights.shape)
        sums = self.sums(pad(x, rows, columns, 0), weights, rows, columns)
        bias_type = operand_type(call.inputs, 2) if has_operand(call.inputs, 2) else None
        if bias_type is not None:
            sums = sums + operand(inputs, 2).astype(np.float64)
        y_type = call.outputs[0]
        multipliers = product_multipliers(x_type, w_type, y_type)
        scaling = scaling_of(x_type, bias_type)
        return (rescale(sums, multipliers, y_type, attributes.activation, scaling),)


class Conv2D(_Convolution):
    """2-D convolution; x [n][h][w][in], weights [out][kh][kw][in/groups], bias [out] or absent."""

    name = "conv_2d"

    def output_channels(self, x: TensorType, weights: TensorType) -> int:
        """As many as there are filters.

        Raises:
            ModelError: the filters' depth does not divide the input into groups.
        """
        depth, out = weights.shape[3], weights.shape[0]
        groups, rest = divmod(x.shape[3], depth) if depth else (0, 1)
        if rest or not groups or out % groups:
            raise ModelError(
                f"{out} filters of depth {depth} do not divide {x.shape[3]} channels into groups"
            )
        return out

    def channel_reach(self, x: TensorType, weights: TensorType) -> tuple[tuple[int, int], ...]:
        """A group's first input channel, and its last filter."""
        out, depth = weights.shape[0], weights.shape[3]
        filters = out * depth // x.shape[3]
        return (0, filters - 1), (x.shape[3] - depth, out - 1)

    def taps_per_output(self, weights: TensorType) -> int:
        """The depth of a filter."""
        return weights.shape[3]

    def sums(
        self, x: NDArray[Any], weights: NDArray[Any], rows: Slide, columns: Slide
    ) -> NDArray[Any]:
        """One matrix product per group, of the windows laid out as rows."""
        out, depth = weights.shape[0], weights.shape[3]
        groups = x.shape[3] // depth
        view = np.moveaxis(windows(x, rows, columns), 3, 5)
        parts = [
            view[..., g * depth : (g + 1) * depth].reshape(-1, rows.taps * columns.taps * depth)
            @ filters.reshape(len(filters), -1).T
            for g, filters in enumerate(np.split(weights, groups))
        ]
        return np.concatenate(parts, axis=1).reshape(len(x), rows.count, columns.count, out)

    def cases(self) -> Iterator[Case]:
        """Every activation, stride, dilation, uneven padding, groups, 1×1, 1-D, batch above 1."""
        for activation in Activation:
            attributes = ConvolutionAttributes(activation=activation)
            yield Case(f"3x3-{activation.value}", attributes, _operands((1, 5, 6, 3), (4, 3, 3, 3)))
        for label, x, weights, attributes in (
            ("1x1", (1, 4, 3, 8), (5, 1, 1, 8), ConvolutionAttributes()),
            ("1x1-stride", (2, 5, 5, 4), (3, 1, 1, 4), ConvolutionAttributes(stride=(2, 2))),
            (
                "same-stride-2",
                (1, 7, 8, 2),
                (3, 3, 3, 2),
                ConvolutionAttributes((2, 2), padding=Padding(1, 1, 0, 1)),
            ),
            (
                "first-layer",
                (1, 49, 10, 1),
                (8, 10, 4, 1),
                ConvolutionAttributes((2, 2), padding=Padding(4, 5, 1, 1)),
            ),
            (
                "dilated",
                (1, 9, 8, 2),
                (3, 3, 2, 2),
                ConvolutionAttributes(dilation=(2, 3), padding=Padding(2, 2, 1, 2)),
            ),
            (
                "uneven-stride",
                (2, 8, 9, 3),
                (2, 3, 5, 3),
                ConvolutionAttributes((3, 2), padding=Padding(1, 0, 2, 2)),
            ),
            (
                "one-dimension",
                (1, 1, 20, 4),
                (6, 1, 5, 4),
                ConvolutionAttributes((1, 2), padding=Padding(left=2, right=1)),
            ),
            (
                "grouped",
                (1, 5, 5, 6),
                (4, 3, 3, 3),
                ConvolutionAttributes(padding=Padding(1, 1, 1, 1)),
            ),
            ("whole-image", (2, 4, 5, 3), (7, 4, 5, 3), ConvolutionAttributes()),
            (
                "window-beyond-image",
                (1, 2, 2, 3),
                (4, 5, 5, 3),
                ConvolutionAttributes(padding=Padding(2, 2, 2, 2)),
            ),
        ):
            yield Case(label, attributes, _operands(x, weights))
        yield Case("no-bias", ConvolutionAttributes(), _operands((1, 4, 4, 2), (3, 2, 2, 2))[:2])
        yield Case(
            "bias-32-bit",
            ConvolutionAttributes(),
            (*_operands((1, 4, 4, 2), (3, 2, 2, 2))[:2], _bias(3, DType.INT32)),
            (DType.INT16,),
        )
        yield Case(
            "one-scale", ConvolutionAttributes(), _operands((1, 4, 4, 2), (3, 2, 2, 2), axis=None)
        )


class DepthwiseConv2D(_Convolution):
    """One filter per channel; x [n][h][w][in], weights [1][kh][kw][in·multiplier], bias or absent.

    Output channel o reads input channel o // multiplier.
    """

    name = "depthwise_conv_2d"

    def output_channels(self, x: TensorType, weights: TensorType) -> int:
        """As many as the weights have.

        Raises:
            ModelError: they are no multiple of the input's.
        """
        if weights.shape[0] != 1 or not x.shape[3] or weights.shape[3] % x.shape[3]:
            raise ModelError(
                f"depthwise weights of shape {weights.shape} do not match {x.shape[3]} channels"
            )
        return weights.shape[3]

    def channel_reach(self, x: TensorType, weights: TensorType) -> tuple[tuple[int, int], ...]:
        """A channel, and the last of its multiples."""
        out = weights.shape[3]
        return (0, out // x.shape[3] - 1), (x.shape[3] - 1, out - 1)

    def taps_per_output(self, weights: TensorType) -> int:
        """One channel."""
        return 1

    def sums(
        self, x: NDArray[Any], weights: NDArray[Any], rows: Slide, columns: Slide
    ) -> NDArray[Any]:
        """Tap by tap: a shifted image times one weight for each channel."""
        multiplier = weights.shape[3] // x.shape[3]
        if multiplier > 1:
            x = np.repeat(x, multiplier, axis=3)
        total = np.zeros((len(x), rows.count, columns.count, weights.shape[3]), x.dtype)
        for row in range(rows.taps):
            for column in range(columns.taps):
                total += tap_view(x, rows, columns, row, column) * weights[0, row, column]
        return total

    def cases(self) -> Iterator[Case]:
        """Every activation, multiplier, stride, dilation, uneven padding, batch above 1."""
        for activation in Activation:
            attributes = ConvolutionAttributes(activation=activation, padding=Padding(1, 1, 1, 1))
            yield Case(
                f"3x3-{activation.value}", attributes, _operands((1, 5, 6, 4), (1, 3, 3, 4), axis=3)
            )
        for label, x, weights, attributes in (
            (
                "multiplier-2",
                (1, 6, 5, 3),
                (1, 3, 3, 6),
                ConvolutionAttributes(padding=Padding(1, 1, 1, 1)),
            ),
            (
                "one-channel-in",
                (1, 25, 5, 1),
                (1, 10, 4, 8),
                ConvolutionAttributes((2, 2), padding=Padding(4, 4, 1, 2)),
            ),
            (
                "same-stride-2",
                (2, 7, 8, 3),
                (1, 3, 3, 3),
                ConvolutionAttributes((2, 2), padding=Padding(1, 1, 0, 1)),
            ),
            (
                "dilated",
                (1, 8, 9, 2),
                (1, 3, 3, 2),
                ConvolutionAttributes(dilation=(3, 2), padding=Padding(3, 3, 2, 2)),
            ),
            ("valid", (1, 6, 6, 5), (1, 2, 4, 5), ConvolutionAttributes()),
            (
                "one-dimension",
                (1, 1, 30, 4),
                (1, 1, 7, 4),
                ConvolutionAttributes(padding=Padding(left=6)),
            ),
        ):
            yield Case(label, attributes, _operands(x, weights, axis=3))
        yield Case(
            "no-bias", ConvolutionAttributes(), _operands((1, 4, 4, 2), (1, 3, 3, 2), axis=3)[:2]
        )
        yield Case(
            "one-scale", ConvolutionAttributes(), _operands((1, 4, 4, 2), (1, 3, 3, 2), axis=None)
        )


def _slides(
    attributes: ConvolutionAttributes, x: tuple[int, ...], weights: tuple[int, ...]
) -> tuple[Slide, Slide]:
    if len(weights) != 4:
        raise ModelError(f"weights of shape {weights} are not [out][kh][kw][in]")
    return slides(
        x, (weights[1], weights[2]), attributes.stride, attributes.padding, attributes.dilation
    )


def _bias(channels: int, dtype: DType | None = None) -> Operand:
    return Operand((channels,), is_constant=True, dtype=dtype, role="bias")


def _operands(
    x: tuple[int, ...], weights: tuple[int, ...], axis: int | None = 0
) -> tuple[Operand, ...]:
    out = weights[0] if weights[0] > 1 else weights[3]
    return (
        Operand(x),
        Operand(weights, is_constant=True, role="weights", axis=axis),
        _bias(out),
    )


OPERATORS = (Conv2D(), DepthwiseConv2D())
