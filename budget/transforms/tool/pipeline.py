"""Runs transforms one after the other, each verified, any of them allowed to fail if asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from budget.errors import BudgetError, CorruptModelError, UnsupportedModelError, UsageError
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.registry import expand, find
from budget.transforms.tool.syntax import Call
from budget.transforms.tool.transform import Context, Transform, boolean


@dataclass(frozen=True, slots=True)
class Step:
    """A transform to run.

    Attributes:
        text: as it is shown.
        transform: with its parameters.
        ignore_errors: keeps the graph as it was where the transform fails.
    """

    text: str
    transform: Transform
    ignore_errors: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transform that was run.

    Attributes:
        step: what was run.
        before: the graph it got.
        after: the graph it left.
        notes: what it did not do, and why.
        error: what it failed with, where that was to be ignored.
    """

    step: Step
    before: NodeGraph
    after: NodeGraph
    notes: tuple[str, ...]
    error: str = ""


def plan_steps(transforms: str | Sequence[str | Transform]) -> list[Step]:
    """The steps that a text, a preset or a list of either and of transforms asks for.

    Raises:
        UsageError: a name or parameter is unknown, or the grammar is broken.
    """
    steps: list[Step] = []
    for item in [transforms] if isinstance(transforms, str) else transforms:
        if isinstance(item, Transform):
            steps.append(Step(item.called, item))
        else:
            steps += [step for call in expand(item) for step in _steps(call)]
    if not steps:
        raise UsageError("no transform is given", where="transforms")
    return steps


def _steps(call: Call) -> list[Step]:
    parameters = dict(call.parameters)
    ignore = parameters.pop("ignore_errors", ("false",))
    try:
        ignore_errors = boolean(ignore[-1])
    except KeyError:
        raise UsageError(
            f"ignore_errors is true or false, not {ignore[-1]!r}", where=f"transforms: {call.name}"
        ) from None
    found = find(call.name)
    return [
        Step(
            str(call) if len(found) == 1 else kind.called,
            kind.from_parameters(parameters),
            ignore_errors,
        )
        for kind in found
    ]


def run(
    graph: NodeGraph,
    steps: Sequence[Step],
    *,
    compat: bool = False,
    observer: Callable[[Outcome], None] | None = None,
) -> NodeGraph:
    """The graph after all steps.

    Args:
        graph: to start from; left as it is.
        steps: in order.
        compat: asks for the old tool's results bit for bit.
        observer: called after each step.

    Raises:
        CorruptModelError: the graph is not sound to begin with.
        ModelError: a transform failed, or left a graph that is not sound.
    """
    problems = graph.problems()
    if problems:
        raise CorruptModelError("; ".join(problems[:5]), where=graph.envelope.name)
    for step in steps:
        context = Context(compat)
        before, error = graph, ""
        try:
            graph = step.transform.apply(before, context)
            problems = graph.problems()
            if problems:
                raise UnsupportedModelError(
                    f"{step.text} leaves no sound graph: {'; '.join(problems[:5])}",
                    where=graph.envelope.name,
                )
        except BudgetError as failure:
            if not step.ignore_errors:
                raise
            graph, error = before, str(failure)
        if observer is not None:
            observer(Outcome(step, before, graph, tuple(context.notes), error))
    return graph
