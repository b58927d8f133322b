"""The reader of TensorFlow Lite files: against TensorFlow's schema, damaged files, and odd ones."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.errors import CorruptModelError, UnsupportedModelError
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType, dump, verify
from budget.ops.operator import NoAttributes
from budget.readers.tflite import read_tflite
from budget.writers.flatbuffer import encode_model
from budget.writers.tflite import write_tflite

MODELS = ["kws_int8", "kws_float32", "vww_int8", "ic_int8", "ic_float", "ad_int8", "ad_float"]


def chain(length: int = 3) -> Graph:
    """relu after relu, with a constant added in front."""
    builder = GraphBuilder("chain")
    type = TensorType((1, 4), DType.INT8, QuantParams.per_tensor(0.5, 3))
    builder.input("t0", type)
    for index in range(length):
        builder.tensor(f"t{index + 1}", type)
        builder.node("relu", [f"t{index}"], [f"t{index + 1}"], NoAttributes())
    builder.output(f"t{length}")
    return verify(builder.build())


def model(**changes) -> dict:
    """The tables of a one-operator file, to be spoilt; a key a__b__0 goes down the tree."""
    tables = {
        "version": 3,
        "operator_codes": [{"builtin_code": 19, "deprecated_builtin_code": 19}],
        "buffers": [{}, {"data": b"\1\2\3\4"}],
        "subgraphs": [
            {
                "tensors": [
                    {"name": "x", "shape": [1, 4], "type": "int8"},
                    {"name": "y", "shape": [1, 4], "type": "int8"},
                    {"name": "c", "shape": [1, 4], "type": "int8", "buffer": 1},
                ],
                "inputs": [0],
                "outputs": [1],
                "operators": [{"opcode_index": 0, "inputs": [0], "outputs": [1]}],
            }
        ],
    }
    for path, value in changes.items():
        *way, last = path.split("__")
        place = tables
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        if last.isdigit():
            place[int(last)] = value
        else:
            place[last] = value
    return tables


def read(tables: dict) -> Graph:
    return verify(read_tflite(encode_model(tables), "m.tflite"))


@pytest.mark.parametrize("name", MODELS)
def test_tensors_and_operators_are_those_of_tensorflows_own_reader(models: Path, name: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    data = (models / f"{name}.tflite").read_bytes()
    graph = verify(read_tflite(data, name))
    interpreter = litert.Interpreter(
        model_content=data,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    tensors = list(graph.tensors.values())
    for index, tensor in enumerate(tensors):
        detail = details[index]
        assert tensor.name == detail["name"]
        assert tensor.type.shape == tuple(detail["shape"])
        assert tensor.type.dtype.numpy == detail["dtype"]
        expected = detail["quantization_parameters"]
        if tensor.type.quant is None:
            assert not len(expected["scales"])
        else:
            np.testing.assert_array_equal(tensor.type.quant.scale, expected["scales"])
            np.testing.assert_array_equal(tensor.type.quant.zero_point, expected["zero_points"])
            assert (tensor.type.quant.axis or 0) == expected["quantized_dimension"]
        if tensor.data is not None:
            np.testing.assert_array_equal(tensor.data, interpreter.tensor(index)())
            assert not tensor.data.flags.writeable and tensor.data.base is not None
    operators = interpreter._get_ops_details()
    assert [node.op for node in graph.nodes] == [f"tfl.{op['op_name']}" for op in operators]
    for node, op in zip(graph.nodes, operators):
        assert list(node.inputs) == [tensors[i].name if i >= 0 else "" for i in op["inputs"]]
    assert graph.source.format == "tflite" and "taken as 1" in graph.source.notes[0]


@pytest.mark.parametrize("name", ["kws_int8", "ic_int8"])
def test_options_are_those_of_tensorflows_schema(models: Path, name: str) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    data = (models / f"{name}.tflite").read_bytes()
    theirs = schema.ModelT.InitFromPackedBuf(data).subgraphs[0].operators
    for node, operator in zip(read_tflite(data, name).nodes, theirs, strict=True):
        options = operator.builtinOptions
        expected = {} if options is None else vars(options)
        expected = {key: value for key, value in expected.items() if value is not None}
        assert len(expected) == len(node.attributes)
        for (key, value), (other, said) in zip(expected.items(), node.attributes.items()):
            assert key.lower() == other.replace("_", "")
            if isinstance(said, str):  # a name stands for the number
                enum = {
                    "padding": "Padding",
                    "fused_activation_function": "ActivationFunctionType",
                    "weights_format": "FullyConnectedOptionsWeightsFormat",
                }
                names = vars(getattr(schema, enum.get(other, "TensorType")))
                said = names[said.upper()]
            assert np.array_equal(np.ravel(said), np.ravel(value)), (key, said, value)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_give_one_kind_of_error_and_quickly(seed: int) -> None:
    rng = random.Random(seed)
    sound = write_tflite(chain())
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        data = bytearray(sound)
        match rng.randrange(4):
            case 0:
                data = data[: rng.randrange(len(data))]
            case 1:
                for _ in range(rng.randrange(1, 6)):
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 2:
                data[rng.randrange(len(data))] = rng.randrange(256)
            case 3:
                place = rng.randrange(len(data) - 4) & ~3
                data[place : place + 4] = rng.choice(
                    [b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\0\0\0\0"]
                )
        start = time.perf_counter()
        try:
            verify(read_tflite(bytes(data), "x.tflite"))
            outcomes["read"] += 1
        except (CorruptModelError, UnsupportedModelError) as error:
            outcomes["refused"] += 1
            assert error.where.startswith("x.tflite") and error.hint
        assert time.perf_counter() - start < 1
    assert min(outcomes.values()) > 10


SPOILT = {
    "tensor 7 of 3": {"subgraphs__0__operators__0__inputs": [7]},
    "operator code 5 of 1": {"subgraphs__0__operators__0__opcode_index": 5},
    "before anything computes": {"subgraphs__0__operators__0__inputs": [1]},
    "computes 'x' once more": {"subgraphs__0__operators__0__outputs": [0]},
    "never computed": {"subgraphs__0__operators": []},
    "names an input twice": {"subgraphs__0__inputs": [0, 0]},
    "impossible shape": {"subgraphs__0__tensors__0__shape": [1, -7]},
    "impossible shape ": {"subgraphs__0__tensors__0__shape": [2**31 - 1] * 4},
    "needs 5 bytes; the file has 4": {"subgraphs__0__tensors__2__shape": [1, 5]},
    "buffer 9 of 2": {"subgraphs__0__tensors__2__buffer": 9},
    "outside the file": {"buffers__1__offset": 10**6, "buffers__1__size": 4},
    "element type 77": {"subgraphs__0__tensors__0__type": 77},
    "external buffer": {"subgraphs__0__tensors__0__external_buffer": 1},
    "no dimension": {"subgraphs__0__tensors__0__quantization": {"scale": [1.0, 2.0, 3.0]}},
    "zero points": {
        "subgraphs__0__tensors__0__quantization": {"scale": [1.0], "zero_point": [1, 2]}
    },
    "negative or not": {"subgraphs__0__tensors__0__quantization": {"scale": [float("nan")]}},
    "is negative": {"operator_codes__0": {"builtin_code": -3, "deprecated_builtin_code": -1}},
    "holds no graph": {"subgraphs": []},
    "runs graph 4 of 1": {
        "subgraphs__0__operators__0__builtin_options_type": 93,
        "subgraphs__0__operators__0__builtin_options": ("WhileOptions", {"body_subgraph_index": 4}),
    },
    "runs itself": {
        "subgraphs__0__operators__0__builtin_options_type": 93,
        "subgraphs__0__operators__0__builtin_options": ("WhileOptions", {}),
    },
    "is of graph 3 of 1": {"signature_defs": [{"signature_key": "a", "subgraph_index": 3}]},
    "cannot be a constant": {"subgraphs__0__tensors__2__type": "resource"},
    "too short for 4 strings": {"subgraphs__0__tensors__2__type": "string"},
    "hold 1 strings": {
        "subgraphs__0__tensors__2": {"name": "c", "shape": [1], "type": "string", "buffer": 1},
        "buffers__1": {"data": np.array([1, 12, 99], "<i4").tobytes()},
    },
    "refer to tensor 9": {"signature_defs": [{"inputs": [{"name": "x", "tensor_index": 9}]}]},
}


@pytest.mark.parametrize("said", SPOILT)
def test_an_inconsistent_file_is_told_apart(said: str) -> None:
    read(model())  # sound before it is spoilt
    with pytest.raises(CorruptModelError, match=said.strip()) as caught:
        read(model(**SPOILT[said]))
    assert caught.value.where == "m.tflite" and "damaged" in caught.value.hint


UNSUPPORTED = {
    "version 4": {"version": 4},
    "another file": {"external_buffers": [{"id": 1}]},
    "int2": {"subgraphs__0__tensors__0__type": "int2"},
    "blocks": {
        "subgraphs__0__tensors__0__quantization": {
            "details_type": 2,
            "details": ("BlockwiseQuantization", {"block_size": 32}),
        }
    },
}


@pytest.mark.parametrize("said", UNSUPPORTED)
def test_what_is_sound_but_not_read_is_said(said: str) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        read(model(**UNSUPPORTED[said]))


def test_a_file_that_refers_to_one_part_again_and_again_is_refused() -> None:
    operator = {"opcode_index": 0, "inputs": [0] * 20_000, "outputs": [1]}
    data = encode_model(model(subgraphs__0__operators=[operator] * 3))
    position = data.index(np.array([20_000, 0], "<u4").tobytes())
    vectors = [i for i in range(0, len(data) - 4, 4) if data[i : i + 8] == data[position:][:8]]
    assert len(vectors) == 3
    small = write_tflite(chain())
    assert len(small) < 5000
    # sixty thousand operators that are one operator
    count = 60_000
    tables = model(subgraphs__0__operators=[operator, *[{} for _ in range(count)]])
    data = bytearray(encode_model(tables))
    start = next(
        i for i in range(0, len(data), 4) if data[i : i + 4] == (count + 1).to_bytes(4, "little")
    )
    first = start + 4
    target = first + int.from_bytes(data[first : first + 4], "little")
    for place in range(first, first + 4 * (count + 1), 4):
        data[place : place + 4] = (target - place).to_bytes(4, "little")
    with pytest.raises(CorruptModelError, match="again and again"):
        read_tflite(bytes(data), "m.tflite")


def test_names_are_unique_unknown_operators_stay_and_custom_bytes_are_kept() -> None:
    tables = model(
        operator_codes=[
            {"builtin_code": 32, "deprecated_builtin_code": 32, "custom_code": "Mine"},
            {"builtin_code": 5000, "deprecated_builtin_code": 127},
        ],
        subgraphs__0__tensors=[{"name": "a", "shape": [1, -1], "type": "int8"}] * 3,
        subgraphs__0__outputs=[2],
        subgraphs__0__operators=[
            {"opcode_index": 0, "inputs": [0, -1], "outputs": [1], "custom_options": b"\7\0\xff"},
            {"opcode_index": 1, "inputs": [1], "outputs": [2], "builtin_options_type": 250},
        ],
    )
    graph = read(tables)
    assert list(graph.tensors) == ["a", "a_1", "a_2"]
    assert [node.op for node in graph.nodes] == ["tfl.CUSTOM", "tfl.OPERATOR_5000"]
    assert graph.nodes[0].source.custom_options == b"\7\0\xff"
    assert graph.nodes[0].attributes["custom_code"] == "Mine"
    assert graph.nodes[0].inputs == ("a", "")
    assert graph.type_of("a").shape == (1, 1)
    assert graph.source.notes == ("unknown dimensions are taken as 1: a [1, -1]",)


def test_bodies_signatures_and_metadata_are_read() -> None:
    body = {
        "name": "body",
        "tensors": [{"name": "s", "shape": [1, 4], "type": "int8"}],
        "inputs": [0],
        "outputs": [0],
    }
    tables = model(
        operator_codes__0={"builtin_code": 119, "deprecated_builtin_code": 119},
        subgraphs__0__operators__0__builtin_options_type=93,
        subgraphs__0__operators__0__builtin_options=(
            "WhileOptions",
            {"cond_subgraph_index": 1, "body_subgraph_index": 2},
        ),
        metadata=[{"name": "author", "buffer": 1}],
        signature_defs=[
            {"signature_key": "run", "inputs": [{"name": "in", "tensor_index": 0}]},
            {"signature_key": "other", "subgraph_index": 3},
        ],
    )
    tables["subgraphs"] += [body, dict(body), dict(body, name="spare")]
    graph = read(tables)
    assert graph.nodes[0].subgraphs == ("body", "body#2")
    assert set(graph.subgraphs) == {"body", "body#2"}
    assert set(graph.extras["other_graphs"]) == {"spare"}
    assert graph.extras["metadata"] == {"author": b"\1\2\3\4"}
    assert graph.extras["signatures"]["run"] == {
        "graph": "main", "inputs": {"in": "x"}, "outputs": {},
    }  # fmt: skip
    assert "2 signatures (run, other)" in graph.source.notes[0]


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=33))
def test_four_bit_constants_survive(values: list[int]) -> None:
    builder = GraphBuilder("nibbles", "tfl")
    array = np.array(values, np.int8)
    builder.constant("w", array)
    graph = builder.build()
    tensor = graph.tensors["w"]
    type = TensorType(tensor.type.shape, DType.INT4, QuantParams.per_tensor(1.0))
    graph = graph.replace(tensors={"w": type_changed(tensor, type)}, inputs=(), outputs=("w",))
    read_back = read_tflite(write_tflite(graph), "n").tensors["w"]
    assert read_back.type == type
    np.testing.assert_array_equal(read_back.data, array)


def type_changed(tensor, type):
    from dataclasses import replace

    return replace(tensor, type=type)


def sparse(dense: np.ndarray, spoil: dict | None = None) -> dict:
    """A matrix in compressed rows."""
    segments, indices, values = [0], [], []
    for row in dense:
        indices += [int(i) for i in np.flatnonzero(row)]
        values += [v for v in row if v]
        segments.append(len(indices))
    level = {
        "format": 1,
        "array_segments_type": 1,
        "array_segments": ("Int32Vector", {"values": segments}),
        "array_indices_type": 3,
        "array_indices": ("Uint8Vector", {"values": indices}),
    }
    level |= spoil or {}
    tables = model(buffers__1={"data": np.array(values, np.int8).tobytes()})
    tables["subgraphs"][0]["tensors"][2] |= {
        "shape": list(dense.shape),
        "sparsity": {
            "traversal_order": [0, 1],
            "dim_metadata": [{"format": 0, "dense_size": dense.shape[0]}, level],
        },
    }
    return tables


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(-3, 3), min_size=5, max_size=5), min_size=1, max_size=6))
def test_sparse_constants_become_dense(rows: list[list[int]]) -> None:
    dense = np.array(rows, np.int8)
    if not dense.any():
        dense[0, 0] = 1  # an empty buffer means "no data"
    np.testing.assert_array_equal(read(sparse(dense)).tensors["c"].data, dense)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"array_segments": ("Int32Vector", {"values": [0]})}, "too few"),
        ({"array_segments": ("Int32Vector", {"values": [0, 9, 9]})}, "leave its indices"),
        ({"array_indices": ("Uint8Vector", {"values": [0, 99, 1]})}, "outside its shape"),
        (
            {
                "array_segments": ("Int32Vector", {"values": [0, 7, 7]}),
                "array_indices": ("Uint8Vector", {"values": [0] * 7}),
            },
            "7 places for 6",
        ),
        (
            {"array_indices_type": 1, "array_indices": ("Int32Vector", {"values": [0, -1, 1]})},
            "negative index",
        ),
        ({"array_indices_type": 0}, "lacks its array indices"),
        ({"format": 0, "dense_size": 1000}, "impossible size"),
    ],
)
def test_sparse_storage_that_does_not_fit_is_refused(spoil: dict, said: str) -> None:
    dense = np.array([[1, 0, 2], [0, 3, 0]], np.int8)
    with pytest.raises(CorruptModelError, match=said):
        read(sparse(dense, spoil))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"sparsity__traversal_order": [0, 2]}, "impossible order"),
        (
            {
                "sparsity__block_map": [5],
                "sparsity__traversal_order": [0, 1, 2],
                "sparsity__dim_metadata": [{"format": 0, "dense_size": 1}] * 3,
            },
            "blocks along",
        ),
        ({"shape": [2, 2]}, "outside its shape"),
        ({"shape": [1024, 1024]}, "would unfold into"),
        ({"type": "string"}, "without a size"),
    ],
)
def test_sparse_tensors_that_make_no_sense_are_refused(spoil: dict, said: str) -> None:
    tables = sparse(np.array([[1, 0, 2], [0, 3, 0]], np.int8))
    for path, value in spoil.items():
        *way, last = path.split("__")
        place = tables["subgraphs"][0]["tensors"][2]
        for step in way:
            place = place[step]
        place[last] = value
    with pytest.raises(CorruptModelError, match=said):
        read(tables)


def test_sparse_storage_without_its_elements_is_refused() -> None:
    tables = sparse(np.array([[1, 0, 2], [0, 3, 0]], np.int8))
    tables["buffers"][1]["data"] = b"\1\2"
    with pytest.raises(CorruptModelError, match="3 places for 2 elements"):
        read(tables)


def loops(*ran: tuple[int, int]) -> dict:
    """Graphs each of which runs two others, by number, and one that runs none."""
    tables = model(operator_codes__0={"builtin_code": 119, "deprecated_builtin_code": 119})
    (only,) = tables["subgraphs"]
    graphs = []
    for cond, body in ran:
        options = ("WhileOptions", {"cond_subgraph_index": cond, "body_subgraph_index": body})
        loop = {"builtin_options_type": 93, "builtin_options": options}
        graphs.append(only | {"operators": [only["operators"][0] | loop]})
    last = only | {"operators": [], "outputs": [0]}
    return tables | {"subgraphs": [*graphs, last]}


def test_graphs_that_run_too_many_others_are_refused() -> None:
    count = 20
    assert len(list(read(loops(*[(i + 1, i + 1) for i in range(count)])).walk())) == count + 1
    with pytest.raises(CorruptModelError, match="50 deep"):
        read(loops(*[(i + 1, i + 1) for i in range(60)]))
    twice = [(i + 1, min(i + 2, count)) for i in range(count)]
    with pytest.raises(CorruptModelError, match="in too many ways"):
        read(loops(*twice))


@pytest.mark.parametrize("length", [1, 7])
def test_a_graph_written_and_read_says_the_same(length: int) -> None:
    first = read_tflite(write_tflite(chain(length)), "x")
    again = read_tflite(write_tflite(first), "x")
    assert dump(first) == dump(again) and len(first.nodes) == length


def test_reading_imports_neither_tensorflow_nor_flatbuffers(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    write_tflite(chain(), path)
    code = (
        "import sys; from budget.readers import load; from budget.transforms.lower import lower; "
        f"lower(load({str(path)!r})); "
        "print([m for m in ('tensorflow', 'flatbuffers', 'h5py', 'ai_edge_litert', 'zipfile') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_empty_tensor_cannot_hide_an_impossible_shape() -> None:
    tables = model()
    tables["subgraphs"][0]["tensors"].append(
        {"name": "e", "shape": [0, 2**31 - 1, 2**31 - 1, 4], "type": "float32"}
    )
    with pytest.raises(CorruptModelError, match="impossible shape"):
        read(tables)
