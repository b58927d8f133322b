"""``set_device``: all nodes, or those without one, get a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class SetDevice(Transform):
    """Sets every device; placement does not enter what is computed.

    Attributes:
        device: such as ``/cpu:0``.
        if_default: only where none is set.
    """

    device: str = ""
    if_default: bool = False
    called: ClassVar[str] = "set_device"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return graph.with_nodes(
            node if self.if_default and node.device else node.changed(device=self.device)
            for node in graph.nodes.values()
        )
