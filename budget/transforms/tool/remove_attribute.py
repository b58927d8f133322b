"""``remove_attribute``: an attribute is dropped, everywhere or from one operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class RemoveAttribute(Transform):
    """Drops an attribute; what is computed stays the same if it was at its default or a comment.

    Attributes:
        attribute_name: such as ``_output_shapes``.
        op_name: the only operator to drop it from; ``*`` or nothing for all.
    """

    attribute_name: str
    op_name: str = ""
    called: ClassVar[str] = "remove_attribute"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        nodes = []
        for node in graph.nodes.values():
            if self.attribute_name in node.attributes and self.op_name in ("", "*", node.op):
                kept = {k: v for k, v in node.attributes.items() if k != self.attribute_name}
                node = node.changed(attributes=kept)
            nodes.append(node)
        return graph.with_nodes(nodes)
