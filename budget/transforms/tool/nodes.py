"""A GraphDef as a list of its nodes, constants and placeholders included.

The rewriting of files needs what a `Graph` leaves out (devices, nodes nobody reads, control edges
of constants, open shapes), so transforms work on this and a `Graph` is made of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from budget.errors import CorruptModelError, UsageError
from budget.formats.protobuf import Message
from budget.formats.tensorflow_schema import GRAPH_DEF, NODE_DEF, DataType
from budget.formats.tensorflow_values import TensorValue, decode_attributes, encode_attribute
from budget.graph.types import Array
from budget.readers.graphdef import (
    IGNORED_OUTPUTS,
    INPUT_OPS,
    is_text_graphdef,
    node_of,
    tensor_name,
    verify_name,
)

PRODUCT_RANKS = {"Conv2D": 4, "DepthwiseConv2dNative": 4, "MatMul": 2}
"""Operators that multiply by weights, and how many axes those have."""

MOST_REPEATED = 1 << 24
"""Elements of constants that stand for one repeated value, in a whole graph."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeDef:
    """One node of a GraphDef.

    Attributes:
        name: unique in its graph.
        op: operator, without dialect.
        inputs: what it reads, ``node`` or ``node:1``.
        controls: names of nodes it waits for.
        device: where it was to run.
        attributes: everything else the file said of it.
        raw: its bytes in the file, while nothing about it has changed.
        base: the node of the file that this one is a changed form of.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    device: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    base: NodeDef | None = None

    def changed(self, **values: Any) -> NodeDef:
        """The node with some fields changed; itself if they have those values already."""
        if all(getattr(self, name) == value for name, value in values.items()):
            return self
        return replace(self, **values, raw=b"", base=self if self.raw else self.base)

    @property
    def read_nodes(self) -> tuple[str, ...]:
        """Names of the nodes it reads or waits for, in order, repetitions included."""
        return (*map(node_of, self.inputs), *self.controls)

    @property
    def value(self) -> TensorValue | None:
        """The tensor of a constant."""
        value = self.attributes.get("value") if self.op == "Const" else None
        return value if isinstance(value, TensorValue) else None

    def encode(self) -> bytes:
        """The NodeDef's bytes; what did not change stays as it was."""
        if self.raw:
            return self.raw
        base = self.base
        message: Message = NODE_DEF.decode(base.raw) if base else NODE_DEF.new()
        message.name, message.op = self.name, self.op
        if base is None or (base.inputs, base.controls) != (self.inputs, self.controls):
            message.input = [*self.inputs, *(f"^{name}" for name in self.controls)]
        if self.device or message.has("device"):
            message.device = self.device
        known = base.attributes if base else {}
        message.attr = {
            name: message.attr[name]
            if name in known and known[name] is value
            else encode_attribute(value)
            for name, value in self.attributes.items()
        }
        return message.encode()


def _repeated_elements(node: NodeDef) -> int:
    """Elements that the file does not hold, as one stands for all of them."""
    arrays = (item.array for item in node.attributes.values() if isinstance(item, TensorValue))
    return sum(int(a.size) for a in arrays if a.size > 1 and not any(a.strides))


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What a GraphDef holds beside its nodes, and what files and errors call it."""

    name: str
    message: Message


@dataclass(frozen=True, eq=False)
class NodeGraph:
    """A GraphDef on its way through transforms.

    Attributes:
        nodes: by name, in the order of the file.
        inputs: tensors that a caller feeds.
        outputs: tensors that a caller receives.
        envelope: function library, versions and name.
    """

    nodes: Mapping[str, NodeDef]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    envelope: _Envelope

    @classmethod
    def decode(
        cls, data: bytes, name: str, inputs: Iterable[str] = (), outputs: Iterable[str] = ()
    ) -> NodeGraph:
        """Reads a GraphDef, binary or text.

        Raises:
            CorruptModelError: it is not sound.
            UsageError: an input or output does not exist.
        """
        if is_text_graphdef(data):
            from budget.formats.protobuf_text import parse_text

            message = parse_text(GRAPH_DEF, data, name)
        else:
            message = GRAPH_DEF.decode(data, name)
        nodes: dict[str, NodeDef] = {}
        for raw in message.node:
            node = _decode_node(raw, name)
            if node.name in nodes:
                raise CorruptModelError(f"two nodes are called {node.name!r}", where=name)
            nodes[node.name] = node
        repeated = sum(map(_repeated_elements, nodes.values()))
        if repeated > MOST_REPEATED:
            raise CorruptModelError(
                f"constants of a single value stand for {repeated:,} elements; transforms write "
                f"out {MOST_REPEATED:,} at most",
                where=name,
            )
        graph = cls(
            nodes,
            tuple(tensor_name(item.strip()) for item in inputs),
            tuple(tensor_name(item.strip()) for item in outputs),
            _Envelope(name, message),
        )
        for item in (*graph.inputs, *graph.outputs):
            if node_of(item) not in nodes:
                raise UsageError(f"there is no node called {node_of(item)!r}", where=name)
        return graph.with_ends()

    def with_ends(self) -> NodeGraph:
        """The graph with inputs and outputs: placeholders, and what nobody reads, if not given."""
        outputs = self.outputs or tuple(
            name
            for name, node in self.nodes.items()
            if name not in self.readers and node.op not in IGNORED_OUTPUTS
        )
        needed = self.needed(map(node_of, outputs))
        inputs = self.inputs or tuple(
            name for name, node in self.nodes.items() if node.op in INPUT_OPS and name in needed
        )
        return replace(self, inputs=inputs, outputs=outputs)

    def encode(self, *, text: bool = False) -> bytes:
        """A GraphDef file; untouched nodes and everything beside the nodes as they were."""
        message = GRAPH_DEF.new()
        message.values.update(self.envelope.message.values)
        message.unknown.extend(self.envelope.message.unknown)
        message.node = [node.encode() for node in self.nodes.values()]
        if text:
            from budget.formats.protobuf_text import format_text

            return format_text(message).encode("utf-8")
        return message.encode()

    def with_nodes(self, nodes: Iterable[NodeDef]) -> NodeGraph:
        """The graph with other nodes, in that order."""
        return replace(self, nodes={node.name: node for node in nodes})

    def where(self, node: NodeDef) -> str:
        """How messages name a node."""
        return f"{self.envelope.name}: node {node.name!r} ({node.op})"

    @cached_property
    def kept(self) -> frozenset[str]:
        """Names of the nodes that a caller feeds or reads; they outlive every transform."""
        return frozenset(map(node_of, (*self.inputs, *self.outputs)))

    @cached_property
    def read_tensors(self) -> frozenset[str]:
        """Every tensor that a node or the caller reads."""
        read = {item for node in self.nodes.values() for item in node.inputs}
        return frozenset(read.union(self.outputs))

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the nodes that read or wait for each node, each once."""
        found: dict[str, dict[str, None]] = {}
        for node in self.nodes.values():
            for name in node.read_nodes:
                found.setdefault(name, {})[node.name] = None
        return MappingProxyType({name: tuple(items) for name, items in found.items()})

    @cached_property
    def by_op(self) -> Mapping[str, tuple[int, ...]]:
        """Places in `execution_order` of the nodes of each operator."""
        found: dict[str, list[int]] = {}
        for index, name in enumerate(self.execution_order):
            found.setdefault(self.nodes[name].op, []).append(index)
        return MappingProxyType({op: tuple(places) for op, places in found.items()})

    def problems(self) -> list[str]:
        """What keeps it from being a graph: edges from nowhere, missing ends, cycles."""
        found = [
            f"node {node.name!r} reads {name!r}, which does not exist"
            for node in self.nodes.values()
            for name in node.read_nodes
            if name not in self.nodes
        ]
        found += [
            f"{item!r} is an input or output of the graph and does not exist"
            for item in sorted(self.kept)
            if item not in self.nodes
        ]
        if not found and len(self.execution_order) < len(self.nodes):
            left = sorted(set(self.nodes) - set(self.execution_order))[:5]
            found.append(f"nodes wait for each other: {', '.join(left)}")
        return found

    @cached_property
    def execution_order(self) -> tuple[str, ...]:
        """Names of nodes, each behind what it reads.

        Of the nodes that are ready, the one that became so last comes first; a Merge is ready
        when one of its data inputs is there. Nodes that wait for each other are missing.
        """
        waiting: dict[str, int] = {}
        for node in self.nodes.values():
            loops = node.op in ("Merge", "RefMerge")
            waiting[node.name] = (
                len(node.controls) + bool(node.inputs) if loops else len(set(node.read_nodes))
            )
        ready = [name for name, count in waiting.items() if not count]
        order: list[str] = []
        done: set[str] = set()
        while ready:
            name = ready.pop()
            if name in done:
                continue
            done.add(name)
            order.append(name)
            for reader in self.readers.get(name, ()):
                waiting[reader] -= 1
                if waiting[reader] <= 0 and reader not in done:
                    ready.append(reader)
        return tuple(order)

    def needed(self, outputs: Iterable[str], cut: Iterable[str] = ()) -> set[str]:
        """Names of the nodes that some nodes need, themselves included; stops at ``cut``."""
        stop = set(cut)
        stack = [name for name in outputs if name in self.nodes]
        seen = set(stack)
        while stack:
            name = stack.pop()
            if name in stop:
                continue
            new = [i for i in self.nodes[name].read_nodes if i not in seen and i in self.nodes]
            seen.update(new)
            stack.extend(new)
        return seen


def _decode_node(raw: bytes, name: str) -> NodeDef:
    message = NODE_DEF.decode(raw, name)
    if not message.name or not message.op:
        raise CorruptModelError("a node lacks its name or operator", where=name)
    verify_name(message.name, name)
    where = f"{name}: node {message.name!r} ({message.op})"
    attributes = decode_attributes(message.attr, where)
    _verify_attributes(message.op, attributes, where)
    return NodeDef(
        message.name,
        message.op,
        tuple(tensor_name(item) for item in message.input if not item.startswith("^")),
        tuple(item[1:] for item in message.input if item.startswith("^")),
        message.device,
        attributes,
        bytes(raw),
    )


def _verify_attributes(op: str, attributes: Mapping[str, Any], where: str) -> None:
    """What transforms rely on; the rest of a node is none of their business."""
    for name, value in attributes.items():
        if value is None and not name.startswith("_"):
            raise CorruptModelError(f"attribute {name!r} holds nothing", where=where)
    needed = {"Const": (("value", TensorValue), ("dtype", DataType))}
    for name, kind in needed.get(op, (("T", DataType),) if op in PRODUCT_RANKS else ()):
        if not isinstance(attributes.get(name), kind):
            raise CorruptModelError(f"attribute {name!r} is missing or of no use", where=where)


def constant(name: str, array: Any, dtype: DataType = DataType.FLOAT, device: str = "") -> NodeDef:
    """A Const node."""
    value: Array = np.asarray(array)
    attributes = {"dtype": dtype, "value": TensorValue(dtype, value)}
    return NodeDef(name, "Const", device=device, attributes=attributes)


def with_value(node: NodeDef, array: Any) -> NodeDef:
    """A Const node with other contents of the same element type."""
    dtype = node.attributes["dtype"]
    return node.changed(
        attributes={**node.attributes, "value": TensorValue(dtype, np.asarray(array))}
    )


def free_name(nodes: Mapping[str, NodeDef], wanted: str) -> str:
    """``wanted``, or with the first numeric suffix that is free."""
    name, suffix = wanted, 0
    while name in nodes:
        suffix += 1
        name = f"{wanted}_{suffix}"
    return name


def renamed_inputs(
    nodes: Iterable[NodeDef], names: Mapping[str, str], *, data_only: bool = False
) -> list[NodeDef]:
    """Nodes whose inputs follow renamed nodes or tensors.

    Args:
        nodes: to be rewritten.
        names: ``a`` → ``b`` makes readers of any output of node ``a``, and who waits for it, turn
            to the same output of ``b``; ``a:1`` → ``b`` moves readers of that one output.
        data_only: leaves control edges alone.
    """
    result = []
    for node in nodes:
        inputs = tuple(renamed(item, names) for item in node.inputs)
        controls = node.controls
        if not data_only:
            controls = tuple(dict.fromkeys(names.get(item, item) for item in controls))
        result.append(node.changed(inputs=inputs, controls=controls))
    return result


def renamed(tensor: str, names: Mapping[str, str]) -> str:
    """A tensor's name after nodes or tensors were renamed."""
    if tensor in names:
        return names[tensor]
    node = node_of(tensor)
    return names[node] + tensor[len(node) :] if node in names else tensor
