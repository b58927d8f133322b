from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow_models as models

from budget.errors import UnsupportedModelError
from budget.graph import DType, GraphBuilder, GraphEditor, Node, TensorType
from budget.readers.graphdef import read_graphdef
from budget.writers.graphdef import write_graphdef


@pytest.mark.parametrize("name", ["convolutions", "attention", "shapes"])
def test_what_is_untouched_comes_back_byte_for_byte(name: str) -> None:
    data, _, _ = models.frozen(name)
    assert write_graphdef(read_graphdef(data, name)) == data


def test_changed_nodes_keep_what_a_graph_does_not_model() -> None:
    tf = models.tensorflow()
    with tf.Graph().as_default() as made, tf.device("/cpu:0"):
        x = tf.compat.v1.placeholder(tf.float32, (1, 3), name="x")
        y = tf.nn.relu(x, name="y")
        tf.add(y, tf.constant([1.0, 2.0, 3.0], name="c"), name="z")
    data = made.as_graph_def().SerializeToString()
    graph = read_graphdef(data, "m")
    editor = GraphEditor(graph)
    new = editor.add_tensor("twice", graph.type_of("y"))
    editor.redirect("y", new)
    editor.add_node(Node("twice", "tf.AddV2", ("y", "y"), (new,), {"T": 1}))
    editor.tensors["c"] = replace(editor.tensors["c"], data=np.full(3, 7, np.float32))
    editor.nodes["twice"] = replace(
        editor.nodes["twice"],
        inputs=("y", "y"),
        attributes={"T": graph.nodes_by_name["y"].attributes["T"]},
        control_inputs=("y",),
    )
    edited = editor.finish()
    parsed = tf.compat.v1.GraphDef.FromString(write_graphdef(edited))
    nodes = {node.name: node for node in parsed.node}
    original = {node.name: node for node in made.as_graph_def().node}
    assert nodes["y"] == original["y"] and nodes["x"] == original["x"]
    assert list(nodes["twice"].input) == ["y", "y", "^y"]
    assert nodes["z"].input[0] == "twice"
    assert nodes["z"].device == original["z"].device != ""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(parsed, name="")
        result = session.run("z:0", {"x:0": [[1.0, -1.0, 2.0]]})
    np.testing.assert_array_equal(result, [[9, 7, 11]])


def test_a_graph_made_from_nothing_can_be_written() -> None:
    tf = models.tensorflow()
    builder = GraphBuilder("made", "tf")
    builder.input("x", TensorType((1, 2), DType.FLOAT32))
    builder.constant("c", np.array([2, 3], np.float32))
    builder.tensor("y", TensorType((1, 2), DType.FLOAT32))
    from budget.formats.tensorflow_schema import DataType

    builder.node("tf.Mul", ["x", "c"], ["y"], {"T": DataType.FLOAT})
    builder.output("y")
    parsed = tf.compat.v1.GraphDef.FromString(write_graphdef(builder.build()))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(parsed, name="")
        np.testing.assert_array_equal(session.run("y:0", {"x:0": [[5.0, 7.0]]}), [[10, 21]])


def test_other_dialects_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="'canonical'"):
        write_graphdef(GraphBuilder("made").build())
