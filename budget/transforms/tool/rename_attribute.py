"""``rename_attribute``: an attribute gets another name, everywhere or on one operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class RenameAttribute(Transform):
    """Renames an attribute and keeps its value.

    Attributes:
        old_attribute_name: as it is.
        new_attribute_name: as it is to be.
        op_name: the only operator concerned; ``*`` or nothing for all.
    """

    old_attribute_name: str
    new_attribute_name: str
    op_name: str = ""
    called: ClassVar[str] = "rename_attribute"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        old, new = self.old_attribute_name, self.new_attribute_name
        nodes = []
        for node in graph.nodes.values():
            if old in node.attributes and self.op_name in ("", "*", node.op):
                values = {new if k == old else k: v for k, v in node.attributes.items()}
                node = node.changed(attributes=values)
            nodes.append(node)
        return graph.with_nodes(nodes)
