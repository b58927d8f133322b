"""Arithmetic, memory traffic and parameters of a graph, and which operators are not known."""

from __future__ import annotations

from collections.abc import Mapping

from budget.analysis.operands import operand_roles
from budget.errors import UnsupportedModelError
from budget.graph import Graph, Node, TensorType
from budget.ops import Cost, registry
from budget.records import record

BATCH_NORM_STATISTICS = (3, 4)
"""Operands of batch_norm that are measured during training, not learnt."""


@record
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


@record
class ParameterCounts:
    """The three numbers that are called "parameters", told apart.

    Attributes:
        constants: every element of every constant in the file, shapes and axes included (what
            TensorFlow's summarize_graph printed).
        trainable: elements of weights, biases, scales and offsets; not the statistics of batch
            norms, not shapes or axes.
        deployed: elements of constants that the lowered graph still reads.
    """

    constants: int
    trainable: int
    deployed: int


def count_parameters(source: Graph, as_is: Graph, lowered: Graph) -> ParameterCounts:
    """Counts parameters of one model at three stages; subgraphs are included.

    Args:
        source: as the reader returned it.
        as_is: canonical, nothing folded: what training could have changed.
        lowered: canonical, folded and fused: what is deployed.
    """
    constants = sum(t.type.element_count for part in source.walk() for t in part.constants)
    trainable = sum(_trainable(part) for part in as_is.walk())
    deployed = sum(
        part.type_of(name).element_count
        for part in lowered.walk()
        for name in _read_constants(part)
    )
    return ParameterCounts(constants, trainable, deployed)


def _read_constants(graph: Graph) -> list[str]:
    read = dict.fromkeys(name for node in graph.nodes for name in node.present_inputs)
    return [name for name in read if graph.tensors[name].is_constant]


def _trainable(graph: Graph) -> int:
    found: dict[str, int] = {}
    for node in graph.nodes:
        roles = operand_roles(node.op)
        for index, name in enumerate(node.inputs):
            if graph.constant(name) is None or roles.get(index) == "raw":
                continue
            type = graph.type_of(name)
            is_statistic = node.op == "batch_norm" and index in BATCH_NORM_STATISTICS
            if (type.dtype.is_float or type.is_quantized) and not is_statistic:
                found[name] = type.element_count
    return sum(found.values())
