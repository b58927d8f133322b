"""Pooling over windows of an image."""

from __future__ import annotations

from dataclasses import dataclass

from budget.ops.operator import Activation, Operator, Padding


@dataclass(frozen=True, slots=True)
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
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


class AveragePool2D(Operator):
    """Mean over windows of x [n][h][w][c]; global pooling has a window as large as the image."""

    name = "average_pool_2d"
    Attributes = PoolAttributes


class MaxPool2D(Operator):
    """Maximum over windows of x [n][h][w][c]."""

    name = "max_pool_2d"
    Attributes = PoolAttributes


class L2Pool2D(Operator):
    """Root of the mean of squares over windows of x [n][h][w][c]."""

    name = "l2_pool_2d"
    Attributes = PoolAttributes


OPERATORS = (AveragePool2D(), MaxPool2D(), L2Pool2D())
