"""Every transform against TensorFlow: outputs before and after, and that twice is once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tool_graphs as graphs
from tensorflow_models import tensorflow

from budget.errors import BudgetError
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.registry import TRANSFORMS, find

RNG = np.random.default_rng(5)
Make = Callable[[Any], Any]


def draw(*shape: int) -> Any:
    """Positive values, of which a half is not near the other."""
    return (np.abs(RNG.normal(size=shape)) + 0.1).astype(np.float32)


def _network(tf: Any) -> None:
    """A graph as it was written in 2016, with something in it for every transform."""
    raw = tf.raw_ops if hasattr(tf, "raw_ops") else None
    assert raw is not None
    with tf.device("/cpu:0"):
        x = tf.placeholder(tf.float32, (1, 6, 7, 3), name="x")
    head = tf.identity(tf.debugging.check_numerics(x, "bad"), name="head")
    with tf.control_dependencies([head]):
        conv = tf.nn.conv2d(head, tf.constant(draw(3, 3, 3, 8), name="w"), 1, "SAME", name="conv")
    scale = tf.multiply(tf.constant(draw(8)), tf.constant(draw(8)), name="scale")
    y = tf.add(tf.multiply(conv, scale), tf.constant(draw(8)), name="shifted")
    depthwise = tf.nn.depthwise_conv2d(y, tf.constant(draw(3, 3, 8, 2)), [1, 1, 1, 1], "SAME")
    y = tf.nn.bias_add(depthwise, tf.constant(draw(16)))
    y = tf.nn.relu(tf.multiply(tf.constant(draw(1, 1, 1, 16)), y))
    bias = tf.nn.conv2d(y, tf.constant(draw(1, 1, 16, 4)), 1, "SAME") + tf.constant(draw(4))
    y, *_ = raw.FusedBatchNormV3(x=bias, scale=draw(4), offset=draw(4), mean=draw(4),
                                 variance=draw(4), epsilon=1e-3, is_training=False)  # fmt: skip
    twin = tf.reduce_mean(y, [1, 2]) + tf.reduce_mean(y, [1, 2], name="again")
    z = tf.matmul(twin, tf.constant(draw(4, 40)), name="dense") * tf.constant(draw(40))
    tf.identity(tf.matmul(z, tf.constant(draw(40, 30)), name="wide"), name="y")
    tf.sqrt(x, name="unused")


@cache
def network() -> tuple[NodeGraph, bytes, Any, Any]:
    """The graph, its file, an input and what TensorFlow makes of it."""
    built = graphs.graph_of(graphs.build(_network), ["x"], ["y"])
    data = built.with_nodes(reversed(built.nodes.values())).encode()  # files may be in any order
    x = np.random.default_rng(3).normal(size=(1, 6, 7, 3)).astype(np.float32)
    (y,) = graphs.execute(data, {"x": x}, ["y"])
    return graphs.graph_of(data, ["x"], ["y"]), data, x, y


# transform as asked for → largest change of an output over the output's own size
CASES: dict[str, float] = {
    "strip_unused_nodes": 0,
    "remove_nodes(op=Identity, op=CheckNumerics)": 0,
    "fold_constants": 1e-6,
    "fold_batch_norms": 1e-5,
    "fold_constants fold_batch_norms": 1e-5,
    "fold_old_batch_norms": 1e-5,
    "round_weights(num_steps=64)": 0.1,
    "quantize_weights(minimum_size=64)": 0.05,
    "obfuscate_names": 0,
    "obsfucate_names": 0,
    "merge_duplicate_nodes": 0,
    "sort_by_execution_order": 0,
    "remove_attribute(attribute_name=explicit_paddings)": 0,
    "remove_attribute(attribute_name=explicit_paddings, op_name=Conv2D)": 0,
    "rename_attribute(old_attribute_name=explicit_paddings, new_attribute_name=_p)": 0,
    "rename_op(old_op_name=Identity, new_op_name=Snapshot)": 0,
    "rename_node(old_node_name=conv, new_node_name=convolution)": 0,
    "remove_control_dependencies": 0,
    "remove_device": 0,
    'set_device(device="/cpu:0")': 0,
    'set_device(device="/cpu:0", if_default=true)': 0,
    "quantize_nodes": 0.2,
    "quantize_weights(minimum_size=64) quantize_nodes": 0.15,
    "quantize_nodes(input_min=-4, input_max=4, ignore_op=MatMul, ignore_op=Mul)": 0.35,
    "fold_constants add_default_attributes": 1e-6,
    "eight-bit": 0.2,
    "deploy": 1e-5,
    "missing-kernels": 1e-5,
    "file-size": 0.1,
}


@pytest.mark.parametrize("transforms", CASES)
def test_outputs_in_tensorflow(transforms: str) -> None:
    """TensorFlow computes the same before and after, as far as the transform's algebra says."""
    graph, _, x, y = network()
    after = graphs.apply(graph, transforms)
    assert after.encode() != graph.encode()
    if after.nodes["x"].attributes["dtype"].name == "QUINT8":
        x = np.clip(np.round((x + 4) * 255 / 8), 0, 255).astype(np.uint8)
        x = x.view(tensorflow().quint8.as_numpy_dtype)
    (found,) = graphs.execute(after.encode(), {"x": x}, ["y"])
    assert np.max(np.abs(found - y)) <= CASES[transforms] * np.max(np.abs(y))


# the eight-bit recipe folds in its second run the ranges of constants that its first wrote down
@pytest.mark.parametrize("transforms", [name for name in CASES if name != "eight-bit"])
def test_twice_is_once(transforms: str) -> None:
    """A transform finds nothing to do in what it left."""
    once = graphs.apply(network()[0], transforms)
    twice = graphs.apply(once, transforms)
    assert graphs.parse(twice.encode()) == graphs.parse(once.encode())


def test_every_transform_is_run() -> None:
    """None is registered without a run in TensorFlow, a second run, and a statement of algebra."""
    folder = Path(__file__).parent
    others = ("test_rewritten_forms.py", "test_graph_transforms.py")
    asked = " ".join([*CASES, *((folder / name).read_text() for name in others)])
    assert not [name for name in TRANSFORMS if not re.search(rf"\b{name}\b", asked)]
    # what a transform keeps is said where it is declared
    kinds = {kind for name in TRANSFORMS for kind in find(name)}
    assert len(kinds) == len(TRANSFORMS)
    for kind in kinds:
        assert kind.called in TRANSFORMS
        assert kind.__doc__ and len(kind.__doc__) > 30, kind


def test_untouched_nodes_keep_their_bytes() -> None:
    """The file comes back as it was, and of a changed one everything but the change."""
    graph, data, _, _ = network()
    assert graph.encode() == data
    after = graphs.apply(graph, "rename_node(old_node_name=conv, new_node_name=c)")
    touched = {n for n, node in graph.nodes.items() if "conv" in node.read_nodes} | {"conv"}
    for name, node in graph.nodes.items():
        if name not in touched:
            assert after.nodes[name].encode() is node.raw
    message = graphs.parse(after.encode())
    for node in message.node:
        if node.name == "c":
            node.name = "conv"
        node.input[:] = ["conv" if item == "c" else item for item in node.input]
    assert message == graphs.parse(data)


def test_text_form_is_the_same_graph() -> None:
    """A graph written as text is read as the same graph."""
    graph = network()[0]
    read = NodeGraph.decode(graph.encode(text=True), "test.pbtxt", ["x"], ["y"])
    assert graphs.parse(read.encode()) == graphs.parse(graph.encode())


def test_deploy_leaves_only_products() -> None:
    """Nothing of a batch norm is left, and nothing twice."""
    after = graphs.apply(network()[0], "deploy")
    assert set(graphs.ops(after)) == {
        *("Placeholder", "Const", "Conv2D", "DepthwiseConv2dNative", "BiasAdd", "Relu", "Mean"),
        *("AddV2", "MatMul", "Identity"),
    }
    assert graphs.ops(after).count("Mean") == 1
    assert graphs.ops(after).count("AddV2") == 1  # of the twins


def test_ignored_errors_keep_the_graph() -> None:
    """A transform that fails where that is to be ignored leaves what it got."""
    graph = graphs.graph_of(network()[1], ["head"], ["y"])
    with pytest.raises(BudgetError, match="have to be placeholders"):
        graphs.apply(graph, "fold_constants")
    assert graphs.apply(graph, "fold_constants(ignore_errors=true)") is graph


def test_sorting_can_be_the_old_one() -> None:
    """The old order, latest first, can run as well."""
    graph = network()[0]
    for compat in (False, True):
        after = graphs.apply(graph, "sort_by_execution_order", compat=compat)
        place = {name: index for index, name in enumerate(after.nodes)}
        assert set(place) == set(graph.nodes)
        for name, node in after.nodes.items():
            assert all(place[item] < place[name] for item in node.read_nodes)
