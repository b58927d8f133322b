"""Graphs in the dialect ``tf`` back into GraphDef files, untouched nodes byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from budget.errors import UnsupportedModelError
from budget.formats.protobuf import Message
from budget.formats.tensorflow_schema import GRAPH_DEF, NODE_DEF, SCHEMAS
from budget.formats.tensorflow_values import (
    TYPES_BY_DTYPE,
    Shape,
    TensorValue,
    encode_attribute,
)
from budget.graph.graph import Graph, Node, Tensor


def write_graphdef(graph: Graph, *, text: bool = False) -> bytes:
    """A GraphDef file.

    Nodes stand in the order of the file they came from, new ones behind them in execution order.
    A node that is as the reader made it keeps its bytes; of a changed one, what a graph does not
    model (device, debug information) stays.

    Args:
        graph: in the dialect ``tf``.
        text: writes the text form (``.pbtxt``).

    Raises:
        UnsupportedModelError: the graph is in another dialect.
    """
    if graph.dialect != "tf":
        raise UnsupportedModelError(
            f"a graph in the dialect {graph.dialect!r} cannot be written as GraphDef",
            where=graph.name,
        )
    written = dict(_nodes(graph))
    order = [name for name in graph.extras.get("order", ()) if name in written]
    placed = set(order)
    order += [name for name in written if name not in placed]
    message = GRAPH_DEF.new(node=[written[name] for name in order])
    library = graph.extras.get("library", b"")
    if library:
        message.library = SCHEMAS["FunctionDefLibrary"].decode(library)
    if graph.extras.get("versions"):
        message.versions = graph.extras["versions"]
    if text:
        from budget.formats.protobuf_text import format_text

        return format_text(message).encode("utf-8")
    return message.encode()


def _nodes(graph: Graph) -> Iterator[tuple[str, bytes]]:
    sources = graph.extras.get("sources", {})
    for name in graph.inputs:
        source = sources.get(name)
        yield name, source.raw if source and source.raw else _placeholder(graph.tensors[name])
    for tensor in graph.constants:
        source = sources.get(tensor.name)
        kept = source.attributes.get("value") if source else None
        same = isinstance(kept, TensorValue) and kept.array is tensor.data
        yield tensor.name, source.raw if same and source.raw else _constant(tensor, source)
    for node in graph.nodes:
        yield node.name, _node(node)


def _placeholder(tensor: Tensor) -> bytes:
    attributes = {
        "dtype": encode_attribute(TYPES_BY_DTYPE[tensor.type.dtype]),
        "shape": encode_attribute(Shape(tensor.type.shape)),
    }
    return NODE_DEF.new(name=tensor.name, op="Placeholder", attr=attributes).encode()


def _constant(tensor: Tensor, source: Any) -> bytes:
    dtype = TYPES_BY_DTYPE[tensor.type.dtype]
    data = tensor.data if tensor.data is not None else np.zeros(0)
    message = NODE_DEF.decode(source.raw) if source and source.raw else NODE_DEF.new()
    message.name, message.op = tensor.name, "Const"
    message.attr = {
        **message.attr,
        "dtype": encode_attribute(dtype),
        "value": encode_attribute(TensorValue(dtype, data)),
    }
    return message.encode()


def _node(node: Node) -> bytes:
    source = node.source
    op = node.op.removeprefix("tf.")
    raw = getattr(source, "raw", b"")
    message: Message = NODE_DEF.decode(raw) if raw else NODE_DEF.new()
    if raw:
        changed = (
            message.name != node.name
            or source.op != op
            or source.inputs != node.inputs
            or not set(node.control_inputs) <= set(source.control_inputs)
        )
        if not changed and source.attributes is node.attributes:
            return bytes(raw)
        controls = tuple(dict.fromkeys((*node.control_inputs, *source.control_inputs)))
    else:
        controls = node.control_inputs
    message.name, message.op = node.name, op
    message.input = [*node.inputs, *(f"^{name}" for name in controls)]
    known = source.attributes if raw else {}
    message.attr = {
        name: message.attr[name]
        if name in known and known[name] is value
        else encode_attribute(value)
        for name, value in node.attributes.items()
    }
    return message.encode()
