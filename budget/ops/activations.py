"""Functions applied to every element by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeakyReluAttributes:
    """Attributes of `LeakyRelu`.

    Attributes:
        alpha: slope for negative arguments.
    """

    alpha: float = 0.2


@dataclass(frozen=True, slots=True)
class GeluAttributes:
    """Attributes of `Gelu`.

    Attributes:
        approximate: by tanh instead of the error function.
    """

    approximate: bool = False
