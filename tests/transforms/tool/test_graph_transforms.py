"""Transforms of canonical graphs in TensorFlow and LiteRT: outputs before and after, twice is once.

Each changes a graph in its own way, so each has a graph in which there is something to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import planted
import pytest
import tool_graphs as graphs

from budget.analysis.costs import total_cost
from budget.graph import Graph
from budget.ops.interpreter import run as interpret
from budget.transforms.cluster import clustered_layers
from budget.transforms.tool.forms import Subject, as_graph, as_nodes
from budget.transforms.tool.pipeline import plan_steps, run
from budget.writers.tflite import write_tflite

SHAPE = (1, 9, 8, 3)
X = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)


def transformed(subject: Subject, transforms: str) -> Graph:
    """The canonical graph that transforms leave."""
    return as_graph(run(subject, plan_steps(transforms)), {})


def uneven(tf: Any) -> None:
    """Two pairs of layers whose channels are up to six times apart, and a product of rank 4."""
    rng = np.random.default_rng(8)

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    spread = np.geomspace(1, 6, 8).astype(np.float32)
    x = tf.placeholder(tf.float32, SHAPE, name="x")
    y = tf.nn.conv2d(x, tf.constant(normal(3, 3, 3, 8) * spread), 2, "SAME")
    y = tf.nn.relu(tf.nn.bias_add(y, tf.constant(normal(8))))
    y = tf.nn.max_pool2d(y, 2, 1, "VALID")
    y = tf.nn.conv2d(y, tf.constant(normal(3, 3, 8, 6)), 1, "SAME")
    y = tf.nn.relu6(tf.nn.bias_add(y, tf.constant(normal(6))))
    y = tf.reshape(y, (1, 4 * 3 * 6))
    low = tf.constant(normal(72, 4) @ normal(4, 40))
    tf.nn.bias_add(tf.matmul(y, low), tf.constant(normal(40)), name="y")


def litert(graph: Graph, feeds: Mapping[str, Any]) -> list[Any]:
    """What LiteRT's own reference kernels make of a graph, written as a file."""
    module = pytest.importorskip("ai_edge_litert.interpreter")
    made = module.Interpreter(
        model_content=write_tflite(graph),
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF,
    )
    made.allocate_tensors()
    for detail, name in zip(made.get_input_details(), graph.inputs, strict=True):
        made.set_tensor(detail["index"], feeds[name])
    made.invoke()
    return [made.get_tensor(detail["index"]) for detail in made.get_output_details()]


@pytest.mark.parametrize("transform", ["equalise", "low_rank(error=1e-9)"])
def test_float_layers_compute_the_same(transform: str) -> None:
    """W₂·f(W₁·x) = (W₂·s)·f((W₁/s)·x); W = A·B where W is of low rank."""
    nodes = graphs.graph_of(graphs.build(uneven), ["x"], ["y"])
    (y,) = graphs.execute(nodes.encode(), {"x": X}, ["y"])
    before, after = as_graph(nodes, {}), transformed(nodes, transform)
    written = as_nodes(after)
    (there,) = graphs.execute(written.encode(), {written.inputs[0]: X}, list(written.outputs))
    most = 2e-6 * np.max(np.abs(y))
    np.testing.assert_allclose(there, y, rtol=0, atol=most)
    for graph in (before, after):
        (found,) = litert(graph, {graph.inputs[0]: X})
        np.testing.assert_allclose(found, y, rtol=0, atol=most)
    if transform == "equalise":
        first, second = (spread_of(graph) for graph in (before, after))
        assert first > 2
        assert second < 1.1
    else:
        assert len(after.nodes) == len(before.nodes) + 1
        assert total_cost(before).macs - total_cost(after).macs == 72 * 40 - 4 * (72 + 40)


def spread_of(graph: Graph) -> float:
    """How far apart √(r₁/r₂) of the channels between the two convolutions are."""
    first, second = (node for node in graph.nodes if node.op == "conv_2d")
    w1, w2 = (np.abs(graph.constant(node.inputs[1])) for node in (first, second))
    ratio = w1.max(axis=(1, 2, 3)) / w2.max(axis=(0, 1, 2))
    return float(ratio.max() / ratio.min()) ** 0.5


def same(a: Graph, b: Graph) -> bool:
    """Whether two graphs have the same nodes and constants."""
    held = [{name: tensor.data.tobytes() for name, tensor in graph.tensors.items()
             if tensor.data is not None} for graph in (a, b)]  # fmt: skip
    return a.nodes == b.nodes and held[0] == held[1]


@pytest.mark.parametrize("transform", ["equalise", "low_rank(error=1e-9)", "low_rank(error=0.1)"])
def test_float_layers_twice_are_once(transform: str) -> None:
    """Even channels stay as they are; two thin layers are not split again."""
    nodes = graphs.graph_of(graphs.build(uneven), ["x"], ["y"])
    once = transformed(nodes, transform)
    assert not same(once, as_graph(nodes, {}))
    assert same(transformed(once, transform), once)


KINDS = ("conv", "depthwise", "maximum", "relu", "conv", "add", "conv", "flat")


# in 3 the first channels have to go before the last are seen to be constant
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 8, 11])
def test_constant_channels_go(seed: int) -> None:
    """w·[x, c] = w₁·x + (w₂·c): LiteRT gives the same bits before and after, on four inputs."""
    before = planted.network(list(KINDS), seed)
    after = transformed(before, "remove_constant_channels")
    assert total_cost(after).macs < total_cost(before).macs
    for feeds in planted.inputs_of(before, seed):
        for old, new in zip(litert(before, feeds), litert(after, feeds), strict=True):
            np.testing.assert_array_equal(new, old)
    assert same(transformed(after, "remove_constant_channels"), after)


@pytest.mark.parametrize("size", [16, 32])
def test_weights_take_few_values(size: int) -> None:
    """w → c[i(w)]: LiteRT computes with the values of the book what ours computes, bit for bit."""
    before = planted.network(list(KINDS), 1)
    after = transformed(before, f"cluster(size={size})")
    changed = 0
    layers = zip(clustered_layers(before), clustered_layers(after), strict=True)
    for (_, old), (_, new) in layers:
        assert old.data is not None
        assert new.data is not None
        book = np.unique(new.data)
        assert len(book) <= size
        changed += len(np.unique(old.data)) > size
        # no weight has a nearer value in the book than the one it got
        nearest = np.abs(old.data.astype(int)[..., None] - book.astype(int)).min(-1)
        assert np.array_equal(np.abs(old.data.astype(int) - new.data.astype(int)), nearest)
    assert changed
    for feeds in planted.inputs_of(before, 1):
        for graph in (before, after):
            expected = interpret(graph, feeds)
            for name, found in zip(graph.outputs, litert(graph, feeds), strict=True):
                np.testing.assert_array_equal(found, expected[name])
    assert same(transformed(after, f"cluster(size={size})"), after)
