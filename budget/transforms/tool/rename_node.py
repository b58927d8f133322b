"""``rename_node``: a node gets another name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from budget.errors import UsageError
from budget.transforms.tool.nodes import NodeGraph, renamed, renamed_inputs
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class RenameNode(Transform):
    """Renames a node and all that refers to it, the graph's inputs and outputs included.

    Attributes:
        old_node_name: as it is.
        new_node_name: as it is to be; must be free.
    """

    old_node_name: str
    new_node_name: str
    called: ClassVar[str] = "rename_node"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UsageError: the new name is taken.
        """
        old, new = self.old_node_name, self.new_node_name
        if old not in graph.nodes:
            return graph
        if new in graph.nodes:
            raise UsageError(f"a node called {new!r} exists already", where=graph.envelope.name)
        nodes = [
            node.changed(name=new) if node.name == old else node for node in graph.nodes.values()
        ]
        names = {old: new}
        changed = graph.with_nodes(renamed_inputs(nodes, names))
        return replace(
            changed,
            inputs=tuple(renamed(item, names) for item in graph.inputs),
            outputs=tuple(renamed(item, names) for item in graph.outputs),
        )
