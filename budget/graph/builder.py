"""Builds a graph from nothing: readers, the zoo and tests use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from budget.graph.graph import Graph, ModelSource, Node, Tensor
from budget.graph.types import Array, DType, QuantParams, TensorType


class GraphBuilder:
    """Collects tensors and nodes in execution order and freezes them into a `Graph`."""

    def __init__(self, name: str, dialect: str = "canonical") -> None:
        self.name = name
        self.dialect = dialect
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.subgraphs: dict[str, Graph] = {}
        self._next_suffix: dict[str, int] = {}

    def unique_name(self, wanted: str) -> str:
        """``wanted``, or ``wanted_1``, ``wanted_2`` … if a tensor of that name exists."""
        name = wanted
        while name in self.tensors:
            suffix = self._next_suffix.get(wanted, 1)
            self._next_suffix[wanted] = suffix + 1
            name = f"{wanted}_{suffix}"
        return name

    def tensor(self, name: str, type: TensorType, *, is_variable: bool = False) -> str:
        """Declares a computed (or variable) tensor and returns its name."""
        self.tensors[name] = Tensor(name, type, None, is_variable)
        return name

    def input(self, name: str, type: TensorType) -> str:
        """Declares a tensor the caller provides."""
        self.inputs.append(self.tensor(name, type))
        return name

    def constant(self, name: str, data: Any, quant: QuantParams | None = None) -> str:
        """Adds a constant, its type taken from the array, and returns its name."""
        array: Array = np.ascontiguousarray(data).reshape(np.shape(data))
        array.setflags(write=False)
        type = TensorType(tuple(array.shape), DType(array.dtype.name), quant)
        self.tensors[name] = Tensor(name, type, array)
        return name

    def node(
        self,
        op: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attributes: Any = None,
        *,
        name: str = "",
        control_inputs: Iterable[str] = (),
        subgraphs: Iterable[str] = (),
        source: Any = None,
        origin: Iterable[str] = (),
    ) -> Node:
        """Appends a node whose output tensors have been declared."""
        outputs = tuple(outputs)
        node = Node(
            name or (outputs[0] if outputs else f"{op}_{len(self.nodes)}"),
            op,
            tuple(inputs),
            outputs,
            {} if attributes is None else attributes,
            tuple(control_inputs),
            tuple(subgraphs),
            source,
            tuple(origin),
        )
        self.nodes.append(node)
        return node

    def output(self, *names: str) -> None:
        """Declares tensors that the caller receives."""
        self.outputs.extend(names)

    def build(
        self, source: ModelSource | None = None, extras: Mapping[str, Any] | None = None
    ) -> Graph:
        """The finished graph; it is not verified here."""
        return Graph(
            self.name,
            self.dialect,
            dict(self.tensors),
            tuple(self.nodes),
            tuple(self.inputs),
            tuple(self.outputs),
            dict(self.subgraphs),
            source or ModelSource(name=self.name),
            dict(extras or {}),
        )
