"""Graphs for planner tests: random ones, and shapes that grow without limit."""

from __future__ import annotations

from collections.abc import Callable

from budget.graph import DType, Graph, GraphBuilder, TensorType
from budget.ops import registry

Draw = Callable[[int, int], int]
"""An integer between two bounds, both included."""

NONE = registry.get("relu").Attributes()
ADD = registry.get("add").Attributes()
CONCAT = registry.get("concat").Attributes(axis=1)


def bytes_type(size_bytes: int) -> TensorType:
    return TensorType((1, size_bytes), DType.INT8)


def random_graph(draw: Draw, node_count: int, largest_bytes: int = 60) -> Graph:
    """Nodes that each read one to three earlier tensors; some could run in place."""
    builder = GraphBuilder("random")
    sizes: dict[str, int] = {}
    for index in range(draw(1, 2)):
        name = f"input{index}"
        sizes[name] = draw(1, largest_bytes)
        builder.input(name, bytes_type(sizes[name]))
    read: set[str] = set()
    for index in range(node_count):
        names = list(sizes)
        recent = max(0, len(names) - 5)
        sources = {names[draw(recent, len(names) - 1)] for _ in range(draw(1, 3))}
        inputs = sorted(sources)
        read |= sources
        out = f"t{index}"
        kind = draw(0, 3)
        if kind == 0:
            inputs = inputs[:1]
            sizes[out] = sizes[inputs[0]]
            op, attributes = "relu", NONE
        elif kind == 1 and len(inputs) > 1:
            inputs = inputs[:2]
            sizes[out] = sizes[inputs[0]]
            op, attributes = "add", ADD
        else:
            sizes[out] = draw(1, largest_bytes)
            op, attributes = "concat", CONCAT
        builder.tensor(out, bytes_type(sizes[out]))
        builder.node(op, inputs, [out], attributes)
    unread = [name for name in sizes if name not in read and not name.startswith("input")]
    builder.output(*unread)
    return builder.build()


def chain(count: int) -> Graph:
    builder = GraphBuilder("chain")
    previous = builder.input("input", bytes_type(64))
    for index in range(count):
        out = builder.tensor(f"t{index}", bytes_type(32 + index * 37 % 64))
        builder.node("concat", [previous], [out], CONCAT)
        previous = out
    builder.output(previous)
    return builder.build()


def residual(count: int) -> Graph:
    """Blocks of two branches and a sum."""
    builder = GraphBuilder("residual")
    previous = builder.input("input", bytes_type(64))
    for index in range(count // 4):
        a = builder.tensor(f"a{index}", bytes_type(128 + index % 7))
        b = builder.tensor(f"b{index}", bytes_type(64))
        c = builder.tensor(f"c{index}", bytes_type(64))
        out = builder.tensor(f"sum{index}", bytes_type(64))
        builder.node("concat", [previous], [a], CONCAT)
        builder.node("concat", [a], [b], CONCAT)
        builder.node("concat", [previous], [c], CONCAT)
        builder.node("add", [b, c], [out], ADD)
        previous = out
    builder.output(previous)
    return builder.build()


def dense(count: int) -> Graph:
    """Every node reads the eight before it."""
    builder = GraphBuilder("dense")
    tensors = [builder.input("input", bytes_type(64))]
    for index in range(count):
        out = builder.tensor(f"t{index}", bytes_type(16 + index * 29 % 48))
        builder.node("concat", tensors[-8:], [out], CONCAT)
        tensors.append(out)
    builder.output(tensors[-1])
    return builder.build()


def branches(count: int, width: int = 1000) -> Graph:
    """A thousand chains between one tensor and one concatenation, run in turns."""
    builder = GraphBuilder("branches")
    source = builder.input("input", bytes_type(64))
    ends = [source] * width
    for index in range(count - 1):
        out = builder.tensor(f"t{index}", bytes_type(8 + index * 31 % 96))
        builder.node("concat", [ends[index % width]], [out], CONCAT)
        ends[index % width] = out
    out = builder.tensor("out", bytes_type(64))
    builder.node("concat", ends, [out], CONCAT)
    builder.output(out)
    return builder.build()
