"""Programs that run every implementation of every layer at least once."""

from __future__ import annotations

from collections.abc import Iterator

from budget.graph import Graph
from budget.plan import plan
from budget.plan.alternatives import alternatives
from budget.plan.precision import deployed_types
from budget.plan.program import Program


def every_way(graph: Graph, core: str, optimise: str) -> Iterator[Program]:
    """As many programs as the layer with most implementations has; the portable ones are left out.

    Args:
        graph: canonical.
        core: whose implementations.
        optimise: mode that they will be emitted in.
    """
    types = deployed_types(graph, None)
    found = {node.name: alternatives(node, graph, types, core)[1:] for node in graph.nodes}
    found = {name: variants for name, variants in found.items() if variants}
    for index in range(max(map(len, found.values()), default=1)):
        forced = {name: variants[min(index, len(variants) - 1)] for name, variants in found.items()}
        yield plan(graph, target=core, optimise=optimise, forced=forced)
