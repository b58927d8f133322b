"""``backport_tensor_array_v3``: tensor arrays as runtimes of 2016 know them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant, free_name
from budget.transforms.tool.transform import Context, Transform

_OPERATORS = (
    "TensorArrayV3", "TensorArrayGradV3", "TensorArrayWriteV3", "TensorArrayReadV3",
    "TensorArrayGatherV3", "TensorArrayScatterV3", "TensorArrayConcatV3", "TensorArraySplitV3",
    "TensorArraySizeV3", "TensorArrayCloseV3",
)  # fmt: skip
_NEW_OUTPUT = ("TensorArrayV3", "TensorArrayGradV3")


@dataclass(frozen=True)
class BackportTensorArrayV3(Transform):
    """Takes operators of version 3 for those of version 2, which do the same.

    Version 2 has no second output "flow", whose value nobody uses: who reads it reads a constant.
    """

    called: ClassVar[str] = "backport_tensor_array_v3"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        nodes: dict[str, NodeDef] = {}
        flows: dict[str, str] = {}
        for name, node in graph.nodes.items():
            if node.op in _NEW_OUTPUT and f"{name}:1" in graph.read_tensors:
                flow = constant(free_name(graph.nodes, f"{name}/replacement_flow_node"),
                                np.float32(1), device=node.device)  # fmt: skip
                nodes[flow.name] = flow
                flows[f"{name}:1"] = flow.name
            if node.op in _OPERATORS:
                dropped = ("identical_element_shapes",)
                kept = {k: v for k, v in node.attributes.items() if k not in dropped}
                node = node.changed(op=f"{node.op[:-1]}2", attributes=kept)
            nodes[name] = node
        return graph.with_nodes(
            node.changed(inputs=tuple(flows.get(item, item) for item in node.inputs))
            for node in nodes.values()
        )
