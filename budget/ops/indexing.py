"""Positions of extremes, and look-up by position."""

from __future__ import annotations

from dataclasses import dataclass

from budget.graph.types import DType
from budget.ops.operator import Operator


@dataclass(frozen=True, slots=True)
class ArgAttributes:
    """Attributes of `ArgMax` and `ArgMin`.

    Attributes:
        axis: dimension that disappears, not negative.
        dtype: of the positions, int32 or int64.
    """

    axis: int
    dtype: DType = DType.INT32


class ArgMax(Operator):
    """Position of the largest element along an axis; the first of equals."""

    name = "arg_max"
    Attributes = ArgAttributes


class ArgMin(Operator):
    """Position of the smallest element along an axis; the first of equals."""

    name = "arg_min"
    Attributes = ArgAttributes


@dataclass(frozen=True, slots=True)
class GatherAttributes:
    """Attributes of `Gather`.

    Attributes:
        axis: dimension of x that the indices select from, not negative; 0 is embedding look-up.
        batch_dims: leading dimensions that x and the indices share.
    """

    axis: int = 0
    batch_dims: int = 0


class Gather(Operator):
    """Slices of x at integer positions; inputs x, indices."""

    name = "gather"
    Attributes = GatherAttributes


OPERATORS = (ArgMax(), ArgMin(), Gather())
