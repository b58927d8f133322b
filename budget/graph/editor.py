"""Changes to a graph, gathered and applied at once."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from budget.errors import InvalidGraphError
from budget.graph.graph import Graph, Node, Tensor
from budget.graph.types import DType, QuantParams, TensorType


class GraphEditor:
    """A mutable view of a graph; `finish` freezes it again.

    Every query answers for the graph as edited so far. Replaced tensors are resolved lazily, so
    that a chain of replacements costs no more than its length.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.nodes: dict[str, Node] = {node.name: node for node in graph.nodes}
        self.outputs: list[str] = list(graph.outputs)
        self._producer: dict[str, str] = {
            out: node.name for node in graph.nodes for out in node.outputs
        }
        self._consumers: dict[str, dict[str, None]] = {}
        for node in graph.nodes:
            for tensor in node.present_inputs:
                self._consumers.setdefault(tensor, {})[node.name] = None
        self._next_suffix: dict[str, int] = {}

    def producer(self, tensor: str) -> Node | None:
        """The node that computes ``tensor``; None for an input, constant or variable."""
        name = self._producer.get(tensor)
        return None if name is None else self.nodes[name]

    def consumers(self, tensor: str) -> list[Node]:
        """The nodes that read ``tensor``."""
        return [self.nodes[name] for name in self._consumers.get(tensor, ())]

    def is_output(self, tensor: str) -> bool:
        """Whether the caller receives ``tensor``."""
        return tensor in self.outputs

    def only_consumer(self, tensor: str) -> Node | None:
        """The single node that reads ``tensor``, if no other and no caller does."""
        names = self._consumers.get(tensor, {})
        if len(names) != 1 or self.is_output(tensor):
            return None
        return self.nodes[next(iter(names))]

    def unique_name(self, wanted: str) -> str:
        """``wanted``, or with the first free numeric suffix, among tensors and nodes."""
        name = wanted
        while name in self.tensors or name in self.nodes:
            suffix = self._next_suffix.get(wanted, 1)
            self._next_suffix[wanted] = suffix + 1
            name = f"{wanted}_{suffix}"
        return name

    def add_constant(self, wanted: str, data: Any, quant: QuantParams | None = None) -> str:
        """Adds a constant under a free name near ``wanted`` and returns that name."""
        array = np.ascontiguousarray(data).reshape(np.shape(data))
        array.setflags(write=False)
        name = self.unique_name(wanted)
        type = TensorType(tuple(array.shape), DType(array.dtype.name), quant)
        self.tensors[name] = Tensor(name, type, array)
        return name

    def add_tensor(self, wanted: str, type: TensorType) -> str:
        """Declares a computed tensor under a free name near ``wanted``."""
        name = self.unique_name(wanted)
        self.tensors[name] = Tensor(name, type)
        return name

    def set_type(self, tensor: str, type: TensorType) -> None:
        """Gives a computed tensor another type."""
        self.tensors[tensor] = replace(self.tensors[tensor], type=type)

    def add_node(self, node: Node) -> None:
        """Adds a node; its place in the order is found by `finish`."""
        if node.name in self.nodes:
            raise InvalidGraphError(f"node {node.name!r} exists already")
        self.nodes[node.name] = node
        for out in node.outputs:
            self._producer[out] = node.name
        for tensor in node.present_inputs:
            self._consumers.setdefault(tensor, {})[node.name] = None

    def remove_node(self, name: str) -> None:
        """Removes a node; whoever read its outputs must have been redirected."""
        node = self.nodes.pop(name)
        for out in node.outputs:
            if self._producer.get(out) == name:
                del self._producer[out]
        for tensor in node.present_inputs:
            self._consumers.get(tensor, {}).pop(name, None)

    def replace_node(self, name: str, *new: Node) -> None:
        """Puts ``new`` nodes in the place of one."""
        self.remove_node(name)
        for node in new:
            self.add_node(node)

    def redirect(self, old: str, new: str) -> None:
        """Makes every reader of tensor ``old``, the caller included, read ``new`` instead."""
        for reader in list(self._consumers.get(old, ())):
            node = self.nodes[reader]
            inputs = tuple(new if tensor == old else tensor for tensor in node.inputs)
            self.nodes[reader] = replace(node, inputs=inputs)
            self._consumers.setdefault(new, {})[reader] = None
        self._consumers.pop(old, None)
        self.outputs = [new if tensor == old else tensor for tensor in self.outputs]

    def finish(self, *, keep_unused: bool = False, **changes: Any) -> Graph:
        """The edited graph: nodes in executable order, unused nodes and tensors dropped.

        Order is stable: among nodes that are ready, the one that stood first in the original
        graph (or was added first) comes first.
        """
        names = list(self.nodes) if keep_unused else self._needed()
        order = self._sorted(names)
        nodes = tuple(self.nodes[name] for name in order)
        used = dict.fromkeys(self.graph.inputs)
        used.update(dict.fromkeys(self.outputs))
        for node in nodes:
            used.update(dict.fromkeys(node.present_inputs))
            used.update(dict.fromkeys(node.outputs))
        tensors = {
            name: tensor for name, tensor in self.tensors.items() if keep_unused or name in used
        }
        return self.graph.replace(
            nodes=nodes, tensors=tensors, outputs=tuple(self.outputs), **changes
        )

    def _needed(self) -> list[str]:
        seen: set[str] = set()
        stack = [self._producer[out] for out in self.outputs if out in self._producer]
        variables = {name for name, tensor in self.tensors.items() if tensor.is_variable}
        stack += [
            node.name
            for node in self.nodes.values()
            if not variables.isdisjoint(node.outputs) or not node.outputs
        ]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self.nodes[name]
            stack.extend(control for control in node.control_inputs if control in self.nodes)
            stack.extend(self._producer[i] for i in node.present_inputs if i in self._producer)
        return [name for name in self.nodes if name in seen]

    def _sorted(self, names: Iterable[str]) -> list[str]:
        rank = {node.name: index for index, node in enumerate(self.graph.nodes)}
        chosen = list(names)
        for name in chosen:
            rank.setdefault(name, self._rank_of_new(name, rank))
        position = {name: (rank[name], index) for index, name in enumerate(chosen)}
        waiting: dict[str, int] = {}
        readers: dict[str, list[str]] = {}
        for name in chosen:
            node = self.nodes[name]
            before = {self._producer[i] for i in node.present_inputs if i in self._producer}
            before.update(node.control_inputs)
            before = {b for b in before if b in position and b != name}
            waiting[name] = len(before)
            for b in before:
                readers.setdefault(b, []).append(name)
        ready = [(position[name], name) for name in chosen if not waiting[name]]
        heapq.heapify(ready)
        order: list[str] = []
        while ready:
            _, name = heapq.heappop(ready)
            order.append(name)
            for reader in readers.get(name, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    heapq.heappush(ready, (position[reader], reader))
        if len(order) != len(chosen):
            stuck = sorted(name for name in chosen if waiting[name])[:5]
            raise InvalidGraphError(f"nodes form a cycle: {', '.join(stuck)}")
        return order

    def _rank_of_new(self, name: str, rank: dict[str, int]) -> int:
        """New nodes stand where the first original node that reads them (transitively) stands."""
        queue, seen = deque([name]), {name}
        while queue:
            for out in self.nodes[queue.popleft()].outputs:
                for reader in self._consumers.get(out, ()):
                    if reader in rank:
                        return rank[reader]
                    if reader not in seen:
                        seen.add(reader)
                        queue.append(reader)
        return len(rank)
