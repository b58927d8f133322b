"""Runs transforms one after the other, each verified, any of them allowed to fail if asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from budget.errors import BudgetError, CorruptModelError, UnsupportedModelError, UsageError
from budget.transforms.tool.forms import Shapes, Subject, as_graph, as_nodes, name_of, problems_of
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.registry import expand, find
from budget.transforms.tool.syntax import Call
from budget.transforms.tool.transform import (
    AnyTransform,
    Context,
    GraphTransform,
    Transform,
    boolean,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A transform to run.

    Attributes:
        text: as it is shown.
        transform: with its parameters.
        ignore_errors: keeps the graph as it was where the transform fails.
    """

    text: str
    transform: AnyTransform
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
    before: Subject
    after: Subject
    notes: tuple[str, ...]
    error: str = ""


def plan_steps(transforms: str | Sequence[str | AnyTransform]) -> list[Step]:
    """The steps that a text, a preset or a list of either and of transforms asks for.

    Raises:
        UsageError: a name or parameter is unknown, or the grammar is broken.
    """
    steps: list[Step] = []
    for item in [transforms] if isinstance(transforms, str) else transforms:
        if isinstance(item, (Transform, GraphTransform)):
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
    graph: Subject,
    steps: Sequence[Step],
    *,
    compat: bool = False,
    shapes: Shapes | None = None,
    observer: Callable[[Outcome], None] | None = None,
) -> Subject:
    """The graph after all steps.

    Args:
        graph: to start from, in either form; left as it is, and put into the other form where a
            step works on that.
        steps: in order.
        compat: asks for the old tool's results bit for bit.
        shapes: of inputs, where a file leaves them open.
        observer: called after each step.

    Raises:
        CorruptModelError: the graph is not sound to begin with.
        ModelError: a transform failed, or left a graph that is not sound.
    """
    problems = problems_of(graph)
    if problems:
        raise CorruptModelError("; ".join(problems[:5]), where=name_of(graph))
    for step in steps:
        context = Context(compat)
        before, error = graph, ""
        try:
            graph = _applied(step.transform, before, context, shapes or {})
            problems = problems_of(graph)
            if problems:
                raise UnsupportedModelError(
                    f"{step.text} leaves no sound graph: {'; '.join(problems[:5])}",
                    where=name_of(graph),
                )
        except BudgetError as failure:
            if not step.ignore_errors:
                raise
            graph, error = before, str(failure)
        if observer is not None:
            observer(Outcome(step, before, graph, tuple(context.notes), error))
    return graph


def run_nodes(graph: NodeGraph, steps: Sequence[Step], **options: Any) -> NodeGraph:
    """`run` for steps that leave nodes; arguments as there."""
    return as_nodes(run(graph, steps, **options))


def _applied(transform: AnyTransform, graph: Subject, context: Context, shapes: Shapes) -> Subject:
    if isinstance(transform, GraphTransform):
        return transform.apply(as_graph(graph, shapes), context)
    return transform.apply(as_nodes(graph), context)
