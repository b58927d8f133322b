"""Normalisation: by recorded statistics, by those of the example, by length."""

from __future__ import annotations

from dataclasses import dataclass

from budget.ops.operator import Operator


@dataclass(frozen=True, slots=True)
class BatchNormAttributes:
    """Attributes of `BatchNorm`.

    Attributes:
        epsilon: added to the variance.
    """

    epsilon: float = 0.001


class BatchNorm(Operator):
    """y = (x - mean)·scale/sqrt(variance + epsilon) + offset; inputs x [...][c], then four [c].

    Inputs in order: x, scale, offset, mean, variance; scale and offset may be absent. Float only:
    quantised models have it folded into their weights.
    """

    name = "batch_norm"
    Attributes = BatchNormAttributes
    witness = "tensorflow"


@dataclass(frozen=True, slots=True)
class LayerNormAttributes:
    """Attributes of `LayerNorm`.

    Attributes:
        axes: dimensions over which mean and variance are taken, not negative, rising.
        epsilon: added to the variance.
    """

    axes: tuple[int, ...]
    epsilon: float = 0.001


class LayerNorm(Operator):
    """y = (x - mean)·scale/sqrt(variance + epsilon) + offset with the example's own statistics.

    Inputs in order: x, scale, offset; the last two broadcast against x and may be absent.
    """

    name = "layer_norm"
    Attributes = LayerNormAttributes
    witness = "tensorflow"


@dataclass(frozen=True, slots=True)
class L2NormAttributes:
    """Attributes of `L2Norm`.

    Attributes:
        epsilon: the least length that is divided by.
    """

    epsilon: float = 1e-6


class L2Norm(Operator):
    """Each row along the last dimension divided by its Euclidean length."""

    name = "l2_norm"
    Attributes = L2NormAttributes


OPERATORS = (BatchNorm(), LayerNorm(), L2Norm())
