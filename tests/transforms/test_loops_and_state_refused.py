"""Every refusal of recurrent layers, variables and loops of TensorFlow Lite and TensorFlow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from budget.errors import UnsupportedModelError
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.transforms.lower import lower, tflite_loops

HANDLE = TensorType((), DType.INT32)
CELL = TensorType((1, 4), DType.FLOAT32)
INTEGERS = TensorType((1, 2, 3), DType.INT8, QuantParams.per_tensor(0.5, 0))


def built(
    op: str,
    operands: list[Any],
    results: list[Any],
    states: tuple[int, ...] = (),
    **attributes: Any,
) -> Graph:
    """One node; operands are arrays, types, shapes of real inputs, or None."""
    builder = GraphBuilder("one", "tfl")
    names = []
    for index, operand in enumerate(operands):
        if operand is None:
            names.append("")
            continue
        name = f"x{index}"
        if isinstance(operand, np.ndarray):
            builder.constant(name, operand)
        else:
            type = (
                operand
                if isinstance(operand, TensorType)
                else TensorType(tuple(operand), DType.FLOAT32)
            )
            builder.tensor(name, type) if index in states else builder.input(name, type)
        names.append(name)
    outputs = [builder.tensor(f"y{i}", TensorType(s, DType.FLOAT32)) for i, s in enumerate(results)]
    builder.node(f"tfl.{op}", names, outputs, attributes)
    builder.output(*outputs)
    graph = builder.build()
    tensors = dict(graph.tensors)
    for index in states:
        tensors[f"x{index}"] = replace(tensors[f"x{index}"], is_variable=True)
    return graph.replace(tensors=tensors)


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def lstm(changes: dict[int, Any] | None = None, count: int = 20, **more: Any) -> Graph:
    operands: list[Any] = [(1, 2, 3), *[zeros(4, 3)] * 4, *[zeros(4, 4)] * 4, None, None, None]
    operands += [*[zeros(4)] * 4, None, None, (1, 4), (1, 4), *[None] * 4]
    operands = operands[:count]
    for index, value in (changes or {}).items():
        operands[index] = value
    states = more.pop("states", (18, 19))
    return built("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [(1, 2, 4)], states, **more)


def rnn(
    changes: dict[int, Any] | None = None, states: tuple[int, ...] = (4,), **more: Any
) -> Graph:
    operands: list[Any] = [(1, 2, 3), zeros(4, 3), zeros(4, 4), zeros(4), (1, 4)]
    for index, value in (changes or {}).items():
        operands[index] = value
    return built("UNIDIRECTIONAL_SEQUENCE_RNN", operands, [(1, 2, 4)], states, **more)


LAYERS = {
    "19 operands": lambda: lstm(count=19, states=(18,)),
    "peepholes": lambda: lstm({10: zeros(4)}),
    "projection": lambda: lstm({16: zeros(4, 4)}),
    "normalises": lambda: lstm({21: zeros(4)}, count=24),
    "coupled": lambda: lstm({1: None, 5: None, 12: None}),
    "diagonals": lambda: lstm(diagonal_recurrent_tensors=True),
    "no variable": lambda: lstm(states=()),
    "weights is computed": lambda: lstm({2: (4, 3)}),
    "differ in shape": lambda: lstm({2: zeros(4, 2)}),
    "gate by gate": lambda: lstm({0: INTEGERS}),
    "RELU6 is fused": lambda: rnn(fused_activation_function="RELU6"),
    "of this kind": lambda: rnn({0: INTEGERS}),
    "no state": lambda: built("SVDF", [(1, 3), zeros(4, 3), zeros(4, 2)], [(1, 4)]),
}


@pytest.mark.parametrize("said", LAYERS)
def test_layers(said: str) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        lower(LAYERS[said]())


def variables(*shapes: tuple[int, ...], handle: str = "h", handles: int = 1) -> Graph:
    """A handle and an assignment of an input of each shape."""
    builder = GraphBuilder("state", "tfl")
    names = [builder.tensor("h" if i == 0 else f"h{i}", HANDLE) for i in range(handles)]
    builder.tensor("elsewhere", HANDLE)
    builder.node("tfl.VAR_HANDLE", [], names, {"container": "", "shared_name": "v"})
    for index, shape in enumerate(shapes):
        x = builder.input(f"x{index}", TensorType(shape, DType.FLOAT32))
        builder.node("tfl.ASSIGN_VARIABLE", [handle, x], [], {})
    builder.output(builder.input("z", CELL))
    return builder.build()


@pytest.mark.parametrize(
    ("said", "graph"),
    [
        ("written twice", variables((1, 4), (1, 4))),
        ("changes its shape", variables((1, 4), (1, 5))),
        ("2 results", variables((1, 4), handles=2)),
        ("comes from elsewhere", variables((1, 4), handle="elsewhere")),
    ],
)
def test_variables(said: str, graph: Graph) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        lower(graph)


def test_start_values() -> None:
    builder = GraphBuilder("start", "tfl")
    builder.constant("v", np.ones((1, 4), np.float32))
    builder.node("tfl.VAR_HANDLE", [], [builder.tensor("h", HANDLE)], {})
    builder.node("tfl.ASSIGN_VARIABLE", ["h", "v"], [], {})
    start = builder.build()
    builder = GraphBuilder("main", "tfl")
    builder.node("tfl.CALL_ONCE", [], [], {}, subgraphs=("start",))
    builder.output(builder.input("z", CELL))
    with pytest.raises(UnsupportedModelError, match="other than zero"):
        lower(builder.build().replace(subgraphs={"start": start}))


def loop(
    count: int = 3, *, drop: str = "", subgraphs: tuple[str, ...] = ("cond", "body"), start: Any = 0
) -> Graph:
    """x is negated while a counter is below ``count``."""
    number = TensorType((), DType.INT32)
    builder = GraphBuilder("cond", "tfl")
    builder.input("i", number)
    if drop != "condition":
        builder.input("x", CELL)
    builder.constant("limit", np.asarray(count, np.int32))
    flag = builder.tensor("less", TensorType((), DType.BOOL))
    builder.node("tfl.LESS", ["i", "limit"], [flag], {})
    builder.output(flag)
    cond = builder.build()
    builder = GraphBuilder("body", "tfl")
    builder.input("i", number)
    builder.input("x", CELL)
    builder.constant("one", np.asarray(1, np.int32))
    builder.node("tfl.ADD", ["i", "one"], [builder.tensor("next", number)], {})
    builder.node("tfl.NEG", ["x"], [builder.tensor("y", CELL)], {})
    builder.output("next", *[] if drop == "body" else ["y"])
    body = builder.build()
    builder = GraphBuilder("main", "tfl")
    builder.input("x", CELL)
    if start is None:
        builder.input("i", number)
    else:
        builder.constant("i", np.asarray(start, np.int32))
    outputs = [builder.tensor("last", number), builder.tensor("out", CELL)]
    builder.node("tfl.WHILE", ["i", "x"], outputs, {}, subgraphs=subgraphs)
    builder.output("out")
    return builder.build().replace(subgraphs={"cond": cond, "body": body})


def test_a_loop_of_negations_is_unrolled() -> None:
    assert [node.op for node in lower(loop(3)).nodes].count("neg") in {1, 3}


@pytest.mark.parametrize(
    ("said", "graph"),
    [
        ("no condition and body", loop(subgraphs=("cond", "body", "body"))),
        ("differ in number", loop(drop="body")),
        ("does not take its variables", loop(drop="condition")),
        ("how often", loop(start=None)),
    ],
)
def test_loops(said: str, graph: Graph) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        lower(graph)


def test_long_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite_loops, "MAX_UNROLLED_NODES", 5)
    with pytest.raises(UnsupportedModelError, match="too many to unroll"):
        lower(loop(3))
    monkeypatch.setattr(tflite_loops, "MAX_VISITS", 5)
    with pytest.raises(UnsupportedModelError, match="too many steps"):
        lower(loop(9))
    monkeypatch.undo()
    monkeypatch.setattr(tflite_loops, "MAX_TRIPS", 4)
    with pytest.raises(UnsupportedModelError, match="more than 4 times"):
        lower(loop(9))
