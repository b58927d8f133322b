"""Normalised exponentials along the last dimension."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SoftmaxAttributes:
    """Attributes of `Softmax`.

    Attributes:
        beta: factor in front of the argument.
    """

    beta: float = 1.0
