"""``backport_concatv2``: ConcatV2 as the Concat that older runtimes know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class BackportConcatV2(Transform):
    """Takes ConcatV2(x…, axis) for Concat(axis, x…): the same operands in another order."""

    called: ClassVar[str] = "backport_concatv2"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        nodes = []
        for node in graph.nodes.values():
            if node.op == "ConcatV2" and node.inputs:
                kept = {k: v for k, v in node.attributes.items() if k != "Tidx"}
                inputs = (node.inputs[-1], *node.inputs[:-1])
                node = node.changed(op="Concat", inputs=inputs, attributes=kept)
            nodes.append(node)
        return graph.with_nodes(nodes)
