"""``merge_duplicate_nodes``: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from budget.formats.tensorflow_values import TensorValue, encode_attribute
from budget.transforms.tool.nodes import NodeGraph, renamed_inputs
from budget.transforms.tool.transform import Context, Transform

_STATEFUL = ("Variable", "Random", "Multinomial", "TruncatedNormal", "Queue", "Reader", "Stack",
             "TensorArray", "HashTable", "Barrier", "Iterator", "Dataset", "Print", "Assert",
             "Save", "Restore", "Assign", "Stateful", "Dropout", "PyFunc", "VarHandle", "Mutex",
             "Summary", "File", "Placeholder", "Lookup", "Call", "Scatter", "Rng", "Accumulator",
             "Sample", "Shuffle", "Generator", "While", "If", "Case", "Enter", "NextIteration",
             "Switch", "Merge", "Exit", "LoopCond", "NoOp")  # fmt: skip
"""Parts of operators' names that mark state, side effects or control flow; those are kept."""


@dataclass(frozen=True)
class MergeDuplicateNodes(Transform):
    """Takes y = f(x) and z = f(x) for one node, as long as f has no state and no side effect.

    Equal are nodes with the same operator, inputs, control inputs, device and attributes, once
    their own inputs are merged. The graph's inputs and outputs stay.
    """

    called: ClassVar[str] = "merge_duplicate_nodes"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        first: dict[Any, str] = {}
        same: dict[str, str] = {}
        for name in graph.execution_order:
            node = renamed_inputs([graph.nodes[name]], same)[0]
            if any(part in node.op for part in _STATEFUL):
                continue
            key = (node.op, node.inputs, frozenset(node.controls), node.device,
                   _key(node.attributes))  # fmt: skip
            if key not in first:
                first[key] = name
            elif name not in graph.kept:
                same[name] = first[key]
        nodes = [node for node in graph.nodes.values() if node.name not in same]
        return graph.with_nodes(renamed_inputs(nodes, same))


def _key(attributes: Mapping[str, Any]) -> Any:
    return tuple((name, _content(attributes[name])) for name in sorted(attributes))


def _content(value: Any) -> Any:
    if isinstance(value, TensorValue) and value.array.dtype != object:
        return value.dtype, value.array.shape, value.array.tobytes()
    return encode_attribute(value).encode()
