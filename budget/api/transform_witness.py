"""How far a transform moved the outputs: the graph is run before and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from budget.api.examples import draw_examples, read_examples, stored_example, to_real
from budget.errors import BudgetError, UsageError
from budget.graph import Array, Graph
from budget.records import record
from budget.transforms.tool.forms import Subject, as_graph

_EXAMPLES = 8
"""Of the user's examples, how many the outputs are compared on."""


@record
class Change:
    """How far outputs moved from those of the first graph that could be run.

    Attributes:
        absolute: largest difference of any element; None where the graph could not be run.
        relative: that, over the largest element of the output concerned.
        reason: why it could not be run.
    """

    absolute: float | None
    relative: float | None
    reason: str = ""


class Witness:
    """Runs graphs on the same inputs, through our own lowering with nothing folded."""

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        seed: int,
        examples: str | Path | Sequence[Mapping[str, Array]] | None,
        model: str | Path | Graph,
    ) -> None:
        self._shapes = dict(shapes)
        self._seed = seed
        self._given = examples
        self._model = model
        self._reference: list[Any] | None = None
        self._examples: list[list[Array]] = []
        self._graph: Subject | None = None
        self._change = Change(None, None, "")

    def compare(self, graph: Subject) -> Change:
        """The change since the first graph that could be run."""
        if graph is not self._graph:
            self._graph, self._change = graph, self._compare(graph)
        return self._change

    def _compare(self, graph: Subject) -> Change:
        try:
            found = self._run(graph)
        except UsageError:
            raise  # the caller's own inputs do not suit the model
        except BudgetError as error:
            return Change(None, None, str(error))
        if self._reference is None:
            self._reference = found
        if [item.shape for item in found] != [item.shape for item in self._reference]:
            return Change(float("inf"), float("inf"), "the shape of an output changed")
        absolute = relative = 0.0
        for old, new in zip(self._reference, found, strict=True):
            difference = float(np.max(np.abs(new - old), initial=0))
            largest = float(np.max(np.abs(old), initial=0))
            absolute = max(absolute, difference)
            relative = max(relative, difference / largest if largest else difference)
        return Change(absolute, relative)

    def _run(self, graph: Subject) -> list[Any]:
        from budget.ops.interpreter import run as interpret

        shapes = dict(self._shapes)
        if self._examples:
            shapes |= dict(zip(graph.inputs, (np.shape(x) for x in self._examples[0]), strict=True))
        lowered = as_graph(graph, shapes, as_is=True)
        if not self._examples:
            self._examples = [
                [example[name] for name in lowered.inputs] for example in self._drawn(lowered)
            ]
        results: list[list[Any]] = []
        for example in self._examples:
            given = dict(zip(lowered.inputs, example, strict=True))
            values = interpret(lowered, stored_example(lowered, given, lowered.inputs))
            results.append([to_real(lowered.type_of(name), values[name])
                            for name in lowered.outputs])  # fmt: skip
        return [np.stack(values) for values in zip(*results, strict=True)]

    def _drawn(self, graph: Graph) -> list[Mapping[str, Array]]:
        if self._given is None:
            return [example for _, example in draw_examples(graph, 1, self._seed)]
        if isinstance(self._given, (str, Path)):
            read = read_examples(self._given, graph, model=self._model)
            return [example for _, example in read[:_EXAMPLES]]
        return list(self._given)[:_EXAMPLES]
