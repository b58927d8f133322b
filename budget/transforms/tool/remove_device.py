"""``remove_device``: no node says where it is to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class RemoveDevice(Transform):
    """Clears every device; placement does not enter what is computed."""

    called: ClassVar[str] = "remove_device"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return graph.with_nodes(node.changed(device="") for node in graph.nodes.values())
