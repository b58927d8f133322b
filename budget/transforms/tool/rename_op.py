"""``rename_op``: an operator gets another name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class RenameOp(Transform):
    """Turns every node of one operator into one of another with the same inputs and attributes.

    Attributes:
        old_op_name: as it is.
        new_op_name: as it is to be.
    """

    old_op_name: str
    new_op_name: str
    called: ClassVar[str] = "rename_op"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return graph.with_nodes(
            node.changed(op=self.new_op_name) if node.op == self.old_op_name else node
            for node in graph.nodes.values()
        )
