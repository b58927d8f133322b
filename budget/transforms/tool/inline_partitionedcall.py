"""``inline_partitionedcall``: calls of functions are replaced by the functions' bodies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from budget.readers.graphdef import FlatNode
from budget.readers.tensorflow_functions import FunctionLibrary, inline_calls
from budget.transforms.tool.nodes import NodeDef, NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class InlinePartitionedCall(Transform):
    """Replaces y = f(x) by f's nodes, called ``<call>/…``, with x for its argument.

    PartitionedCall, StatefulPartitionedCall and nodes that name a function as their operator,
    as deep as they go. A call that is an output of the graph, or that another node waits for,
    stays as an identity of what the body returned.
    """

    called: ClassVar[str] = "inline_partitionedcall"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            CorruptModelError: a function is missing or calls itself without end.
            UnsupportedModelError: a body reads an output that cannot be told.
        """
        library = FunctionLibrary(graph.envelope.message.library, graph.envelope.name)
        calls = [node for node in graph.nodes.values() if is_call(node, library)]
        return inlined(graph, library, {node.name for node in calls}) if calls else graph


def is_call(node: NodeDef, library: FunctionLibrary) -> bool:
    """Whether a node runs a function and nothing else."""
    flat = FlatNode(node.name, node.op, [], [], dict(node.attributes))
    return library.called_by(flat) is not None


def inlined(graph: NodeGraph, library: FunctionLibrary, calls: set[str]) -> NodeGraph:
    """The graph with the bodies of some calls, and of all calls inside them, in their place."""
    flat = [
        FlatNode(node.name, node.op, list(node.inputs), list(node.controls), dict(node.attributes))
        for node in graph.nodes.values()
    ]
    found = {item.name: item for item in inline_calls(flat, library, list(graph.nodes),
                                                      shorten=False)}  # fmt: skip
    nodes: dict[str, NodeDef] = {}
    bodies: dict[str, list[FlatNode]] = {}
    for name, item in found.items():
        if name not in graph.nodes:
            owner = next(call for call in _prefixes(name) if call in calls)
            bodies.setdefault(owner, []).append(item)
    for name, node in graph.nodes.items():
        if name not in calls:
            nodes[name] = node
            continue
        for item in reversed(bodies.get(name, [])):
            nodes[item.name] = NodeDef(item.name, item.op, tuple(item.inputs),
                                       tuple(item.control_inputs), node.device,
                                       item.attributes)  # fmt: skip
        end = found[name]
        nodes[name] = NodeDef(name, end.op, tuple(end.inputs), tuple(end.control_inputs),
                              node.device, end.attributes)  # fmt: skip
    ends = {
        name
        for name, node in nodes.items()
        if node.op == "IdentityN" and (name in calls or name not in graph.nodes)
    }
    return _without_ends(graph.with_nodes(nodes.values()), ends)


def _prefixes(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _without_ends(graph: NodeGraph, ends: set[str]) -> NodeGraph:
    """Readers of a call read what the body returned."""
    passed: dict[str, str] = {}
    for name in ends:
        for port, item in enumerate(graph.nodes[name].inputs):
            passed[f"{name}:{port}" if port else name] = item

    def final(tensor: str) -> str:
        while tensor in passed:
            tensor = passed[tensor]
        return tensor

    waited = {item for node in graph.nodes.values() for item in node.controls}
    result = []
    for name, node in graph.nodes.items():
        inputs = tuple(final(item) for item in node.inputs)
        if name not in ends:
            result.append(node.changed(inputs=inputs))
        elif name in graph.kept or name in waited:
            result.append(_end(replace(node, inputs=inputs)))
    return graph.with_nodes(result)


def _end(node: NodeDef) -> NodeDef:
    """What is left of a call: an identity of its results, or a node to wait for."""
    kinds = node.attributes.get("T", ())
    if not node.inputs:
        return replace(node, op="NoOp", attributes={})
    if len(node.inputs) == 1 and kinds:
        return replace(node, op="Identity", attributes={"T": kinds[0]})
    return node
