"""Bodies of TensorFlow loops, as graphs of their own under the node that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from budget.errors import CorruptModelError
from budget.formats.protobuf import Message
from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import FunctionName, Shape
from budget.graph.graph import Graph, ModelSource
from budget.readers.graphdef import FlatNode, build_graph, decode_node, node_of
from budget.readers.tensorflow_functions import FunctionLibrary, argument_names, inline_calls

LOOPS = ("While", "StatelessWhile")
_PARTS = ("cond", "body")
_MAX_DEPTH = 16


def attach_loops(graph: Graph, library: Message, where: str) -> Graph:
    """The graph with the condition and the body of every loop among its subgraphs.

    Args:
        graph: in the dialect ``tf``.
        library: the model's functions.
        where: file, for messages.

    Raises:
        CorruptModelError: a function is missing, or loops are nested without end.
    """
    if not any(node.op.removeprefix("tf.") in LOOPS for node in graph.nodes):
        return graph
    return _attach(graph, FunctionLibrary(library, where), where, 0)


def _attach(graph: Graph, library: FunctionLibrary, where: str, depth: int) -> Graph:
    if depth > _MAX_DEPTH:
        raise CorruptModelError("loops are nested without end", where=where)
    bodies: dict[str, Graph] = {}
    nodes = []
    for node in graph.nodes:
        if node.op.removeprefix("tf.") in LOOPS:
            names = tuple(_function_name(node.attributes, part) for part in _PARTS)
            for name in names:
                if name not in bodies:
                    body = _graph_of(name, library, where)
                    bodies[name] = _attach(body, library, where, depth + 1)
            node = replace(node, subgraphs=names)
        nodes.append(node)
    return graph.replace(nodes=tuple(nodes), subgraphs=bodies) if bodies else graph


def _function_name(attributes: Mapping[str, Any], part: str) -> str:
    function = attributes.get(part)
    return function.name if isinstance(function, FunctionName) else ""


def _graph_of(name: str, library: FunctionLibrary, where: str) -> Graph:
    """A function as a graph; its arguments are placeholders whose shapes mean nothing."""
    function = library.get(name, f"{where}: loop")
    nodes = [decode_node(raw, f"{where}: {name}") for raw in function.node_def]
    arguments = [item.name for item in function.signature.input_arg]
    names = argument_names(arguments, nodes, library, where)
    flat = [
        FlatNode(
            node.name,
            node.op,
            [names.resolve(item) for item in node.inputs],
            list(node.control_inputs),
            node.attributes,
        )
        for node in nodes
    ]
    scalar = {"dtype": DataType.FLOAT, "_output_shapes": (Shape(()),)}
    flat += [FlatNode(item, "Placeholder", [], [], dict(scalar)) for item in arguments]
    outputs = names.results(function)
    known = {node.name for node in flat}
    for node in flat:
        node.control_inputs = [item for item in node.control_inputs if item in known]
    if not outputs:
        raise CorruptModelError(f"function {name!r} returns nothing", where=where)
    flat = inline_calls(flat, library, [*outputs, *arguments])
    present = {node.name for node in flat}
    flat += [
        FlatNode(item, "Placeholder", [], [], dict(scalar))
        for item in arguments
        if node_of(item) not in present
    ]
    return build_graph(flat, ModelSource(where, "graphdef"), arguments, outputs, {}, {})
