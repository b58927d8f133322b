"""A stable text form of a graph, for reading, for diffs and for golden tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from budget.graph.graph import ABSENT, Graph, Node
from budget.graph.types import TensorType


def dump(graph: Graph, *, indent: str = "") -> str:
    """The whole graph as text; equal graphs give equal text, and constants show as a digest."""
    lines = [f"{indent}graph {graph.name!r} ({graph.dialect}) {{"]
    inner = indent + "  "
    for name in graph.inputs:
        lines.append(f"{inner}input {name}: {format_type(graph.type_of(name))}")
    for tensor in graph.tensors.values():
        if tensor.data is not None:
            lines.append(
                f"{inner}constant {tensor.name}: {format_type(tensor.type)} {_digest(tensor.data)}"
            )
        elif tensor.is_variable:
            lines.append(f"{inner}variable {tensor.name}: {format_type(tensor.type)}")
    lines += [inner + _format_node(graph, node) for node in graph.nodes]
    lines.append(f"{inner}return {', '.join(graph.outputs)}")
    for subgraph in graph.subgraphs.values():
        lines.append(dump(subgraph, indent=inner))
    lines.append(f"{indent}}}")
    return "\n".join(lines)


def format_type(type: TensorType) -> str:
    """``int8[1,49,10,1] q(0.58, 83)``; per-channel scales show their count and axis."""
    text = f"{type.dtype.value}[{','.join(map(str, type.shape))}]"
    if type.quant is None:
        return text
    if type.quant.axis is not None:
        return f"{text} q({len(type.quant.scale)} scales on axis {type.quant.axis})"
    return f"{text} q({float(type.quant.scale[0]):.9g}, {int(type.quant.zero_point[0])})"


def format_attributes(attributes: Any) -> str:
    """``name=value`` pairs of a mapping or an Attributes dataclass, in a stable order."""
    if is_dataclass(attributes):
        pairs = [(f.name, getattr(attributes, f.name)) for f in fields(attributes)]
    elif isinstance(attributes, Mapping):
        pairs = sorted(attributes.items())
    else:
        pairs = [("value", attributes)]
    return ", ".join(f"{name}={_format_value(value)}" for name, value in pairs)


def _format_node(graph: Graph, node: Node) -> str:
    outputs = ", ".join(f"{out}: {format_type(graph.type_of(out))}" for out in node.outputs)
    inputs = ", ".join(name if name != ABSENT else "-" for name in node.inputs)
    text = f"{outputs} = {node.op}({inputs})"
    attributes = format_attributes(node.attributes)
    if attributes:
        text += f" {{{attributes}}}"
    if node.subgraphs:
        text += f" runs {', '.join(node.subgraphs)}"
    if node.control_inputs:
        text += f" after {', '.join(node.control_inputs)}"
    return text


def _format_value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return _digest(value)
    if isinstance(value, bytes):
        return f"bytes({len(value)}, {hashlib.sha256(value).hexdigest()[:8]})"
    if isinstance(value, Enum):
        return str(value.value)
    return repr(value) if isinstance(value, str) else str(value)


def _digest(array: Any) -> str:
    if array.dtype == object:
        data = repr(array.tolist()).encode()
    else:
        data = np.ascontiguousarray(array).tobytes()
    return "#" + hashlib.sha256(data).hexdigest()[:12]
