from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import tensorflow_models as models
from hypothesis import given
from hypothesis import strategies as st

from budget.errors import (
    CorruptModelError,
    ModelError,
    UnsupportedModelError,
    UsageError,
)
from budget.formats.protobuf_text import format_text, parse_text
from budget.formats.tensorflow_schema import GRAPH_DEF, NODE_DEF, SCHEMAS, DataType
from budget.formats.tensorflow_values import (
    FunctionName,
    PlaceholderName,
    Shape,
    TensorValue,
    decode_attribute,
    decode_shape,
    decode_tensor,
    encode_attribute,
    encode_tensor,
    graph_dtype,
)
from budget.graph import DType, verify
from budget.ops.interpreter import run
from budget.readers.graphdef import is_text_graphdef, read_graphdef
from budget.transforms.lower import lower
from budget.writers.graphdef import write_graphdef

FLOAT = DataType.FLOAT


def node(name: str, op: str, *inputs: str, **attributes: Any) -> bytes:
    encoded = {key: encode_attribute(value) for key, value in attributes.items()}
    return NODE_DEF.new(name=name, op=op, input=list(inputs), attr=encoded).encode()


def placeholder(name: str = "x", *shape: int) -> bytes:
    return node(name, "Placeholder", dtype=FLOAT, shape=Shape(shape))


def constant(name: str, values: Any) -> bytes:
    array = np.asarray(values)
    dtype = FLOAT if array.dtype.kind == "f" else DataType.INT32
    array = array.astype(np.float32 if dtype is FLOAT else np.int32)
    return node(name, "Const", dtype=dtype, value=TensorValue(dtype, array))


def graph_def(*nodes: bytes) -> bytes:
    return GRAPH_DEF.new(node=list(nodes)).encode()


def test_nodes_constants_and_ports() -> None:
    data = graph_def(
        node("second", "Neg", "halves:1", T=FLOAT),  # in no particular order
        node("halves", "Split", "axis", "x", "^wait", num_split=2, T=FLOAT),
        node("wait", "NoOp"),
        constant("axis", 1),
        placeholder("x", -1, 4),
        node("odd", "MyOwnOp", "halves", answer=42, T=FLOAT),
    )
    graph = verify(read_graphdef(data, "m.pb"))
    assert graph.inputs == ("x",) and set(graph.outputs) == {"second", "odd"}
    assert graph.type_of("x").shape == (1, 4)
    assert "taken as 1" in graph.source.notes[0]
    halves = graph.nodes_by_name["halves"]
    assert halves.outputs == ("halves", "halves:1") and halves.control_inputs == ("wait",)
    assert graph.nodes_by_name["odd"].attributes["answer"] == 42
    assert int(graph.constant("axis")) == 1
    assert write_graphdef(graph) == data


def test_inputs_and_outputs_cut_a_graph() -> None:
    data = graph_def(
        node("file", "Placeholder", dtype=DataType.STRING, shape=Shape(())),
        node("decode", "DecodeJpeg", "file", channels=3),
        node("cast", "Cast", "decode", SrcT=DataType.UINT8, DstT=FLOAT),
        node("y", "Relu", "cast", T=FLOAT),
        node("z", "Neg", "y", T=FLOAT),
    )
    with pytest.raises(UnsupportedModelError, match=r"tf\.DecodeJpeg"):
        lower(read_graphdef(data, "m", input_shapes={"file": ()}))
    graph = read_graphdef(data, "m", ["cast:0"], ["y"], {"cast": (1, 2, 2, 3)})
    assert [n.op for n in lower(graph).nodes] == ["relu"]
    with pytest.raises(UsageError, match="no node called 'cas'") as caught:
        read_graphdef(data, "m", ["cas"])
    assert "cast" in caught.value.hint
    with pytest.raises(UsageError, match="not an input"):
        read_graphdef(data, "m", ["cast"], ["y"], {"y": (1,)})
    with pytest.raises(UnsupportedModelError, match=r"shape of cast .* is open") as opened:
        read_graphdef(data, "m", ["cast"], ["y"])
    assert "--input-shape" in opened.value.hint


def test_open_dimensions_are_listed_together() -> None:
    data = graph_def(
        node("a", "Placeholder", dtype=FLOAT, shape=Shape((-1, -1, 3))),
        node("b", "Placeholder", dtype=FLOAT, shape=Shape(None)),
        node("c", "AddV2", "a", "b", T=FLOAT),
    )
    with pytest.raises(UnsupportedModelError) as caught:
        read_graphdef(data, "m")
    assert "a ([?, ?, 3])" in str(caught.value) and "b (unknown rank)" in str(caught.value)


def test_unsound_graphs_are_refused() -> None:
    with pytest.raises(CorruptModelError, match="lacks its name"):
        read_graphdef(graph_def(node("", "Neg")), "m")
    with pytest.raises(CorruptModelError, match="two nodes are called"):
        read_graphdef(graph_def(placeholder(), placeholder()), "m")
    with pytest.raises(CorruptModelError, match="'gone' does not exist"):
        read_graphdef(graph_def(node("y", "Neg", "gone")), "m")
    with pytest.raises(CorruptModelError, match="not the name of a tensor"):
        read_graphdef(graph_def(placeholder("x", 1), node("y", "Neg", "x:one")), "m")
    cyclic = graph_def(node("a", "Neg", "b"), node("b", "Neg", "a"), node("c", "Neg", "a"))
    with pytest.raises(CorruptModelError, match="waits for itself"):
        read_graphdef(cyclic, "m")
    loop = graph_def(
        node("m", "Merge", "n"), node("n", "NextIteration", "m"), node("out", "Exit", "m")
    )
    with pytest.raises(UnsupportedModelError, match="loop made of single nodes: n"):
        read_graphdef(loop, "m")
    with pytest.raises(UnsupportedModelError, match="looks like an output"):
        read_graphdef(graph_def(placeholder("x", 1)), "m")


def test_impossible_constants_are_refused() -> None:
    def tensor(**values: Any) -> Any:
        dims = [SCHEMAS["Dim"].new(size=extent) for extent in values.pop("shape", ())]
        shape = SCHEMAS["TensorShapeProto"].new(dim=dims)
        return SCHEMAS["TensorProto"].new(tensor_shape=shape, **values)

    cases = [
        (tensor(dtype=77), "element type 77"),
        (tensor(dtype=int(DataType.COMPLEX128)), "COMPLEX128 are not known"),
        (tensor(dtype=1, shape=(-1,)), "no definite shape"),
        (tensor(dtype=1, shape=(-5,)), "is impossible"),
        (tensor(dtype=1, shape=(1 << 20, 1 << 20)), "too large"),
        (tensor(dtype=1, shape=(3,), tensor_content=b"abcdabcd"), "holds 2 values"),
        (tensor(dtype=1, shape=(1,), tensor_content=b"abc"), "not whole elements"),
        (tensor(dtype=14, shape=(1,), tensor_content=b"abc"), "inside an element"),
    ]
    for message, match in cases:
        with pytest.raises(CorruptModelError, match=match):
            decode_tensor(message, "m")
    with pytest.raises(CorruptModelError, match="is impossible"):
        decode_shape(SCHEMAS["TensorShapeProto"].new(dim=[SCHEMAS["Dim"].new(size=-2)]), "m")
    with pytest.raises(CorruptModelError, match="FLOAT8_E5M2"):
        graph_dtype(DataType.FLOAT8_E5M2, "m")


def test_a_huge_repeated_value_takes_no_memory() -> None:
    dims = [SCHEMAS["Dim"].new(size=1 << 30)]
    shape = SCHEMAS["TensorShapeProto"].new(dim=dims)
    value = decode_tensor(
        SCHEMAS["TensorProto"].new(dtype=1, tensor_shape=shape, float_val=[2.5]), "m"
    )
    assert value.array.shape == (1 << 30,) and value.array.strides == (0,)


@pytest.mark.parametrize(
    "dtype",
    [DataType.FLOAT, DataType.DOUBLE, DataType.HALF, DataType.BFLOAT16, DataType.INT32,
     DataType.INT64, DataType.INT8, DataType.UINT8, DataType.UINT32, DataType.UINT64,
     DataType.BOOL, DataType.COMPLEX64, DataType.STRING],
)  # fmt: skip
def test_tensors_agree_with_tensorflow(dtype: DataType) -> None:
    tf = models.tensorflow()
    values = [[b"a", b"bc"]] if dtype is DataType.STRING else [[1, 0], [3, 3]]
    if dtype is DataType.BOOL:
        values = [[True, False], [True, True]]
    theirs = tf.constant(values, tf.dtypes.as_dtype(int(dtype)))
    for array in (theirs, theirs[:1]):
        proto = tf.make_tensor_proto(array)
        decoded = decode_tensor(SCHEMAS["TensorProto"].decode(proto.SerializeToString()), "m")
        expected = array.numpy()
        if dtype is DataType.BFLOAT16:
            expected = expected.astype(np.float32)
        np.testing.assert_array_equal(decoded.array, expected)
        back = type(proto).FromString(encode_tensor(decoded).encode())
        np.testing.assert_array_equal(tf.make_ndarray(back), array.numpy())
    listed = tf.compat.v1.make_tensor_proto(theirs[0]) if dtype is DataType.STRING else None
    assert listed is None or listed.string_val


def test_values_that_repeat_to_the_end() -> None:
    for dtype, field, expected in [
        (DataType.FLOAT, "float_val", [1, 2, 2]), (DataType.INT8, "int_val", [1, 2, 2]),
        (DataType.INT64, "int64_val", [1, 2, 2]),
    ]:  # fmt: skip
        shape = SCHEMAS["TensorShapeProto"].new(dim=[SCHEMAS["Dim"].new(size=3)])
        message = SCHEMAS["TensorProto"].new(dtype=int(dtype), tensor_shape=shape)
        setattr(message, field, [1, 2])
        np.testing.assert_array_equal(decode_tensor(message, "m").array, expected)
        message.values.pop(field)
        np.testing.assert_array_equal(decode_tensor(message, "m").array, [0, 0, 0])


@pytest.mark.parametrize(
    "value",
    [b"text", 7, -1, True, 0.5, DataType.HALF, Shape((1, -1)), Shape(None), (), (1, 2),
     (b"a",), (True, False), (DataType.INT8,), (Shape((2,)),), PlaceholderName("T"), None,
     FunctionName("f", {"T": DataType.INT8})],
)  # fmt: skip
def test_attributes_survive_the_way_there_and_back(value: Any) -> None:
    assert decode_attribute(encode_attribute(value), "m") == value


def test_text_and_binary_are_the_same() -> None:
    data, x, expected = models.frozen("convolutions")
    graph = read_graphdef(data, "m")
    text = write_graphdef(graph, text=True)
    assert is_text_graphdef(text) and not is_text_graphdef(data)
    # TensorFlow's own parser and printer are the witnesses
    tf = models.tensorflow()
    from google.protobuf import text_format

    parsed = text_format.Parse(text.decode(), tf.compat.v1.GraphDef())
    original = tf.compat.v1.GraphDef.FromString(data)
    assert parsed == original
    again = lower(read_graphdef(text_format.MessageToString(original).encode(), "m"))
    np.testing.assert_allclose(
        run(again, {again.inputs[0]: x})[again.outputs[0]], expected, rtol=1e-5, atol=1e-5
    )


def test_liberties_of_the_text_form() -> None:
    text = b"""# a comment
        node < name: 'a' "b" op: "Const"; device: "\\101\\x42\\n"
        unknown { deep { x: 1 } y: [2, 3] }
        attr { key: "dtype", value: { type: DT_FLOAT_REF } }
        attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 3 } }
        float_val: [1.5f, inf, -2e3] } } } attr { key: "b" value { b: true } }
        attr { key: "i" value { list { i: 0x10 i: 010 i: -3 } } } >
        versions { producer: 22 }  # the end"""
    message = parse_text(GRAPH_DEF, text)
    decoded = NODE_DEF.decode(message.node[0])
    assert (decoded.name, decoded.device) == ("ab", "AB\n")
    assert decoded.attr["dtype"].type == 101
    assert decode_attribute(decoded.attr["i"], "") == (16, 8, -3)
    values = decode_attribute(decoded.attr["value"], "").array
    np.testing.assert_array_equal(values, [1.5, np.inf, -2000])
    again = parse_text(GRAPH_DEF, format_text(message).encode())
    assert again == message


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"node \xff", "not UTF-8"),
        (b"node { name: ~ }", "cannot read"),
        (b"node { : }", "field name is missing"),
        (b"node { name: } }", "value is missing"),
        (b"node { attr { other: 1 } }", "a map entry has"),
        (b'version: "x"', "is not text"),
        (b"version: maybe", "'maybe' is not a value"),
        (b"node {" + b" a {" * 100, "nested more than"),
    ],
)
def test_unsound_text_is_refused(text: bytes, match: str) -> None:
    with pytest.raises(CorruptModelError, match=match):
        parse_text(GRAPH_DEF, text, "m.pbtxt")


@given(st.binary(max_size=60))
def test_any_bytes_survive_the_text_form(data: bytes) -> None:
    message = SCHEMAS["AttrValue"].new(s=data)
    assert parse_text(SCHEMAS["AttrValue"], format_text(message).encode()) == message


def test_the_batch_norm_of_2015() -> None:
    rng = np.random.default_rng(0)
    mean, variance, beta, gamma = (rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4))
    data = graph_def(
        placeholder("x", 1, 2, 2, 3),
        *(constant(n, v) for n, v in zip("mvbg", (mean, variance, beta, gamma))),
        node("y", "BatchNormWithGlobalNormalization", "x", "m", "v", "b", "g", T=FLOAT,
             variance_epsilon=0.001, scale_after_normalization=True),
    )  # fmt: skip
    x = rng.normal(size=(1, 2, 2, 3)).astype(np.float32)
    expected = (x - mean) / np.sqrt(variance + 0.001) * gamma + beta
    for as_is in (True, False):
        lowered = lower(read_graphdef(data, "m"), as_is=as_is)
        assert ("batch_norm" in {n.op for n in lowered.nodes}) is as_is
        np.testing.assert_allclose(run(lowered, {"x": x})["y"], expected, rtol=1e-5)


def test_nodes_that_make_no_sense_are_told_with_their_names() -> None:
    def attempt(match: str, *nodes: bytes) -> None:
        with pytest.raises(ModelError, match=match) as caught:
            lower(read_graphdef(graph_def(placeholder("x", 1, 4, 4, 2), *nodes), "m"))
        assert "'y'" in str(caught.value)

    reshape = node("y", "Reshape", "x", "s", T=FLOAT)
    attempt("does not reshape", constant("s", [5]), reshape)
    attempt("computed during inference", node("s", "Cast", "x", DstT=DataType.INT32), reshape)
    attempt("are not all 1", node("y", "Squeeze", "x", squeeze_dims=(1,)))
    attempt("not divide", constant("a", 1), node("y", "Split", "a", "x", num_split=3))
    attempt("does not fit", *(constant(n, [9]) for n in "bes"),
            node("y", "StridedSlice", "x", "b", "e", "s", shrink_axis_mask=1))  # fmt: skip
    attempt("cannot be repeated", constant("r", [1, 1, 1, 0]), node("y", "Tile", "x", "r"))
    attempt("four entries", node("y", "MaxPool", "x", ksize=(2,), strides=(2,)))
    attempt("across batch", node("y", "MaxPool", "x", ksize=(2, 1, 1, 1), strides=(1, 1, 1, 1)))
    attempt("four dimensions", node("f", "Reshape", "x", "s"), constant("s", [32]),
            node("y", "BiasAdd", "f", "f", data_format=b"NCHW"))  # fmt: skip
    attempt("eight entries", constant("w", np.ones((1, 1, 2, 2))),
            node("y", "Conv2D", "x", "w", strides=(1, 1, 1, 1), padding=b"EXPLICIT"))  # fmt: skip
    attempt("with dilation", constant("s", [1, 4, 4, 2]), constant("w", np.ones((1, 1, 2, 2))),
            node("y", "Conv2DBackpropInput", "s", "w", "x", strides=(1, 1, 1, 1),
                 dilations=(1, 2, 2, 1)))  # fmt: skip
    attempt("divisor may be zero", node("y", "DivNoNan", "x", "x"))
    attempt("not a product", node("y", "Einsum", "x", "x", equation=b"nhhc,nhwc->w"))
    attempt("make no sense", node("y", "Conv2D", "x"))


def test_several_bad_nodes_are_told_together() -> None:
    data = graph_def(
        placeholder("x", 1, 4),
        node("a", "Squeeze", "x", squeeze_dims=(1,)),
        node("b", "Squeeze", "x", squeeze_dims=(1,)),
    )
    with pytest.raises(UnsupportedModelError, match=r"'a'.*'b'"):
        lower(read_graphdef(data, "m"))


def test_an_output_that_is_constant_or_never_taken() -> None:
    data = graph_def(constant("c", [1.0, 2.0]), node("y", "Neg", "c", T=FLOAT))
    lowered = verify(lower(read_graphdef(data, "m")))
    np.testing.assert_array_equal(lowered.constant(lowered.outputs[0]), [-1, -2])
    dead = graph_def(
        placeholder("x", 2), constant("p", 1), node("s", "Switch", "x", "p"), node("y", "Neg", "s")
    )
    with pytest.raises(UnsupportedModelError, match="never computed"):
        lower(read_graphdef(dead, "m"))


def test_damage_gives_one_clear_error() -> None:
    original, _, _ = models.frozen("convolutions")
    rng, corrupt = random.Random(3), 0
    for _ in range(150):
        data = models.damaged(original, rng)
        try:
            lower(read_graphdef(data, "m"))
        except ModelError as error:
            corrupt += isinstance(error, CorruptModelError)
    assert corrupt > 50


def test_dtypes_of_outputs_follow_the_attributes() -> None:
    data = graph_def(
        placeholder("x", 2),
        node("i", "Cast", "x", SrcT=FLOAT, DstT=DataType.INT32),
        node("u", "Custom", "i", Tout=(DataType.INT8, FLOAT), _output_shapes=(Shape((2,)),)),
    )
    graph = read_graphdef(data, "m")
    assert graph.type_of("i").dtype is DType.INT32
    assert graph.type_of("u").dtype is DType.INT8 and graph.type_of("u").shape == (2,)
    assert "i" in graph.extras["unknown_shapes"] and "u" not in graph.extras["unknown_shapes"]
