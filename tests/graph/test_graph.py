"""Graphs: building, editing, verifying, and their text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.errors import InvalidGraphError
from budget.graph import (
    DType,
    Graph,
    GraphBuilder,
    GraphEditor,
    Node,
    QuantParams,
    Tensor,
    TensorType,
    dump,
    verify,
)

F32 = DType.FLOAT32


def chain(length: int) -> Graph:
    """x → relu → relu → …"""
    builder = GraphBuilder("chain")
    name = builder.input("x", TensorType((1, 4), F32))
    for index in range(length):
        out = builder.tensor(f"t{index}", TensorType((1, 4), F32))
        builder.node("relu", [name], [out])
        name = out
    builder.output(name)
    return builder.build()


def test_sizes_of_types() -> None:
    assert TensorType((2, 3), DType.INT16).size_bytes == 12
    assert TensorType((), F32).element_count == 1
    assert TensorType((3,), DType.INT4).size_bytes == 2
    assert TensorType((3,), DType.STRING).size_bytes == 0
    assert TensorType((2,), DType.INT8).with_shape((7,)).shape == (7,)


def test_quantisation_compares_by_value() -> None:
    one, same = QuantParams.per_tensor(0.5, 3), QuantParams.per_tensor(0.5, 3)
    assert one == same and hash(one) == hash(same)
    assert one != QuantParams.per_tensor(0.25, 3)
    assert one != QuantParams.per_channel(np.array([0.5], np.float32), 0)
    assert TensorType((1,), DType.INT8, one) == TensorType((1,), DType.INT8, same)
    assert not TensorType((1,), F32, one).is_quantized


def test_producers_and_consumers() -> None:
    graph = chain(3)
    assert graph.producers["t1"].inputs == ("t0",)
    assert [node.outputs[0] for node in graph.consumers["t0"]] == ["t1"]
    assert graph.nodes_by_name["t2"].op == "relu"
    assert graph.constant("") is None


def test_names_are_made_unique() -> None:
    builder = GraphBuilder("names")
    builder.tensor("a", TensorType((1,), F32))
    assert builder.unique_name("a") == "a_1"
    builder.tensor("a_1", TensorType((1,), F32))
    assert builder.unique_name("a") == "a_2"
    editor = GraphEditor(chain(1))
    assert editor.unique_name("t0") == "t0_1"


@given(st.integers(1, 30), st.data())
def test_removing_nodes_of_a_chain_keeps_it_valid(length: int, data: st.DataObject) -> None:
    editor = GraphEditor(chain(length))
    removed = data.draw(st.sets(st.integers(0, length - 1), max_size=length - 1))
    for index in sorted(removed):
        node = editor.nodes[f"t{index}"]
        editor.redirect(node.outputs[0], node.inputs[0])
        editor.remove_node(node.name)
    graph = verify(editor.finish())
    assert len(graph.nodes) == length - len(removed)
    assert set(graph.tensors) == {"x", *(n.outputs[0] for n in graph.nodes)}


def test_new_nodes_find_their_place() -> None:
    graph = chain(3)
    editor = GraphEditor(graph)
    out = editor.add_tensor("between", TensorType((1, 4), F32))
    scale = editor.add_constant("scale", np.ones((1, 4), np.float32))
    reader = editor.nodes["t1"]
    editor.replace_node("t1", replace(reader, inputs=(out,)))
    editor.add_node(Node("between", "mul", ("t0", scale), (out,)))
    finished = verify(editor.finish())
    assert [node.name for node in finished.nodes] == ["t0", "between", "t1", "t2"]
    assert editor.only_consumer(out).name == "t1"
    assert editor.only_consumer("t2") is None, "the caller reads it"


def test_a_node_cannot_be_added_twice() -> None:
    editor = GraphEditor(chain(1))
    with pytest.raises(InvalidGraphError, match="exists already"):
        editor.add_node(editor.nodes["t0"])


def test_a_cycle_is_found_when_the_graph_is_finished() -> None:
    editor = GraphEditor(chain(2))
    editor.replace_node("t0", replace(editor.nodes["t0"], inputs=("t1",)))
    with pytest.raises(InvalidGraphError, match="cycle"):
        editor.finish()


def test_unused_nodes_go_but_state_stays() -> None:
    builder = GraphBuilder("state")
    builder.input("x", TensorType((1,), F32))
    builder.tensor("memory", TensorType((1,), F32), is_variable=True)
    builder.tensor("unused", TensorType((1,), F32))
    builder.tensor("y", TensorType((1,), F32))
    builder.node("relu", ["x"], ["unused"])
    builder.node("relu", ["x"], ["memory"], name="keep")
    builder.node("relu", ["memory"], ["y"], control_inputs=["keep"])
    builder.output("y")
    finished = GraphEditor(builder.build()).finish()
    assert [node.name for node in finished.nodes] == ["keep", "y"]


def broken(**changes: object) -> Graph:
    return chain(2).replace(**changes)


T = TensorType((1, 4), F32)
WRONG = np.zeros((1, 3), np.float32)
BROKEN = {
    "stored as": broken(tensors={**chain(2).tensors, "z": Tensor("a", T)}),
    "has shape": broken(tensors={**chain(2).tensors, "c": Tensor("c", T, WRONG)}),
    "has elements": broken(
        tensors={**chain(2).tensors, "c": Tensor("c", T, np.zeros((1, 4), np.int8))}
    ),
    "unknown dimension": broken(
        tensors={**chain(2).tensors, "c": Tensor("c", TensorType((-1,), F32))}
    ),
    "before it is computed": broken(nodes=chain(2).nodes[::-1]),
    "does not exist": broken(nodes=(Node("n", "relu", ("nothing",), ("t0",)),)),
    "two nodes": broken(nodes=(*chain(2).nodes, chain(2).nodes[1])),
    "two producers": broken(nodes=(*chain(2).nodes, Node("n", "relu", ("x",), ("t1",)))),
    "which is not before it": broken(
        nodes=(Node("n", "relu", ("x",), ("t0",), control_inputs=("later",)), chain(2).nodes[1])
    ),
    "never computed": broken(nodes=chain(2).nodes[:1]),
    "runs 'body'": broken(
        nodes=(replace(chain(2).nodes[0], subgraphs=("body",)), chain(2).nodes[1])
    ),
}


@pytest.mark.parametrize(("words", "graph"), BROKEN.items(), ids=BROKEN.keys())
def test_broken_graphs_are_told_apart(words: str, graph: Graph) -> None:
    with pytest.raises(InvalidGraphError, match=words):
        verify(graph)


def test_equal_graphs_have_equal_text() -> None:
    assert dump(chain(3)) == dump(chain(3))
    assert dump(chain(3)) != dump(chain(4))
    builder = GraphBuilder("text")
    builder.input("x", TensorType((1, 2), DType.INT8, QuantParams.per_tensor(0.5, -3)))
    scales = QuantParams.per_channel(np.array([0.1, 0.2], np.float32), 0)
    builder.constant("w", np.zeros((2, 2), np.int8), scales)
    builder.tensor("memory", TensorType((1,), F32), is_variable=True)
    builder.tensor("y", TensorType((1, 2), DType.INT8))
    attributes = {"name": "a", "raw": b"\x00", "table": np.arange(3)}
    builder.node("thing", ["x", "", "w"], ["y"], attributes, subgraphs=["body"])
    builder.subgraphs["body"] = chain(1)
    builder.output("y")
    text = dump(builder.build())
    for part in ("q(0.5, -3)", "q(2 scales on axis 0)", "variable memory", "thing(x, -, w)"):
        assert part in text
    assert "runs body" in text and "graph 'chain'" in text
