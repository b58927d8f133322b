"""``remove_control_dependencies``: no node waits for another without reading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class RemoveControlDependencies(Transform):
    """Drops every ``^node`` input: y = f(x) stays y = f(x), only side effects lose their order."""

    called: ClassVar[str] = "remove_control_dependencies"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return graph.with_nodes(node.changed(controls=()) for node in graph.nodes.values())
