"""Loops that are, or nearly are, recurrent layers: what they compute does not depend on which.

Each step is written once, in operators that either join a graph or compute with numpy; the loop is
lowered and its answer compared with that of the same step in numpy, trip by trip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from budget.graph import DType, Graph, GraphBuilder, TensorType
from budget.ops.interpreter import run
from budget.transforms.lower import lower

TRIPS, UNITS = 3, 2
LAYERS = {"lstm", "gru", "simple_rnn"}
RANDOM = np.random.default_rng(5)
W, U, V, Q, R, T = (RANDOM.normal(0, 0.6, (UNITS, UNITS)).astype(np.float32) for _ in range(6))
W2 = np.concatenate([W, Q])
B = RANDOM.normal(0, 0.6, UNITS).astype(np.float32)


class Numbers:
    """The operators, of arrays."""

    def constant(self, data: Any) -> Any:
        return np.asarray(data, np.float32)

    def dense(self, x: Any, weights: Any, bias: Any = None, fused: str = "NONE") -> Any:
        y = x @ weights.T + (0 if bias is None else bias)
        return np.clip(y, 0, 6) if fused == "RELU6" else y

    def matmul(self, x: Any, weights: Any, adj_x: bool = False) -> Any:
        return (x.T if adj_x else x) @ weights

    def add(self, a: Any, b: Any, fused: str = "NONE") -> Any:
        y = a + b
        return {"NONE": y, "RELU": np.maximum(y, 0), "RELU6": np.clip(y, 0, 6)}[fused]

    def sub(self, a: Any, b: Any) -> Any:
        return a - b

    def mul(self, a: Any, b: Any) -> Any:
        return a * b

    def sigmoid(self, x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    def tanh(self, x: Any) -> Any:
        return np.tanh(x)

    def relu(self, x: Any) -> Any:
        return np.maximum(x, 0)

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return x.reshape(shape)

    def split(self, x: Any, axis: int) -> Any:
        return np.split(x, 2, axis)

    def slice(self, x: Any, begin: Sequence[int], size: Sequence[int]) -> Any:
        return x[tuple(slice(b, b + n) for b, n in zip(begin, size, strict=True))]

    def backwards(self, x: Any) -> Any:
        return x[:, ::-1]


class Nodes(Numbers):
    """The operators, as nodes of a body in the dialect of TensorFlow Lite."""

    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder

    def constant(self, data: Any) -> Any:
        return self.builder.constant(
            self.builder.unique_name("c"), np.asarray(data, getattr(data, "dtype", np.float32))
        )

    def shape(self, name: str) -> tuple[int, ...]:
        return self.builder.tensors[name].type.shape

    def node(self, op: str, inputs: Sequence[str], shape: Sequence[int], **attributes: Any) -> str:
        type = TensorType(tuple(shape), DType.FLOAT32)
        out = self.builder.tensor(self.builder.unique_name("t"), type)
        self.builder.node(f"tfl.{op}", inputs, [out], attributes)
        return out

    def dense(self, x: Any, weights: Any, bias: Any = None, fused: str = "NONE") -> Any:
        inputs = [x, self.constant(weights), "" if bias is None else bias]
        inputs[2] = self.constant(bias) if isinstance(bias, np.ndarray) else inputs[2]
        shape = (self.shape(x)[0], len(weights))
        return self.node("FULLY_CONNECTED", inputs, shape, fused_activation_function=fused)

    def matmul(self, x: Any, weights: Any, adj_x: bool = False) -> Any:
        weights = self.constant(weights) if isinstance(weights, np.ndarray) else weights
        return self.node("BATCH_MATMUL", [x, weights], self.shape(x), adj_x=adj_x)

    def _both(self, op: str, a: str, b: str, fused: str = "NONE") -> str:
        shape = np.broadcast_shapes(self.shape(a), self.shape(b))
        return self.node(op, [a, b], shape, fused_activation_function=fused)

    def add(self, a: Any, b: Any, fused: str = "NONE") -> Any:
        return self._both("ADD", a, b, fused)

    def sub(self, a: Any, b: Any) -> Any:
        return self._both("SUB", a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self._both("MUL", a, b)

    def sigmoid(self, x: Any) -> Any:
        return self.node("LOGISTIC", [x], self.shape(x))

    def tanh(self, x: Any) -> Any:
        return self.node("TANH", [x], self.shape(x))

    def relu(self, x: Any) -> Any:
        return self.node("RELU", [x], self.shape(x))

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        return self.node("RESHAPE", [x, self.constant(np.asarray(shape, np.int32))], shape)

    def split(self, x: Any, axis: int) -> Any:
        shape = tuple(n // 2 if d == axis else n for d, n in enumerate(self.shape(x)))
        type = TensorType(shape, DType.FLOAT32)
        outs = [self.builder.tensor(self.builder.unique_name("s"), type) for _ in range(2)]
        place = self.constant(np.asarray(axis, np.int32))
        self.builder.node("tfl.SPLIT", [place, x], outs, {"num_splits": 2})
        return outs

    def slice(self, x: Any, begin: Sequence[int], size: Sequence[int]) -> Any:
        places = [self.constant(np.asarray(item, np.int32)) for item in (begin, size)]
        return self.node("SLICE", [x, *places], size)

    def backwards(self, x: Any) -> Any:
        shape = self.shape(x)
        places = [self.constant(np.asarray(item, np.int32)) for item in ([0, -1], [0, 0], [1, -1])]
        return self.node("STRIDED_SLICE", [x, *places], shape, begin_mask=3, end_mask=3)


Step = Callable[[Any, Any, Sequence[Any]], Sequence[Any]]


def loop(step: Step, states: int, batch: int) -> Graph:
    """A loop over the steps of the input; its result is the first state."""
    number, state = TensorType((), DType.INT32), TensorType((batch, UNITS), DType.FLOAT32)
    xs = TensorType((TRIPS, batch, UNITS), DType.FLOAT32)
    kept = TensorType((1, batch, UNITS), DType.FLOAT32)
    variables = {"i": number, "xs": xs, "list": kept, **{f"s{k}": state for k in range(states)}}
    builder = GraphBuilder("cond", "tfl")
    for name, type in variables.items():
        builder.input(name, type)
    builder.constant("limit", np.asarray(TRIPS, np.int32))
    builder.node("tfl.LESS", ["i", "limit"], [builder.tensor("b", TensorType((), DType.BOOL))], {})
    builder.output("b")
    cond = builder.build()
    builder = GraphBuilder("body", "tfl")
    for name, type in variables.items():
        builder.input(name, type)
    builder.constant("one", np.asarray(1, np.int32))
    builder.node("tfl.ADD", ["i", "one"], [builder.tensor("next", number)], {})
    builder.node("tfl.GATHER", ["xs", "i"], [builder.tensor("x", state)], {"axis": 0})
    nodes = Nodes(builder)
    following = step(nodes, "x", [f"s{k}" for k in range(states)])
    builder.output("next", "xs", nodes.reshape(following[0], kept.shape), *following)
    body = builder.build()
    builder = GraphBuilder("main", "tfl")
    builder.input("xs", xs)
    builder.constant("i", np.asarray(0, np.int32))
    builder.constant("list", np.zeros(kept.shape, np.float32))
    for k in range(states):
        builder.constant(f"s{k}", np.zeros(state.shape, np.float32))
    outputs = [builder.tensor(f"{name}_last", type) for name, type in variables.items()]
    builder.node("tfl.WHILE", list(variables), outputs, {}, subgraphs=("cond", "body"))
    builder.output("list_last")
    return builder.build().replace(subgraphs={"cond": cond, "body": body})


def lowered_and_checked(step: Step, states: int, batch: int = 1) -> set[str]:
    """The operators of the lowered loop, whose answer is that of the step in numpy."""
    graph = lower(loop(step, states, batch))
    xs = np.random.default_rng(9).normal(size=(TRIPS, batch, UNITS)).astype(np.float32)
    found = run(graph, {graph.inputs[0]: xs})[graph.outputs[0]]
    values: Sequence[Any] = [np.zeros((batch, UNITS), np.float32)] * states
    for x in xs:
        values = step(Numbers(), x, values)
    np.testing.assert_allclose(found[0], values[0], atol=1e-5)
    return {node.op for node in graph.nodes}


def gate(o: Any, x: Any, h: Any, matrix: Any) -> Any:
    return o.sigmoid(o.add(o.dense(x, matrix, B), o.dense(h, matrix.T)))


def simple(o: Any, x: Any, s: Sequence[Any]) -> Sequence[Any]:
    return [o.tanh(o.add(o.dense(x, W, B), o.dense(s[0], U)))]


def split_simple(o: Any, x: Any, s: Sequence[Any]) -> Sequence[Any]:
    part = o.split(o.dense(x, W2), 1)[1]
    other = o.slice(o.dense(s[0], W2), (0, 0), (1, UNITS))
    return [o.add(part, other, "RELU")]


def lstm(o: Any, x: Any, s: Sequence[Any], out: str = "sigmoid", other: Any = None) -> Any:
    h, c = s
    a = o.add(o.dense(x, T), o.dense(h, T.T))
    kept = o.mul(gate(o, x, h, V), c)
    cell = o.add(kept, o.mul(gate(o, x, h, Q), o.tanh(a)))
    last = getattr(o, out)(o.add(o.dense(x, R), o.dense(h, R.T)))
    return [o.mul(last, o.tanh(cell if other is None else other)), cell]


def gru(o: Any, x: Any, s: Sequence[Any], **kind: Any) -> Any:
    h = s[0]
    z = gate(o, x, h, V)
    r = getattr(o, kind.get("reset", "sigmoid"))(o.add(o.dense(x, Q), o.dense(h, Q.T)))
    if kind.get("after", True):
        gated = o.mul(r, o.dense(h, T, B))
    else:
        gated = kind.get("around", lambda y: y)(o.dense(o.mul(r, h), T))
    plain = kind.get("plain", o.dense(x, R))
    candidate = o.tanh(o.add(plain, gated))
    return [o.add(o.mul(z, h), o.mul(o.sub(o.constant(1.0), z), candidate))]


@pytest.mark.parametrize(
    ("step", "states", "op"),
    [
        (simple, 1, "simple_rnn"),
        (split_simple, 1, "simple_rnn"),
        (lstm, 2, "lstm"),
        (gru, 1, "gru"),
        (lambda o, x, s: gru(o, x, s, after=False), 1, "gru"),
    ],
)
def test_layers(step: Step, states: int, op: str) -> None:
    assert lowered_and_checked(step, states) & LAYERS == {op}


def like_simple(change: Callable[[Any, Any, Any], Any]) -> tuple[Step, int, int]:
    return lambda o, x, s: [o.tanh(change(o, x, s[0]))], 1, 1


ONES = np.ones((2, UNITS), np.float32)
OTHERS: dict[str, tuple[Step, int, int]] = {
    "two states of no LSTM": (
        lambda o, x, s: [*simple(o, x, s), o.tanh(o.dense(s[1], V))],
        2,
        1,
    ),
    "an LSTM that hands on its cell": (lambda o, x, s: lstm(o, x, s[::-1])[::-1], 2, 1),
    "an output gate of another function": (lambda o, x, s: lstm(o, x, s, "relu"), 2, 1),
    "an output without the cell": (lambda o, x, s: lstm(o, x, s, other=o.dense(x, W)), 2, 1),
    "a reset gate of another function": (lambda o, x, s: gru(o, x, s, reset="relu"), 1, 1),
    "a reset behind a function": (lambda o, x, s: gru(o, x, s, after=False, around=o.tanh), 1, 1),
    "a candidate of no plain input": (lambda o, x, s: gru(o, x, s, plain=s[0]), 1, 1),
    "a sum with an activation": (
        lambda o, x, s: [o.add(o.mul(o.sigmoid(x), s[0]), o.dense(x, W), "RELU6")],
        1,
        1,
    ),
    "no function": (lambda o, x, s: [o.add(o.dense(x, W), o.dense(s[0], U))], 1, 1),
    "no recurrence": like_simple(lambda o, x, h: o.dense(x, W)),
    "a bare input": like_simple(lambda o, x, h: o.add(x, o.dense(h, U))),
    "a product of elements": like_simple(lambda o, x, h: o.mul(x, o.dense(h, U))),
    "a product of a product": like_simple(lambda o, x, h: o.dense(o.add(x, h), W)),
    "a product with an activation": like_simple(
        lambda o, x, h: o.add(o.dense(x, W, B, "RELU6"), o.dense(h, U))
    ),
    "a bias that is computed": like_simple(
        lambda o, x, h: o.dense(x, W, o.reshape(o.dense(h, U), (UNITS,)))
    ),
    "a bias for each of a batch": (
        lambda o, x, s: [
            o.tanh(o.add(o.add(o.dense(x, W), o.constant(B * ONES)), o.dense(s[0], U)))
        ],
        1,
        2,
    ),
    "a transposed input": (
        lambda o, x, s: [o.tanh(o.add(o.matmul(x, W, adj_x=True), o.dense(s[0], U)))],
        1,
        UNITS,
    ),
    "parts of a batch": (
        lambda o, x, s: [
            o.tanh(o.add(o.add(*o.split(o.dense(x, W), 0)), o.dense(s[0], U))),
        ],
        1,
        2,
    ),
    "features in the other order": like_simple(
        lambda o, x, h: o.add(o.backwards(o.dense(x, W)), o.dense(h, U))
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_recurrences_are_unrolled(name: str) -> None:
    step, states, batch = OTHERS[name]
    assert not LAYERS & lowered_and_checked(step, states, batch)
