"""Every refusal of TensorFlow's loops and lists of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow_models

from budget.errors import CorruptModelError, UnsupportedModelError
from budget.graph import DType, Graph, GraphBuilder, TensorType
from budget.readers import tensorflow_loops as reader
from budget.readers.graphdef import read_graphdef
from budget.transforms.lower import lower, tensorflow_loops


def definition(call: Callable[[Any], Any]) -> Any:
    """A frozen graph of a function of a vector of four; its loops call functions."""

    def work() -> Any:
        tf = tensorflow_models.tensorflow()
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        function = tf.function(call).get_concrete_function(tf.TensorSpec((1, 4), tf.float32))
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
        return frozen.graph.as_graph_def()

    return tensorflow_models.quietly(work)


def graph_of(call: Callable[[Any], Any]) -> Graph:
    return read_graphdef(definition(call).SerializeToString(), "m.pb")


def negations(count: int) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        tf = tensorflow_models.tensorflow()
        return tf.while_loop(lambda i, y: i < count, lambda i, y: (i + 1, -y), (0, x))[1]

    return call


def until_small(x: Any) -> Any:
    tf = tensorflow_models.tensorflow()
    return tf.while_loop(lambda y: tf.reduce_sum(y) > 1, lambda y: (y / 2,), (x,))[0]


def test_a_loop_is_unrolled() -> None:
    lowered = lower(graph_of(negations(3)))
    assert [node.op for node in lowered.nodes].count("neg") in {1, 3}


def test_loops_that_are_endless_or_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedModelError, match="how often"):
        lower(graph_of(until_small))
    graph = graph_of(negations(5))
    monkeypatch.setattr(tensorflow_loops, "MAX_UNROLLED_NODES", 3)
    with pytest.raises(UnsupportedModelError, match="too long to unroll"):
        lower(graph)
    monkeypatch.setattr(tensorflow_loops, "MAX_TRIPS", 2)
    with pytest.raises(UnsupportedModelError, match="more than 2 times"):
        lower(graph)


def reserved(count: int) -> Any:
    tf = tensorflow_models.tensorflow()
    return tf.raw_ops.TensorListReserve(
        element_shape=[1, 4], num_elements=count, element_dtype=tf.float32
    )


def far_read(x: Any) -> Any:
    tf = tensorflow_models.tensorflow()
    return x + tf.raw_ops.TensorListGetItem(
        input_handle=reserved(3), index=7, element_shape=[1, 4], element_dtype=tf.float32
    )


def long_slices(x: Any) -> Any:
    tf = tensorflow_models.tensorflow()
    many = tf.concat([x, tf.zeros([29_999, 4])], 0)
    handle = tf.raw_ops.TensorListFromTensor(tensor=many, element_shape=[4])
    return x + tf.raw_ops.TensorListGetItem(
        input_handle=handle, index=7, element_shape=[4], element_dtype=tf.float32
    )


def far_write(x: Any) -> Any:
    tf = tensorflow_models.tensorflow()
    written = tf.raw_ops.TensorListSetItem(input_handle=reserved(3), index=7, item=x)
    return stacked(written)


def long(x: Any) -> Any:
    return x + stacked(reserved(30_000))[0]


def stacked(handle: Any) -> Any:
    tf = tensorflow_models.tensorflow()
    return tf.raw_ops.TensorListStack(
        input_handle=handle, element_shape=[1, 4], element_dtype=tf.float32
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (far_read, "element 7 of a list of 3"),
        (far_write, "element 7 of a list of 3"),
        (long, "a list of 30000 tensors"),
        (long_slices, "a list of 30000 tensors"),
    ],
)
def test_lists(call: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        lower(graph_of(call))


def test_bodies_that_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = definition(negations(3))
    for function in broken.library.function:
        function.ret.clear()
        del function.signature.output_arg[:]
    with pytest.raises(CorruptModelError, match="returns nothing"):
        read_graphdef(broken.SerializeToString(), "m.pb")
    whole = definition(negations(3)).SerializeToString()
    monkeypatch.setattr(reader, "_MAX_DEPTH", -1)
    with pytest.raises(CorruptModelError, match="nested without end"):
        read_graphdef(whole, "m.pb")


def test_a_list_reads_back_what_was_written() -> None:
    """The same raw operators within bounds."""
    from budget.ops.interpreter import run

    def call(x: Any) -> Any:
        tf = tensorflow_models.tensorflow()
        written = tf.raw_ops.TensorListSetItem(input_handle=reserved(3), index=1, item=x)
        return stacked(written)

    lowered = lower(graph_of(call))
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    found = run(lowered, {lowered.inputs[0]: x})[lowered.outputs[0]]
    np.testing.assert_array_equal(found, np.stack([0 * x, x, 0 * x]))


def test_a_cell_that_is_no_layer_is_unrolled() -> None:
    from budget.ops.interpreter import run

    def call(x: Any) -> Any:
        tf = tensorflow_models.tensorflow()
        steps = tf.raw_ops.TensorListFromTensor(
            tensor=tf.stack([x, x + 1, x + 2]), element_shape=[1, 4]
        )

        def step(i: Any, state: Any) -> Any:
            item = tf.raw_ops.TensorListGetItem(
                input_handle=steps, index=i, element_shape=[1, 4], element_dtype=tf.float32
            )
            return i + 1, item * state

        return tf.while_loop(lambda i, state: i < 3, step, (0, x))[1]

    lowered = lower(graph_of(call))
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    found = run(lowered, {lowered.inputs[0]: x})[lowered.outputs[0]]
    np.testing.assert_array_equal(found, x * x * (x + 1) * (x + 2))


def test_operands_that_list_no_shape() -> None:
    from budget.transforms.lower.tensorflow_evaluate import _integers

    builder = GraphBuilder("m", "tf")
    builder.input("x", TensorType((1, 4), DType.FLOAT32))
    builder.constant("shape", np.ones(1 << 17, np.int32))
    builder.node("tf.Reshape", ["x", "shape"], [builder.tensor("y", builder.tensors["x"].type)], {})
    builder.output("y")
    with pytest.raises(UnsupportedModelError, match="no list of integers"):
        lower(builder.build())
    with pytest.raises(ValueError, match="where a few are expected"):
        _integers(np.ones(1 << 17, np.int32))
