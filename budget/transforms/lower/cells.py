"""Recognises the cell of a recurrent layer in the arithmetic of one time step.

The step is a piece of canonical graph that computes new states from old ones and an input. Sums of
products with constant matrices are gathered into one matrix for each operand, whatever the order in
which an exporter multiplied, added and split; what is left has to be the equations of an LSTM, a
GRU or a simple recurrent layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.graph.graph import ABSENT, Node, Tensor
from budget.graph.types import Array
from budget.ops.operator import Activation

_FUNCTIONS = {"logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A recurrent layer's cell.

    Attributes:
        op: ``lstm``, ``gru`` or ``simple_rnn``.
        states: which of the step's states the operator's states are.
        weights: input weights, recurrent weights, biases, as the operator takes them; None for a
            bias that is nothing but zeros.
        attributes: of the operator, by name.
    """

    op: str
    states: tuple[int, ...]
    weights: tuple[Array | None, ...]
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class _Sum:
    """A sum of matrix products: rows of a matrix for each operand, and a constant."""

    matrices: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    bias: NDArray[np.float32] = field(default_factory=lambda: np.zeros(1, np.float32))

    def picked(self, rows: slice, count: int) -> _Sum:
        bias = np.broadcast_to(self.bias, (count,))
        return _Sum({name: matrix[rows] for name, matrix in self.matrices.items()}, bias[rows])


class _Different(Exception):
    """The arithmetic is not that of the cell that is looked for."""


def recognise(
    tensors: Mapping[str, Tensor],
    nodes: Sequence[Node],
    x: str,
    states: Sequence[str],
    following: Sequence[str],
) -> Cell | None:
    """The cell that a step computes; None if it is none of those known.

    Args:
        tensors: of the step, by name.
        nodes: of the step.
        x: its input.
        states: names of the old states.
        following: names of the new states, in the same order.
    """
    step = _Step(tensors, nodes, x, states, following)
    for find in (step.lstm, step.gru, step.simple):
        try:
            cell = find()
        except _Different:
            continue
        kept = tuple(data if data is not None and data.any() else None for data in cell.weights[2:])
        return replace(cell, weights=(*cell.weights[:2], *kept))
    return None


def _without_activation(attributes: Any) -> Any:
    values = {item.name: getattr(attributes, item.name) for item in fields(attributes)}
    return type(attributes)(**{**values, "activation": Activation.NONE})


class _Step:
    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        nodes: Sequence[Node],
        x: str,
        states: Sequence[str],
        following: Sequence[str],
    ) -> None:
        self.tensors = dict(tensors)
        self.producers: dict[str, Node] = {}
        for node in nodes:
            self.producers.update(dict.fromkeys(node.outputs, node))
            if getattr(node.attributes, "activation", Activation.NONE) is Activation.RELU:
                self._unfuse(node)
        self.x, self.states, self.following = x, tuple(states), tuple(following)
        self.symbols = {x, *states}

    def _unfuse(self, node: Node) -> None:
        """Sees a fused relu as a node behind the one it is fused into."""
        out = node.outputs[0]
        bare = f"{out}/bare"
        self.tensors[bare] = replace(self.tensors[out], name=bare)
        attributes = _without_activation(node.attributes)
        self.producers[bare] = replace(node, outputs=(bare,), attributes=attributes)
        self.producers[out] = Node(out, "relu", (bare,), (out,))

    def lstm(self) -> Cell:
        """Two states: h' = o · f(c'), c' = forget · c + input · g."""
        if len(self.states) != 2:
            raise _Different
        for h, c in ((0, 1), (1, 0)):
            try:
                return self._lstm(h, c)
            except _Different:
                continue
        raise _Different

    def _lstm(self, h: int, c: int) -> Cell:
        cell = self._bare(self.following[c])
        out, shown = self._product(self.following[h], lambda name: self._applied_to(name) == cell)
        activation, _ = self._function(shown)
        kept, added = self._two(cell, "add")
        if not self._has_factor(kept, self.states[c]):
            kept, added = added, kept
        forget, _ = self._product(kept, lambda name: self._bare(name) == self.states[c])
        input_gate, candidate = self._two(added, "mul")
        gate = self._function(forget)[0]
        if self._function(candidate)[0] != activation or self._function(input_gate)[0] != gate:
            input_gate, candidate = candidate, input_gate
        for name, function in ((input_gate, gate), (candidate, activation), (out, gate)):
            if self._function(name)[0] != function:
                raise _Different
        sums = [self._argument(name) for name in (input_gate, forget, candidate, out)]
        state = self.states[h]
        weights = (*self._stacked(sums, (self.x, state)), self._biases(sums))
        return Cell(
            "lstm",
            (h, c),
            weights,
            {"function": activation, "gate_function": gate},
        )

    def gru(self) -> Cell:
        """One state: h' = z · h + (1 - z) · f(…)."""
        if len(self.states) != 1:
            raise _Different
        state = self.states[0]
        kept, added = self._two(self.following[0], "add")
        if not self._has_factor(kept, state):
            kept, added = added, kept
        update, _ = self._product(kept, lambda name: self._bare(name) == state)
        _, candidate = self._product(added, lambda name: not self._is_rest(name, update))
        gate, _ = self._function(update)
        activation, inner = self._function(candidate)
        plain, gated = self._gated(inner, state)
        after = self._reset_after(gated, state)
        reset, product = after or self._reset_before(gated, state)
        if self._function(reset)[0] != gate:
            raise _Different
        sums = [self._argument(update), self._argument(reset)]
        own = self._linear(plain)
        recurrent = np.concatenate([*(s.matrices[state] for s in sums), product.matrices[state]])
        inputs = self._stacked([*sums, own], (self.x,), others=(state,))[0]
        units = self._units(state)
        biases = self._biases([*sums, own])
        second = np.zeros(3 * units, np.float32)
        second[2 * units :] = np.broadcast_to(product.bias, (units,))
        attributes = {
            "function": activation,
            "gate_function": gate,
            "reset_after": after is not None,
        }
        return Cell("gru", (0,), (inputs, recurrent, biases, second), attributes)

    def simple(self) -> Cell:
        """One state: h' = f(W x + U h + b)."""
        if len(self.states) != 1:
            raise _Different
        activation, _ = self._function(self.following[0])
        sums = [self._argument(self.following[0])]
        weights = (*self._stacked(sums, (self.x, self.states[0])), self._biases(sums))
        return Cell("simple_rnn", (0,), weights, {"function": activation})

    # --- the parts of the equations ----------------------------------------------------------
    def _units(self, state: str) -> int:
        return self.tensors[state].type.shape[-1]

    def _bare(self, name: str) -> str:
        """The tensor before reshapes that keep the last dimension."""
        while name not in self.symbols:
            node = self.producers.get(name)
            if node is None or node.op != "reshape":
                break
            shapes = [self.tensors[item].type.shape[-1:] for item in (name, node.inputs[0])]
            if shapes[0] != shapes[1]:
                break
            name = node.inputs[0]
        return name

    def _node(self, name: str, op: str) -> Node:
        node = self.producers.get(self._bare(name))
        if node is None or node.op != op:
            raise _Different
        return node

    def _two(self, name: str, op: str) -> tuple[str, str]:
        node = self._node(name, op)
        if node.attributes.activation is not Activation.NONE:
            raise _Different
        return node.inputs[0], node.inputs[1]

    def _product(self, name: str, is_second: Any) -> tuple[str, str]:
        """The factors, the second of which is of a certain kind."""
        a, b = self._two(name, "mul")
        if is_second(b):
            return a, b
        if is_second(a):
            return b, a
        raise _Different

    def _has_factor(self, name: str, factor: str) -> bool:
        try:
            return factor in map(self._bare, self._two(name, "mul"))
        except _Different:
            return False

    def _is_rest(self, name: str, part: str) -> bool:
        """Whether a tensor is 1 - part."""
        node = self.producers.get(self._bare(name))
        if node is None or node.op != "sub" or self._bare(node.inputs[1]) != self._bare(part):
            return False
        one = self.tensors[node.inputs[0]].data
        return one is not None and bool(np.all(one == 1))

    def _function(self, name: str) -> tuple[str, str]:
        """The function that a tensor has passed, and what it was applied to."""
        node = self.producers.get(self._bare(name))
        if node is not None and node.op in _FUNCTIONS:
            return _FUNCTIONS[node.op], node.inputs[0]
        raise _Different

    def _applied_to(self, name: str) -> str | None:
        try:
            return self._bare(self._function(name)[1])
        except _Different:
            return None

    def _argument(self, name: str) -> _Sum:
        return self._linear(self._function(name)[1])

    def _gated(self, name: str, state: str) -> tuple[str, str]:
        """The terms of the candidate: that of the input, and that which the reset gate rules."""
        a, b = self._two(name, "add")
        for plain, gated in ((a, b), (b, a)):
            try:
                if set(self._linear(plain).matrices) <= {self.x}:
                    return plain, gated
            except _Different:
                continue
        raise _Different

    def _reset_after(self, name: str, state: str) -> tuple[str, _Sum] | None:
        try:
            a, b = self._two(name, "mul")
        except _Different:
            return None
        for reset, product in ((a, b), (b, a)):
            try:
                found = self._linear(product)
            except _Different:
                continue
            if set(found.matrices) == {state}:
                return reset, found
        return None

    def _reset_before(self, name: str, state: str) -> tuple[str, _Sum]:
        node = self.producers.get(self._bare(name))
        if node is None or node.op not in ("fully_connected", "batch_matmul"):
            raise _Different
        reset, _ = self._product(node.inputs[0], lambda item: self._bare(item) == state)
        return reset, self._matmul(node, state)

    def _stacked(
        self, sums: Sequence[_Sum], names: Sequence[str], others: Sequence[str] = ()
    ) -> tuple[Array, ...]:
        """The gates' matrices one below the other, for each operand."""
        for item in sums:
            if not set(names) <= set(item.matrices) <= {*names, *others}:
                raise _Different
        return tuple(
            np.ascontiguousarray(np.concatenate([item.matrices[name] for item in sums]))
            for name in names
        )

    def _biases(self, sums: Sequence[_Sum]) -> Array:
        units = self._units(self.states[0])
        return np.concatenate(
            [np.broadcast_to(np.asarray(item.bias, np.float32), (units,)) for item in sums]
        )

    # --- sums of products --------------------------------------------------------------------
    def _linear(self, name: str) -> _Sum:
        """A tensor as products of matrices with the input and the states, and a constant."""
        name = self._bare(name)
        tensor = self.tensors[name]
        if tensor.data is not None:
            shape = tensor.data.shape
            if any(extent != 1 for extent in shape[:-1]):
                raise _Different
            return _Sum({}, np.asarray(tensor.data, np.float32).reshape(-1))
        node = self.producers.get(name)
        if node is None:
            raise _Different
        if node.op == "add":
            a, b = (self._linear(item) for item in self._two(name, "add"))
            merged = dict(a.matrices)
            for key, matrix in b.matrices.items():
                merged[key] = merged[key] + matrix if key in merged else matrix
            return _Sum(merged, a.bias + b.bias)
        if node.op in ("fully_connected", "batch_matmul"):
            return self._matmul(node, self._bare(node.inputs[0]))
        if node.op in ("split", "slice", "strided_slice"):
            whole = self._linear(node.inputs[0])
            count = self.tensors[node.inputs[0]].type.shape[-1]
            return whole.picked(self._rows(node, name), count)
        raise _Different

    def _matmul(self, node: Node, operand: str) -> _Sum:
        """The product of a symbol with a constant matrix."""
        weights = self.tensors[node.inputs[1]].data
        if operand not in self.symbols or weights is None or weights.ndim != 2:
            raise _Different
        matrix = np.asarray(weights, np.float32)
        bias = np.zeros(1, np.float32)
        if node.op == "batch_matmul":
            if node.attributes.adj_x:
                raise _Different
            matrix = matrix if node.attributes.adj_y else matrix.T
        else:
            if node.attributes.activation is not Activation.NONE:
                raise _Different
            if len(node.inputs) > 2 and node.inputs[2] != ABSENT:
                data = self.tensors[node.inputs[2]].data
                if data is None:
                    raise _Different
                bias = np.asarray(data, np.float32).reshape(-1)
        return _Sum({operand: matrix}, bias)

    def _rows(self, node: Node, name: str) -> slice:
        """Which elements along the last dimension a piece of a tensor has; of others all."""
        shape = self.tensors[node.inputs[0]].type.shape
        a = node.attributes
        if node.op == "split":
            if a.axis != len(shape) - 1:
                raise _Different
            sizes = [self.tensors[out].type.shape[-1] for out in node.outputs]
            place = node.outputs.index(name)
            return slice(sum(sizes[:place]), sum(sizes[: place + 1]))
        kept = self.tensors[name].type.shape
        if kept[:-1] != shape[:-1] or (node.op == "strided_slice" and set(a.stride) != {1}):
            raise _Different
        return slice(a.begin[-1], a.begin[-1] + kept[-1])
