"""What a way to shrink a network is, what it works on, and which ones there are.

A way is a record whose fields are its strengths, such as the share of the channels that stay:

    way = find("prune", keep=0.6)
    shrunk = way.apply(graph, calibration)

Ways take canonical float graphs and return graphs that verify. Those of stage `PRECISION` return
integers (or a mixture) and come last; of the others, structure comes before weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import IntEnum
from importlib import import_module
from typing import Any, ClassVar, TypeVar

import numpy as np

from budget.errors import UsageError
from budget.graph import Array, Graph
from budget.ops.interpreter import run
from budget.records import record
from budget.shrinking.ranges import Sample

Setting = float | int | str
Made = TypeVar("Made")

_MODULES = {
    "resolution": "budget.shrinking.resolution",
    "rate": "budget.shrinking.resolution",
    "early-exit": "budget.shrinking.early_exit",
    "prune": "budget.shrinking.prune",
    "low-rank": "budget.shrinking.low_rank",
    "cluster": "budget.shrinking.cluster",
    "int8": "budget.shrinking.precision",
    "int16x8": "budget.shrinking.precision",
    "mixed": "budget.shrinking.precision",
}


class Stage(IntEnum):
    """When a way's turn is; smaller first."""

    INPUT = 0
    STRUCTURE = 1
    WEIGHTS = 2
    PRECISION = 3


@record
class Strength:
    """One field of a way, as a search draws it.

    Attributes:
        name: of the field.
        what: it means, in words.
        low: smallest sensible number (unused with choices).
        high: largest.
        choices: the values to choose from, where it is not a number of a range.
        is_integer: whether only whole numbers make sense.
    """

    name: str
    what: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[Setting, ...] = ()
    is_integer: bool = False


@record
class Reason:
    """What a way did to one layer, and why.

    Attributes:
        layer: name of the node or tensor.
        what: in words.
    """

    layer: str
    what: str


Adapt = Callable[[Sample], dict[str, Array]]


@record
class Shrunk:
    """What a way made.

    Attributes:
        graph: that verifies.
        note: one sentence with figures.
        reasons: layer by layer.
        adapt: makes a sample of the former graph one of the new graph; None where the inputs
            kept their shapes. Integer graphs take the float sample quantised at their input.
        rest: with early exit, the part that runs only if the first part is not sure: its inputs
            are `graph`'s outputs behind the first.
        threshold: with early exit, the least highest probability at which the rest is skipped.
    """

    graph: Graph
    note: str
    reasons: tuple[Reason, ...] = ()
    adapt: Adapt | None = None
    rest: Graph | None = None
    threshold: float | None = None


class Calibration:
    """Representative inputs, and what a float graph computes from them (kept for the last graph).

    Args:
        samples: at least one; each has every input of the graph in its own shape.
        seed: of everything a way draws at random.
    """

    def __init__(self, samples: Sequence[Sample], seed: int = 0) -> None:
        if not samples:
            raise UsageError("there is no representative data", hint="give at least one example")
        self.samples = [dict(sample) for sample in samples]
        self.seed = seed
        self._graph: Graph | None = None
        self._values: list[dict[str, Array]] = []
        self._found: tuple[Graph | None, dict[str, Any]] = (None, {})

    def activations(self, graph: Graph) -> list[dict[str, Array]]:
        """Every tensor that is given or computed, sample by sample.

        Raises:
            UsageError: samples do not suit the graph.
        """
        if self._graph is not graph:
            values = [{**sample, **run(graph, sample, keep="all")} for sample in self.samples]
            self._graph, self._values = graph, values
        return self._values

    def once(self, graph: Graph, name: str, make: Callable[[], Made]) -> Made:
        """What a slow function of a graph and these samples gives, kept for the last graph."""
        if self._found[0] is not graph:
            self._found = graph, {}
        if name not in self._found[1]:
            self._found[1][name] = make()
        made: Made = self._found[1][name]
        return made

    def outputs(self, graph: Graph) -> list[dict[str, Array]]:
        """The graph's outputs, sample by sample."""
        return [{n: values[n] for n in graph.outputs} for values in self.activations(graph)]

    def adapted(self, adapt: Adapt | None) -> Calibration:
        """The same samples for a graph whose inputs have changed (`Shrunk.adapt`)."""
        if adapt is None:
            return self
        return Calibration([adapt(sample) for sample in self.samples], self.seed)


class Way(ABC):
    """Base of all ways: a record whose fields are strengths with sensible defaults.

    Class attributes:
        name: by which `find` knows it.
        words: what it does, in one sentence.
        stage: when its turn is.
        recovers: whether fine-tuning behind it pays.
    """

    name: ClassVar[str]
    words: ClassVar[str]
    stage: ClassVar[Stage] = Stage.STRUCTURE
    recovers: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """The fields and their sensible ranges."""

    @abstractmethod
    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Shrinks a canonical float graph.

        Raises:
            UnsupportedModelError: the way cannot work on this graph at all.
            UsageError: the calibration data does not suit it.
        """

    def describe(self) -> str:
        """The way and its strengths, as `parse` reads it: ``prune:keep=0.5,score=norm``."""
        given = [f"{s.name}={getattr(self, s.name)}" for s in self.strengths()]
        return self.name + (":" + ",".join(given) if given else "")


def names() -> tuple[str, ...]:
    """Every way, in the order in which they take their turns."""
    return tuple(_MODULES)


def way_class(name: str) -> type[Way]:
    """The class of a way.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in _MODULES:
        raise UsageError(
            f"there is no way to shrink called {name!r}", hint=f"ways: {', '.join(_MODULES)}"
        )
    ways: tuple[type[Way], ...] = import_module(_MODULES[name]).WAYS
    return next(way for way in ways if way.name == name)


def find(name: str, **settings: Setting) -> Way:
    """The way of that name with some of its strengths set.

    Raises:
        UsageError: there is no such way or strength, or its value makes no sense.
    """
    found = way_class(name)
    strengths = {strength.name: strength for strength in found.strengths()}
    for key, value in settings.items():
        if key not in strengths:
            raise UsageError(
                f"{name} has no strength {key!r}", hint=f"strengths: {', '.join(strengths)}"
            )
        settings[key] = _checked(name, strengths[key], value)
    return found(**settings)


def _checked(name: str, strength: Strength, value: Setting) -> Setting:
    if strength.choices:
        for choice in strength.choices:
            if str(value) == str(choice):
                return choice
        allowed = "one of " + ", ".join(map(str, strength.choices))
    else:
        allowed = f"from {strength.low:g} to {strength.high:g}"
        try:
            number = float(value)
        except ValueError:
            number = np.nan
        if strength.low <= number <= strength.high:
            if not strength.is_integer:
                return number
            if number == int(number):
                return int(number)
            allowed = "a whole number " + allowed
    raise UsageError(f"{name}: {strength.name}={value} is not {allowed}", hint=strength.what)


def parse(text: str) -> Way:
    """The way that `Way.describe` wrote: ``low-rank:error=0.1``.

    Raises:
        UsageError: it makes no sense.
    """
    name, _, rest = text.partition(":")
    settings: dict[str, Setting] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"{text!r}: {part!r} is not KEY=VALUE")
        settings[key.strip()] = value.strip()
    return find(name.strip(), **settings)
