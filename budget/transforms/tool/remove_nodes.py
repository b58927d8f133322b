"""``remove_nodes``: operators that pass their input on are taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.errors import UsageError
from budget.transforms.tool.nodes import NodeDef, NodeGraph, renamed
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class RemoveNodes(Transform):
    """Takes y = op(x) for y = x: right for Identity and CheckNumerics, a choice for others.

    Readers read the first input instead, and who waited for the node waits for its input and for
    what it waited for. The graph's inputs and outputs stay.

    Attributes:
        op: operators to take out.
        max_inputs: nodes with more data inputs stay.
    """

    op: tuple[str, ...] = ()
    max_inputs: int = 1
    called: ClassVar[str] = "remove_nodes"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UsageError: no operator is given.
        """
        if not self.op:
            raise UsageError("remove_nodes needs the parameter 'op'", where="transforms")
        gone: dict[str, NodeDef] = {}
        for name in graph.execution_order:
            node = graph.nodes[name]
            if node.op not in self.op:
                continue
            if name in graph.kept:
                context.notes.append(f"{name} ({node.op}) stays: an input or output of the graph")
            elif not 1 <= len(node.inputs) <= self.max_inputs:
                context.notes.append(f"{name} ({node.op}) stays: it reads {len(node.inputs)}")
            elif f"{name}:1" in graph.read_tensors:
                context.notes.append(f"{name} ({node.op}) stays: its second output is read")
            else:
                gone[name] = node
        # in execution order, so that what a node passes on is known when it is reached
        passed: dict[str, str] = {}
        controls: dict[str, tuple[str, ...]] = {}
        for name, node in gone.items():
            passed[name] = renamed(node.inputs[0], passed)
            waits = _resolved(node.read_nodes, controls)
            # to wait for a constant is to wait for nothing
            controls[name] = tuple(item for item in waits if graph.nodes[item].op != "Const")
        return graph.with_nodes(
            node.changed(
                inputs=tuple(renamed(item, passed) for item in node.inputs),
                controls=_resolved(node.controls, controls),
            )
            for name, node in graph.nodes.items()
            if name not in gone
        )


def _resolved(names: tuple[str, ...], gone: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    if not any(name in gone for name in names):
        return names
    return tuple(dict.fromkeys(item for name in names for item in gone.get(name, (name,))))
