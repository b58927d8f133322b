"""The one representation of a model that everything after the readers works on.

A `Graph` is immutable. Passes make a new one with `GraphEditor` (budget.graph.editor) or
`GraphBuilder` (budget.graph.builder). Nodes stand in an order in which they can be executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from budget.graph.types import Array, TensorType

ABSENT = ""
"""Stands in `Node.inputs` where an optional operand is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value that flows along the graph's edges.

    Attributes:
        name: unique in its graph.
        type: shape, element type, quantisation.
        data: the elements of a constant (read-only, shape and dtype as in ``type``), else None.
        is_variable: holds state from one inference to the next.
    """

    name: str
    type: TensorType
    data: Array | None = None
    is_variable: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether its value is known before inference."""
        return self.data is not None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation.

    Attributes:
        name: unique in its graph.
        op: ``tf.Conv2D`` or ``tfl.CONV_2D`` in a source dialect, ``conv_2d`` when canonical.
        inputs: tensor names; `ABSENT` where an optional operand is left out.
        outputs: tensor names, each produced by this node only.
        attributes: an operator's frozen Attributes (canonical), or a read-only mapping from name
            to Python value with everything the file said (source dialect).
        control_inputs: names of nodes that must run before this one without passing data.
        subgraphs: names, in `Graph.subgraphs`, of the bodies this node may run.
        source: what the reader keeps so that a writer can give the node back byte for byte.
        origin: names of the nodes of the source model that this one stands for.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Any = field(default_factory=dict)
    control_inputs: tuple[str, ...] = ()
    subgraphs: tuple[str, ...] = ()
    source: Any = None
    origin: tuple[str, ...] = ()

    @property
    def present_inputs(self) -> tuple[str, ...]:
        """Inputs without those left out."""
        return tuple(name for name in self.inputs if name != ABSENT)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a graph came from.

    Attributes:
        name: file name, or the zoo's name for it.
        format: ``tflite``, ``graphdef``, ``saved-model``, ``keras``, ``h5``, ``zoo`` or ``built``.
        sha256: of the file, or of the files of a folder in sorted order; empty if built in memory.
        notes: assumptions the reader made that the user must be told of.
    """

    name: str = ""
    format: str = "built"
    sha256: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """A model, or a body that one of its nodes runs.

    Attributes:
        name: of the graph or signature.
        dialect: ``tf``, ``tfl`` or ``canonical``.
        tensors: by name, each produced by one node, an input, a constant or a variable.
        nodes: in an executable order.
        inputs: names of tensors the caller provides.
        outputs: names of tensors the caller receives.
        subgraphs: bodies of loops, branches and calls, by name.
        source: the file it came from.
        extras: what a writer needs beside the nodes (function library, metadata, versions).
    """

    name: str
    dialect: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    subgraphs: Mapping[str, Graph] = field(default_factory=dict)
    source: ModelSource = ModelSource()
    extras: Mapping[str, Any] = field(default_factory=dict)

    def type_of(self, tensor: str) -> TensorType:
        """Type of the named tensor."""
        return self.tensors[tensor].type

    def constant(self, tensor: str) -> Array | None:
        """Data of a constant tensor; None if it is computed, or absent."""
        return None if tensor == ABSENT else self.tensors[tensor].data

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that computes each tensor."""
        return MappingProxyType({out: node for node in self.nodes for out in node.outputs})

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each tensor, once per node, in execution order."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.present_inputs):
                found.setdefault(name, []).append(node)
        return MappingProxyType({name: tuple(nodes) for name, nodes in found.items()})

    @cached_property
    def nodes_by_name(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return MappingProxyType({node.name: node for node in self.nodes})

    def needed(self, outputs: Iterable[str], *, with_controls: bool = False) -> set[str]:
        """Names of the nodes that tensors depend on, through control edges too if asked."""
        needed: set[str] = set()
        stack = [self.producers[name] for name in outputs if name in self.producers]
        while stack:
            node = stack.pop()
            if node.name not in needed:
                needed.add(node.name)
                stack += [self.producers[name] for name in node.inputs if name in self.producers]
                if with_controls:
                    stack += [self.nodes_by_name[name] for name in node.control_inputs]
        return needed

    @cached_property
    def constants(self) -> tuple[Tensor, ...]:
        """Every constant tensor, in the order of `tensors`."""
        return tuple(tensor for tensor in self.tensors.values() if tensor.is_constant)

    def walk(self) -> Iterator[Graph]:
        """This graph and, depth first, every subgraph of it."""
        yield self
        for subgraph in self.subgraphs.values():
            yield from subgraph.walk()

    def replace(self, **changes: Any) -> Graph:
        """A copy with some fields changed."""
        return replace(self, **changes)
