"""``fold_constants``: what does not depend on the inputs is computed now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from budget.errors import UnsupportedModelError
from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import DTYPES, TYPES_BY_DTYPE
from budget.graph.graph import Node
from budget.graph.types import Array, DType
from budget.readers.graphdef import node_of
from budget.transforms.lower.tensorflow_evaluate import evaluate
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant, free_name, renamed_inputs
from budget.transforms.tool.transform import Context, Transform

_PASSING = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "CheckNumerics")


@dataclass(frozen=True)
class FoldConstants(Transform):
    """Replaces f(c) by its value where c is constant and f is known, and drops what nobody needs.

    Values come from the evaluator that our own lowering uses. The graph's inputs have to be
    placeholders. A constant that replaces a node keeps its name and what it waited for.

    Attributes:
        clear_output_shapes: drops the attribute ``_output_shapes``, which may have become wrong.
        exclude_op: operators to leave alone.
        exclude_node: nodes to leave alone.
        max_constant_size_in_bytes: no larger constant is made.
    """

    clear_output_shapes: bool = True
    exclude_op: tuple[str, ...] = ()
    exclude_node: tuple[str, ...] = ()
    max_constant_size_in_bytes: int = 10 * 1024 * 1024
    called: ClassVar[str] = "fold_constants"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UnsupportedModelError: an input of the graph is not a placeholder.
        """
        inputs = set(map(node_of, graph.inputs))
        for name in inputs:
            if not graph.nodes[name].op.startswith("Placeholder"):
                raise UnsupportedModelError(
                    "the graph's inputs have to be placeholders to fold constants",
                    where=graph.where(graph.nodes[name]),
                    hint="run strip_unused_nodes before",
                )
        values: dict[str, Array] = {}
        folded: dict[str, list[Array]] = {}
        for name in graph.execution_order:
            results = [] if name in inputs else self._fold(graph.nodes[name], values, context)
            for port, array in enumerate(results):
                values[name if port == 0 else f"{name}:{port}"] = array
            if results and graph.nodes[name].op != "Const":
                folded[name] = results
        return self._rewritten(graph, folded)

    def _fold(self, node: NodeDef, values: dict[str, Array], context: Context) -> list[Array]:
        """A node's outputs; nothing where it is not constant or not to be folded."""
        if node.op == "Const":
            value = node.value
            simple = value and TYPES_BY_DTYPE.get(DTYPES[value.dtype]) == value.dtype
            return (
                [value.array] if value and simple and value.dtype is not DataType.BFLOAT16 else []
            )
        if node.op in self.exclude_op or node.name in self.exclude_node or not node.inputs:
            return []
        if not all(item in values for item in node.inputs):
            return []
        operands = [values[item] for item in node.inputs]
        if node.op in _PASSING:
            return operands[:1]
        found = evaluate(
            Node(node.name, f"tf.{node.op}", node.inputs, (node.name,), node.attributes), operands
        )
        if found is None:
            context.notes.append(f"{node.name} ({node.op}) stays: it cannot be computed here")
            return []
        if any(item.nbytes > self.max_constant_size_in_bytes for item in found):
            context.notes.append(f"{node.name} ({node.op}) stays: its value is too large")
            return []
        return [np.asarray(item) for item in found]

    def _rewritten(self, graph: NodeGraph, folded: dict[str, list[Array]]) -> NodeGraph:
        nodes: dict[str, NodeDef] = {}
        names: dict[str, str] = {}
        for name, node in graph.nodes.items():
            # to wait for a constant is to wait for nothing
            waits = tuple(
                item
                for item in node.controls
                if item not in folded and graph.nodes[item].op != "Const"
            )
            if name not in folded:
                nodes[name] = self._cleared(node).changed(controls=waits)
                continue
            for port, array in enumerate(folded[name]):
                if port and f"{name}:{port}" not in graph.read_tensors:
                    continue
                own = name
                if port:
                    own = free_name({**graph.nodes, **nodes}, f"{name}/output_{port}")
                    names[f"{name}:{port}"] = own
                made = constant(own, array, _data_type(array), node.device)
                nodes[own] = replace(made, controls=waits)
        result = graph.with_nodes(renamed_inputs(nodes.values(), names))
        if not graph.outputs:
            return result
        outputs = tuple(names.get(item, item) for item in graph.outputs)
        needed = result.needed([*map(node_of, outputs), *map(node_of, graph.inputs)])
        return replace(
            result.with_nodes(node for name, node in result.nodes.items() if name in needed),
            outputs=outputs,
        )

    def _cleared(self, node: NodeDef) -> NodeDef:
        if not self.clear_output_shapes or "_output_shapes" not in node.attributes:
            return node
        kept: dict[str, Any] = dict(node.attributes)
        del kept["_output_shapes"]
        return node.changed(attributes=kept)


def _data_type(array: Array) -> DataType:
    return TYPES_BY_DTYPE[DType(array.dtype.name)]
