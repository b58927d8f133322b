"""Two-dimensional transposed convolution."""

from __future__ import annotations

from dataclasses import dataclass

from budget.ops.operator import Activation, Operator, Padding


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
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


class TransposeConv2D(Operator):
    """Gradient of a convolution: x [n][h][w][in], weights [out][kh][kw][in], bias [out] or absent.

    Input (y, x) adds to outputs (y·stride - top + ky, x·stride - left + kx).
    """

    name = "transpose_conv_2d"
    Attributes = TransposeConv2DAttributes


OPERATORS = (TransposeConv2D(),)
