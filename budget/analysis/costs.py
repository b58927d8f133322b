"""Arithmetic, memory traffic and parameters of a graph, and which operators are not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from budget.errors import UnsupportedModelError
from budget.graph import Graph, Node, TensorType
from budget.ops import Cost, registry


@dataclass(frozen=True, slots=True)
class OperatorCount:
    """How often an operator occurs, and what all its occurrences do together."""

    op: str
    node_count: int
    cost: Cost


def unsupported_operators(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Operators that are not canonical, each with the names of its nodes, subgraphs included."""
    found: dict[str, list[str]] = {}
    for part in graph.walk():
        for node in part.nodes:
            if not registry.is_canonical(node.op):
                found.setdefault(node.op, []).append(node.name)
    return {op: tuple(names) for op, names in sorted(found.items())}


def require_supported(graph: Graph) -> None:
    """Does nothing if every operator is known.

    Raises:
        UnsupportedModelError: some are not; the message lists all of them.
    """
    unknown = unsupported_operators(graph)
    if not unknown:
        return
    listed = ", ".join(
        f"{op} ({len(names)} nodes: {', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
        if len(names) > 1
        else f"{op} (node {names[0]})"
        for op, names in unknown.items()
    )
    raise UnsupportedModelError(
        f"the model uses operators that are not supported: {listed}",
        where=graph.source.name or graph.name,
        hint="'budget ops' lists the operators that are",
    )


def node_cost(node: Node, types: Mapping[str, TensorType]) -> Cost:
    """Cost of one execution of a canonical node whose tensors have the given types."""
    inputs = [types.get(name) for name in node.inputs]
    outputs = [types[name] for name in node.outputs]
    return registry.get(node.op).cost(node.attributes, inputs, outputs)


def node_costs(graph: Graph, types: Mapping[str, TensorType] | None = None) -> dict[str, Cost]:
    """Cost of every node by name; subgraphs are not entered.

    Args:
        graph: canonical.
        types: of all tensors, where they are not the graph's own (another precision).

    Raises:
        UnsupportedModelError: an operator is not known; all such are listed.
    """
    require_supported(graph)
    known = types or {name: tensor.type for name, tensor in graph.tensors.items()}
    return {node.name: node_cost(node, known) for node in graph.nodes}


def total_cost(graph: Graph, types: Mapping[str, TensorType] | None = None) -> Cost:
    """Sum over all nodes."""
    return sum(node_costs(graph, types).values(), Cost())


def operator_histogram(graph: Graph) -> list[OperatorCount]:
    """Operators of a canonical graph, those with most MACs first, then most frequent."""
    counts: dict[str, int] = {}
    costs: dict[str, Cost] = {}
    for node, cost in zip(graph.nodes, node_costs(graph).values()):
        counts[node.op] = counts.get(node.op, 0) + 1
        costs[node.op] = costs.get(node.op, Cost()) + cost
    found = [OperatorCount(op, counts[op], costs[op]) for op in counts]
    return sorted(found, key=lambda entry: (-entry.cost.macs, -entry.node_count, entry.op))
