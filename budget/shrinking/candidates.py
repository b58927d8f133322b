"""Candidates: a network after some ways to shrink, and what each of them did."""

from __future__ import annotations

from collections.abc import Sequence

from budget.graph import Graph
from budget.records import record
from budget.shrinking.way import Adapt, Calibration, Stage, Way, parse


@record
class Step:
    """One way applied.

    Attributes:
        way: as `budget.shrinking.way.parse` reads it.
        note: what it did, with figures.
        graph: after it.
        adapt: makes an example of the original's inputs one of this graph's; None where they are
            the same.
    """

    way: str
    note: str
    graph: Graph
    adapt: Adapt | None = None


@record
class Built:
    """A candidate in float, before it is trained and quantised.

    Attributes:
        graph: after the last step.
        steps: in the order they were taken.
        adapt: makes an example of the original's inputs one of this network's; None where they
            are the same.
    """

    graph: Graph
    steps: tuple[Step, ...]
    adapt: Adapt | None = None


def in_order(ways: Sequence[str]) -> tuple[list[Way], list[Way]]:
    """Ways that change the float network, and those that choose its precision, in their order."""
    parsed = sorted((parse(text) for text in ways), key=lambda way: way.stage)
    changes = [way for way in parsed if way.stage is not Stage.PRECISION]
    return changes, [way for way in parsed if way.stage is Stage.PRECISION]


def build(graph: Graph, ways: Sequence[str], calibration: Calibration) -> Built:
    """Applies every way but those of precision.

    Args:
        graph: the original, canonical, in float32.
        ways: such as ``prune:keep=0.5``.
        calibration: representative inputs of the original.

    Raises:
        UsageError: there is no such way.
        UnsupportedModelError: a way that cannot work on this network.
    """
    steps: list[Step] = []
    adapt: Adapt | None = None
    for way in in_order(ways)[0]:
        made = way.apply(graph, calibration)
        graph = made.graph
        calibration = calibration.adapted(made.adapt)
        adapt = _after(adapt, made.adapt)
        steps.append(Step(way.describe(), made.note, graph, adapt))
    return Built(graph, tuple(steps), adapt)


def _after(first: Adapt | None, second: Adapt | None) -> Adapt | None:
    if first is None or second is None:
        return second if first is None else first
    one, two = first, second
    return lambda sample: two(one(sample))
