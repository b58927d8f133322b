"""The TensorFlow Lite writer: every canonical operator there and back, and LiteRT on results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ops.single_operator import build, seeded

from budget.errors import UnsupportedModelError
from budget.formats.tflite_schema import OPERATORS, OPTIONS, OPTIONS_2, fields_of
from budget.graph import DType, Graph, GraphBuilder, Node, QuantParams, TensorType, dump, verify
from budget.ops import registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.normalization import BatchNormAttributes, L2NormAttributes
from budget.ops.operator import NoAttributes, Padding
from budget.ops.pooling import PoolAttributes
from budget.readers.tflite import read_tflite
from budget.transforms.lower import lower
from budget.writers.tflite import write_tflite

NOT_IN_THE_FORMAT = {"batch_norm", "layer_norm", "simple_rnn", "gru"}
READ_ONLY = {"lstm", "svdf"}


def cases():
    for name in registry.names():
        operator = registry.get(name)
        for case in operator.cases():
            for dtype in case.dtypes:
                yield pytest.param(operator, case, dtype, id=f"{name}-{case.label}-{dtype}")


def near(value):
    return np.float32(value) if isinstance(value, float) else value


@pytest.mark.parametrize(("operator", "case", "dtype"), list(cases()))
def test_every_case_comes_back_as_it_went(operator, case, dtype) -> None:
    graph = build(operator, case, dtype, seeded(operator.name, case.label)).graph
    if operator.name in NOT_IN_THE_FORMAT | READ_ONLY:
        with pytest.raises(UnsupportedModelError, match="no TensorFlow Lite operator"):
            write_tflite(graph)
        return
    back = verify(lower(read_tflite(write_tflite(graph), "case")))
    node, expected = back.nodes[-1], graph.nodes[0]
    assert node.op == expected.op and node.outputs == expected.outputs
    if len(back.nodes) == 2:  # padding that is neither SAME nor VALID
        assert back.nodes[0].op == "pad" and node.attributes.padding == Padding()
        return
    assert node.inputs[: len(expected.inputs)] == expected.inputs
    for extra in node.inputs[len(expected.inputs) :]:  # a bias of zeros where there was none
        assert not back.tensors[extra].data.any()
    for field in getattr(type(expected.attributes), "__dataclass_fields__", {}):
        said, meant = getattr(node.attributes, field), getattr(expected.attributes, field)
        assert near(said) == near(meant), field
    for name in graph.tensors:
        tensor = back.tensors[name]
        assert tensor.type == graph.tensors[name].type
        if tensor.data is not None:
            np.testing.assert_array_equal(tensor.data, graph.tensors[name].data)


def test_the_schema_is_tensorflows() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

    def numbers(enum: str) -> list[str]:
        members = {n: v for n, v in vars(getattr(schema, enum)).items() if isinstance(v, int)}
        assert sorted(members.values()) == list(range(len(members)))
        return sorted(members, key=members.__getitem__)

    assert numbers("BuiltinOperator") == list(OPERATORS)
    assert numbers("BuiltinOptions") == list(OPTIONS)
    assert numbers("BuiltinOptions2") == list(OPTIONS_2)
    for table in (
        *OPTIONS[1:],
        *OPTIONS_2[1:],
        "Tensor",
        "Operator",
        "SubGraph",
        "Buffer",
        "Model",
    ):
        ours = [field.name.replace("_", "") for field in fields_of(table)]
        theirs = vars(getattr(schema, table + "T")())
        # their object interface keeps both halves of a union, as ours does
        assert sorted(ours) == sorted(name.lower() for name in theirs), table
        for field in fields_of(table):
            if field.kind == "scalar":
                default = next(v for n, v in theirs.items() if n.lower() == ours[0])
                ours.pop(0)
                assert default == field.default, (table, field.name)
            else:
                ours.pop(0)


@pytest.fixture
def small() -> Graph:
    """A fully written int8 file, read back in its own dialect."""
    builder = GraphBuilder("small")
    quant = QuantParams.per_tensor
    builder.input("x", TensorType((1, 6, 6, 2), DType.INT8, quant(0.5, 3)))
    weights = np.arange(-27, 27, dtype=np.int8).reshape(3, 3, 3, 2)
    scales = np.array([0.1, 0.2, 0.3], np.float32)
    builder.constant("w", weights, QuantParams.per_channel(scales, 0))
    builder.tensor("y", TensorType((1, 6, 6, 3), DType.INT8, quant(0.9, -1)))
    around = ConvolutionAttributes(padding=Padding(1, 1, 1, 1))
    builder.node("conv_2d", ["x", "w"], ["y"], around)
    builder.tensor("z", TensorType((1, 6, 6, 3), DType.INT8, quant(0.9, -1)))
    builder.node("relu", ["y"], ["z"], NoAttributes())
    builder.output("z")
    return read_tflite(write_tflite(verify(builder.build())), "small.tflite")


def litert(data: bytes) -> np.ndarray:
    module = pytest.importorskip("ai_edge_litert.interpreter")
    made = module.Interpreter(
        model_content=data, experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF
    )
    made.allocate_tensors()
    detail = made.get_input_details()[0]
    values = np.random.default_rng(0).integers(-128, 128, detail["shape"])
    made.set_tensor(detail["index"], values.astype(np.int8))
    made.invoke()
    return made.get_tensor(made.get_output_details()[0]["index"])


def changed(graph: Graph, **attributes) -> Graph:
    node = graph.nodes[0]
    node = replace(node, attributes={**node.attributes, **attributes})
    return graph.replace(nodes=(node, *graph.nodes[1:]))


def test_an_unchanged_graph_gives_back_its_file(small: Graph) -> None:
    assert write_tflite(small) is small.extras["original"].data


def test_a_changed_graph_keeps_what_was_not_touched(small: Graph) -> None:
    data = write_tflite(changed(small))
    assert dump(read_tflite(data, "small.tflite")) == dump(small)
    np.testing.assert_array_equal(litert(data), litert(write_tflite(small)))


def test_a_changed_option_and_a_new_node_are_written(small: Graph) -> None:
    graph = changed(small, fused_activation_function="RELU6")
    type = graph.type_of("z")
    new = Node("n", "tfl.MAX_POOL_2D", ("z",), ("n",), {"filter_width": 1, "filter_height": 1,
        "stride_w": 1, "stride_h": 1, "padding": "SAME"})  # fmt: skip
    custom = Node("m", "tfl.CUSTOM", ("n",), ("m",), {"custom_code": "Mine"})
    tensors = dict(graph.tensors)
    for name in ("n", "m"):
        tensors[name] = replace(graph.tensors["z"], name=name, type=type)
    graph = graph.replace(nodes=(*graph.nodes, new), tensors=tensors, outputs=("n",))
    back = read_tflite(write_tflite(graph), "x")
    assert back.nodes[0].attributes["fused_activation_function"] == "RELU6"
    assert back.nodes[2].op == "tfl.MAX_POOL_2D" and back.outputs == ("n",)
    assert back.extras["signatures"]["serving_default"]["outputs"] == {"z": "z"}
    assert litert(write_tflite(graph)).min() >= -1
    graph = graph.replace(nodes=(*graph.nodes, custom), outputs=("m",))
    last = read_tflite(write_tflite(graph), "x").nodes[3]
    assert last.attributes["custom_code"] == "Mine"


def test_constants_that_nobody_uses_leave_the_file(small: Graph) -> None:
    big = replace(small.tensors["w"], name="big", data=np.zeros(100_000, np.int8),
        type=TensorType((100_000,), DType.INT8))  # fmt: skip
    with_big = small.replace(tensors={**small.tensors, "big": big})
    data = write_tflite(with_big)
    assert len(data) > 100_000
    graph = read_tflite(data, "x")
    tensors = {name: t for name, t in graph.tensors.items() if name != "big"}
    assert len(write_tflite(graph.replace(tensors=tensors))) < 5_000


def test_what_cannot_be_rewritten_is_listed(small: Graph) -> None:
    graph = changed(small, unknown_fields=True)
    odd = Node("odd", "tfl.NOT_THERE", ("z",), ("odd",), {})
    tensors = {**small.tensors, "odd": replace(small.tensors["z"], name="odd")}
    graph = graph.replace(nodes=(*graph.nodes, odd), tensors=tensors)
    graph = graph.replace(subgraphs={"new": graph.replace(name="new", subgraphs={})})
    with pytest.raises(UnsupportedModelError) as caught:
        write_tflite(graph)
    assert "'new' is new" in caught.value.what
    assert "'odd'" in caught.value.what and "'y'" in caught.value.what


def test_everything_that_the_format_cannot_express_is_listed() -> None:
    builder = GraphBuilder("odd")
    type = TensorType((1, 8, 8, 2), DType.FLOAT32)
    builder.input("x", type)
    one = builder.constant("one", np.ones(2, np.float32))
    for name, op, inputs, attributes in (
        ("a", "batch_norm", ["x", one, one, one, one], BatchNormAttributes()),
        ("b", "l2_norm", ["a"], L2NormAttributes(0.5)),
        ("c", "average_pool_2d", ["b"], PoolAttributes((3, 3), padding=Padding(2, 0, 2, 0))),
    ):
        builder.tensor(name, type)
        builder.node(op, inputs, [name], attributes)
    builder.tensor("huge", TensorType((1,), DType.VARIANT))
    builder.output("c")
    with pytest.raises(UnsupportedModelError) as caught:
        write_tflite(verify(builder.build()))
    for name in ("'a' (batch_norm)", "'b' (l2_norm)", "'c' (average_pool_2d)"):
        assert name in caught.value.what


def test_another_dialect_is_refused(small: Graph) -> None:
    with pytest.raises(UnsupportedModelError, match="dialect 'tf'") as caught:
        write_tflite(small.replace(dialect="tf"))
    assert "lower" in caught.value.hint


def test_a_failure_leaves_the_old_file(small: Graph, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write_tflite(small, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_file_is_as_open_as_any_new_one(small: Graph, tmp_path: Path) -> None:
    path, other = tmp_path / "a.tflite", tmp_path / "other"
    other.touch()
    write_tflite(small, path)
    assert path.stat().st_mode == other.stat().st_mode
