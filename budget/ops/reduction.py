"""Sums, means and extremes along dimensions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReduceAttributes:
    """Attributes of every reduction.

    Attributes:
        axes: dimensions that are reduced, ascending, not negative.
        keep_dims: reduced dimensions stay with extent 1.
    """

    axes: tuple[int, ...]
    keep_dims: bool = False
