"""``fold_control_flow``: branches that a constant decides are decided, and dead ones removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import FunctionName
from budget.readers.graphdef import node_of
from budget.readers.tensorflow_functions import FunctionLibrary
from budget.transforms.tool.affine import array_of
from budget.transforms.tool.inline_partitionedcall import inlined
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant, free_name, renamed
from budget.transforms.tool.transform import Context, Transform

_IFS = ("If", "StatelessIf")
_CASES = ("Case", "StatelessCase")
_SWITCHES = ("Switch", "RefSwitch")
_MERGES = ("Merge", "RefMerge")


@dataclass(frozen=True)
class FoldControlFlow(Transform):
    """Takes the branch that a constant condition takes, and drops the other.

    if(true, f, g)(x) = f(x), whose nodes stand in the place of the call; of a Switch with a
    constant condition one output is its input and the other is dead, what reads a dead tensor is
    dead, and a Merge with one live input is that input.
    """

    called: ClassVar[str] = "fold_control_flow"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        while True:
            before = graph
            graph = _switched(_branched(graph, context), context)
            if graph is before:
                return graph


def _value(graph: NodeGraph, tensor: str) -> Any:
    """A constant behind any number of identities; None for something else."""
    node = graph.nodes[node_of(tensor)]
    for _ in range(len(graph.nodes)):
        if node.op != "Identity":
            break
        node = graph.nodes[node_of(node.inputs[0])]
    return array_of(node)


def _truth(value: Any) -> bool:
    """What TensorFlow takes a condition for: numbers other than zero and texts are true."""
    if value.size != 1 or value.ndim:
        return bool(value.size)
    return bool(value.item())


def _branched(graph: NodeGraph, context: Context) -> NodeGraph:
    calls: dict[str, NodeDef] = {}
    for node in graph.nodes.values():
        if node.op not in (*_IFS, *_CASES) or not node.inputs:
            continue
        value = _value(graph, node.inputs[0])
        if value is None:
            context.notes.append(f"{node.name} ({node.op}) stays: its condition is computed")
            continue
        if node.op in _IFS:
            function = node.attributes.get("then_branch" if _truth(value) else "else_branch")
        else:
            branches = node.attributes.get("branches", ())
            index = int(value)
            # an index outside the branches takes the last
            function = branches[index if 0 <= index < len(branches) else -1] if branches else None
        if not isinstance(function, FunctionName):
            context.notes.append(f"{node.name} ({node.op}) stays: it names no function")
            continue
        attributes: Mapping[str, Any] = {
            "f": function,
            "Tin": tuple(node.attributes.get("Tin", ())),
            "Tout": tuple(node.attributes.get("Tout", ())),
        }
        calls[node.name] = NodeDef(
            node.name, "PartitionedCall", node.inputs[1:], node.controls, node.device, attributes
        )
    if not calls:
        return graph
    library = FunctionLibrary(graph.envelope.message.library, graph.envelope.name)
    taken = graph.with_nodes(calls.get(name, node) for name, node in graph.nodes.items())
    return inlined(taken, library, set(calls))


def _switched(graph: NodeGraph, context: Context) -> NodeGraph:
    passed: dict[str, str] = {}
    dead: set[str] = set()
    gone: set[str] = set()
    new: list[NodeDef] = []

    for name in _order(graph):
        node = graph.nodes[name]
        if node.op in _MERGES:
            live = [item for item in node.inputs if not _is_dead(item, dead)]
            if len(live) == len(node.inputs) or len(live) > 1:
                continue
            gone.add(name)
            if not live:
                dead.add(name)
                continue
            passed[name] = renamed(live[0], passed)
            if f"{name}:1" in graph.read_tensors:
                index = constant(free_name(graph.nodes, f"{name}/value_index"),
                                 np.array(node.inputs.index(live[0]), np.int32), DataType.INT32,
                                 node.device)  # fmt: skip
                new.append(index)
                passed[f"{name}:1"] = index.name
        elif any(_is_dead(item, dead) for item in node.inputs) or any(
            item in dead for item in node.controls
        ):
            dead.add(name)
            gone.add(name)
        elif node.op in _SWITCHES:
            value = _value(graph, node.inputs[1])
            if value is None:
                continue
            gone.add(name)
            taken = bool(value)
            passed[f"{name}:1" if taken else f"{name}:0"] = renamed(node.inputs[0], passed)
            dead.add(f"{name}:0" if taken else f"{name}:1")
    if not gone:
        return graph
    lost = [item for item in graph.outputs if _is_dead(item, dead)]
    if lost:
        context.notes.append(f"control flow stays: {', '.join(lost)} would never be computed")
        return graph
    return _rewired(graph, gone, passed, new)


def _order(graph: NodeGraph) -> list[str]:
    """Nodes, each behind everything it reads but the end of a loop; a Merge behind all branches."""
    ends = {name for name, node in graph.nodes.items() if node.op.endswith("NextIteration")}
    waiting = {
        name: len(set(node.read_nodes) - ends if node.op in _MERGES else set(node.read_nodes))
        for name, node in graph.nodes.items()
    }
    ready = [name for name, count in waiting.items() if not count]
    order: list[str] = []
    while ready:
        name = ready.pop()
        order.append(name)
        for reader in graph.readers.get(name, ()):
            if name in ends and graph.nodes[reader].op in _MERGES:
                continue
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return order


def _is_dead(tensor: str, dead: set[str]) -> bool:
    """Tensors of dead nodes, and dead outputs, which are always written with their number."""
    return node_of(tensor) in dead or (tensor if ":" in tensor else f"{tensor}:0") in dead


def _rewired(
    graph: NodeGraph, gone: set[str], passed: dict[str, str], new: list[NodeDef]
) -> NodeGraph:
    names = {**passed, **{key[:-2]: item for key, item in passed.items() if key.endswith(":0")}}
    kept = []
    for name, node in graph.nodes.items():
        if name in gone and name not in graph.kept:
            continue
        if name in gone:  # an output of the graph keeps its name
            port = next((key for key in (name, f"{name}:0", f"{name}:1") if key in names), "")
            kept.append(NodeDef(name, "Identity", (_final(port, names),), (), node.device,
                                {"T": node.attributes["T"]}))  # fmt: skip
            continue
        inputs = tuple(_final(item, names) for item in node.inputs)
        controls: list[str] = []
        for item in node.controls:
            keys = [key for key in (item, f"{item}:0", f"{item}:1") if key in names]
            controls += [node_of(_final(key, names)) for key in keys] if item in gone else [item]
        waits = tuple(dict.fromkeys(item for item in controls if item not in gone))
        kept.append(node.changed(inputs=inputs, controls=waits))
    return replace(graph.with_nodes([*kept, *new]), outputs=graph.outputs)


def _final(tensor: str, names: Mapping[str, str]) -> str:
    while tensor in names:
        tensor = names[tensor]
    return tensor
