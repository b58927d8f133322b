"""Small frozen graphs built in TensorFlow's first manner, and TensorFlow to run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tensorflow_models import quietly, tensorflow

from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.pipeline import Outcome, plan_steps, run, run_nodes


def build(make: Callable[[Any], Any]) -> bytes:
    """The GraphDef of what a function of ``tensorflow.compat.v1`` adds to an empty graph."""

    def work() -> bytes:
        tf = tensorflow()
        with tf.Graph().as_default() as graph:
            make(tf.compat.v1)
        return bytes(graph.as_graph_def().SerializeToString())

    return quietly(work)


def parse(data: bytes) -> Any:
    """The message, as TensorFlow's own library reads it."""
    return tensorflow().compat.v1.GraphDef.FromString(data)


def execute(data: bytes, feeds: Mapping[str, Any], outputs: list[str]) -> list[Any]:
    """What TensorFlow computes."""

    def work() -> list[Any]:
        tf = tensorflow()
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(parse(data), name="")
            with tf.compat.v1.Session(graph=graph) as session:
                wanted = [name if ":" in name else f"{name}:0" for name in outputs]
                found = session.run(wanted, {f"{k}:0": v for k, v in feeds.items()})
                return [np.asarray(item) for item in found]

    return quietly(work)


def graph_of(data: bytes, inputs: list[str], outputs: list[str]) -> NodeGraph:
    """The graph to transform."""
    return NodeGraph.decode(data, "test.pb", inputs, outputs)


def apply(graph: NodeGraph, transforms: str, *, compat: bool = False) -> NodeGraph:
    """The graph after transforms."""
    return run_nodes(graph, plan_steps(transforms), compat=compat)


def notes_of(graph: NodeGraph, transforms: str) -> list[str]:
    """What transforms said they did not do."""
    notes: list[str] = []

    def observe(outcome: Outcome) -> None:
        notes.extend(outcome.notes)

    run(graph, plan_steps(transforms), observer=observe)
    return notes


def ops(graph: NodeGraph) -> list[str]:
    """Operators, in order of the nodes."""
    return [node.op for node in graph.nodes.values()]
