"""``sort_by_execution_order``: nodes in an order in which they can run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class SortByExecutionOrder(Transform):
    """Puts every node behind what it reads: the graph is the same set of equations, reordered.

    A graph that is in such an order stays; ``compat`` reorders it all the same, latest first.
    """

    called: ClassVar[str] = "sort_by_execution_order"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        if not context.compat and _is_sorted(graph):
            return graph
        return graph.with_nodes(graph.nodes[name] for name in graph.execution_order)


def _is_sorted(graph: NodeGraph) -> bool:
    seen: set[str] = set()
    for name, node in graph.nodes.items():
        if not seen.issuperset(node.read_nodes):
            return False
        seen.add(name)
    return True
