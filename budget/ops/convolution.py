"""Two-dimensional convolutions, dense, grouped and depthwise; a 1-D one has height 1."""

from __future__ import annotations

from dataclasses import dataclass

from budget.ops.operator import Activation, Operator, Padding


@dataclass(frozen=True, slots=True)
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
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


class Conv2D(Operator):
    """2-D convolution; x [n][h][w][in], weights [out][kh][kw][in/groups], bias [out] or absent."""

    name = "conv_2d"
    Attributes = ConvolutionAttributes


class DepthwiseConv2D(Operator):
    """One filter per channel; x [n][h][w][in], weights [1][kh][kw][in·multiplier], bias or absent.

    Output channel o reads input channel o // multiplier.
    """

    name = "depthwise_conv_2d"
    Attributes = ConvolutionAttributes


OPERATORS = (Conv2D(), DepthwiseConv2D())
