"""Whether inputs are scaled as the network was trained: the network itself is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from budget.graph import Graph
from budget.records import record
from budget.shrinking.evaluation import Score, answers, score
from budget.shrinking.examples import Examples
from budget.shrinking.recovery import float_outputs

_MOST = 256
RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-0.5, 0.5), (-128.0, 127.0))
"""What networks are usually trained on."""


@record
class Scaling:
    """How right a network is under one scale of its inputs.

    Attributes:
        low: what the smallest input becomes.
        high: what the largest becomes.
        score: on some of the examples.
    """

    low: float
    high: float
    score: Score

    @property
    def words(self) -> str:
        """The range as text."""
        return f"{self.low:g} to {self.high:g}"


def present_range(examples: Examples) -> tuple[float, float] | None:
    """The narrowest of `RANGES` that holds the inputs; None where none does, or they are many."""
    if len(examples.inputs) != 1:
        return None
    values = next(iter(examples.inputs.values()))
    if values.dtype.kind != "f" or not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    holding = [r for r in RANGES if r[0] <= low + 1e-6 and high - 1e-6 <= r[1]]
    return min(holding, key=lambda r: r[1] - r[0], default=None)


def rescaled(examples: Examples, old: tuple[float, float], new: tuple[float, float]) -> Examples:
    """Inputs of one range brought to another."""
    factor = np.float32((new[1] - new[0]) / (old[1] - old[0]))
    offset = np.float32(new[0] - old[0] * float(factor))
    inputs = {n: np.asarray(v, np.float32) * factor + offset for n, v in examples.inputs.items()}
    return replace(examples, inputs=inputs)


def better_scaling(
    graph: Graph, examples: Examples, present: tuple[float, float]
) -> tuple[Scaling, Scaling | None]:
    """The present scale, and one under which the network is right clearly more often.

    Clearly: the intervals of 95 % of the two accuracies do not meet.

    Args:
        graph: the original, in float.
        examples: with labels; some of them are used.
        present: the range their inputs are in.
    """
    step = max(1, len(examples) // _MOST)
    some = examples.take(np.arange(0, len(examples), step)[:_MOST])
    assert some.labels is not None
    found = []
    for low, high in RANGES:
        scaled = rescaled(some, present, (low, high))
        given = answers(float_outputs(graph, scaled))
        found.append(Scaling(low, high, score(given, some.labels)))
    now = next(s for s in found if (s.low, s.high) == present)
    best = max(found, key=lambda s: s.score.ratio)
    return now, best if best.score.interval[0] > now.score.interval[1] else None
