"""When each tensor comes to life and when it dies, for a graph run in a given order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from budget.graph import Graph, Node, TensorType


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The steps during which a tensor must keep its bytes, both ends included.

    Attributes:
        first_step: index of the step that writes it; -1 for graph inputs and variables.
        last_step: index of the last step that reads it; the number of steps for graph outputs
            and variables; ``first_step`` if nobody reads it.
    """

    first_step: int
    last_step: int


def lifetimes(graph: Graph, nodes: Sequence[Node] | None = None) -> dict[str, Lifetime]:
    """Lifetime of every tensor in RAM (constants lie in flash and have none).

    Args:
        graph: any dialect; subgraphs are not entered.
        nodes: the order of execution; the graph's own if left out.
    """
    order = graph.nodes if nodes is None else nodes
    end = len(order)
    first = dict.fromkeys(graph.inputs, -1)
    last = dict(first)
    for name, tensor in graph.tensors.items():
        if tensor.is_variable:
            first[name], last[name] = -1, end
    for index, node in enumerate(order):
        for name in node.present_inputs:
            if name in first:
                last[name] = max(last[name], index)
        for name in node.outputs:
            if name not in first:
                first[name] = last[name] = index
    for name in graph.outputs:
        if name in first:
            last[name] = end
    return {name: Lifetime(first[name], last[name]) for name in first}


def live_bytes(
    lifetimes: Mapping[str, Lifetime], types: Mapping[str, TensorType], step_count: int
) -> list[int]:
    """Bytes alive at each step if every tensor has memory of its own.

    Returns:
        ``step_count + 2`` values: before the first step, during each step, after the last.
    """
    changes = [0] * (step_count + 3)
    for name, lifetime in lifetimes.items():
        size = types[name].size_bytes
        changes[lifetime.first_step + 1] += size
        changes[lifetime.last_step + 2] -= size
    return list(_running_sums(changes))[:-1]


def _running_sums(changes: Iterable[int]) -> Iterable[int]:
    total = 0
    for change in changes:
        total += change
        yield total
