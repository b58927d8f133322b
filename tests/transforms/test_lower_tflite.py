"""The lowering of TensorFlow Lite graphs, against LiteRT tensor by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from budget.errors import CorruptModelError, UnsupportedModelError
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType, verify
from budget.ops.interpreter import run
from budget.readers.tflite import read_tflite
from budget.transforms.lower import lower


def reference_tensors(data: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor that LiteRT's reference kernels compute, by name."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        model_content=data,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    interpreter.invoke()
    found = {}
    for detail in interpreter.get_tensor_details():
        if detail["name"] and detail["index"] >= 0:
            try:
                found[detail["name"]] = interpreter.get_tensor(detail["index"])
            except ValueError:  # not every scratch tensor has data
                continue
    return found


def random_inputs(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = {}
    for name in graph.inputs:
        type = graph.type_of(name)
        if type.dtype.is_float:
            inputs[name] = rng.normal(size=type.shape).astype(np.float32)
        else:
            info = np.iinfo(type.dtype.value)
            inputs[name] = rng.integers(info.min, info.max + 1, type.shape).astype(type.dtype.value)
    return inputs


def computed(path: Path, seed: int) -> tuple[Graph, Any, Any]:
    """A lowered file, every tensor as computed here, and by the reference kernels."""
    data = path.read_bytes()
    graph = verify(lower(read_tflite(data, path.stem)))
    inputs = random_inputs(graph, seed)
    return graph, run(graph, inputs, keep="all"), reference_tensors(data, inputs)


@pytest.mark.parametrize("model", ["kws_int8", "vww_int8", "ic_int8", "ad_int8"])
def test_every_tensor_of_an_int8_model_equals_the_reference_kernels(
    models: Path, model: str
) -> None:
    graph, actual, expected = computed(models / f"{model}.tflite", 1)
    compared = 0
    for node in graph.nodes:
        for name in node.outputs:
            np.testing.assert_array_equal(actual[name], expected[name], err_msg=str(node))
            compared += 1
    assert compared == len(graph.nodes) >= 10


@pytest.mark.parametrize("model", ["ic_float", "ad_float"])
def test_every_tensor_of_a_float_model_is_close_to_the_reference_kernels(
    models: Path, model: str
) -> None:
    graph, actual, expected = computed(models / f"{model}.tflite", 2)
    for node in graph.nodes:
        for name in node.outputs:
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, atol=1e-4)


def source(op: str, attributes: dict, operands: list, *results: tuple) -> Graph:
    """One node in the dialect tfl; operands are shapes, (shape, dtype) or constants."""
    builder = GraphBuilder("one", "tfl")
    names = []
    for index, operand in enumerate(operands):
        name = f"x{index}"
        if isinstance(operand, np.ndarray):
            builder.constant(name, operand)
        elif isinstance(operand, TensorType):
            builder.input(name, operand)
        else:
            builder.input(name, TensorType(tuple(operand), DType.FLOAT32))
        names.append(name)
    outputs = []
    for index, shape in enumerate(results):
        type = shape if isinstance(shape, TensorType) else TensorType(shape, DType.FLOAT32)
        outputs.append(builder.tensor(f"y{index}", type))
    builder.node(f"tfl.{op}", names, outputs, attributes)
    builder.output(*outputs)
    return verify(builder.build())


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


IMAGE = (1, 4, 4, 2)
WEIGHTS = np.ones((3, 3, 3, 2), np.float32)
CONV = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
POOL = {**CONV, "filter_height": 2, "filter_width": 2}
UINT8 = TensorType((1, 4), DType.UINT8, QuantParams.per_tensor(0.5, 7))
INT8 = TensorType((1, 4), DType.INT8, QuantParams.per_tensor(0.5, 7))
REFUSED = [
    ("its stride is 0 x 1", "CONV_2D", {**CONV, "stride_h": 0}, [IMAGE, WEIGHTS], IMAGE),
    ("padding mode is 9", "CONV_2D", {**CONV, "padding": 9}, [IMAGE, WEIGHTS], IMAGE),
    ("four dimensions", "CONV_2D", CONV, [(4, 4), WEIGHTS], IMAGE),
    ("weights have shape", "CONV_2D", CONV, [IMAGE, np.ones((2, 2), np.float32)], IMAGE),
    (
        "activation SIGN_BIT",
        "CONV_2D",
        {**CONV, "fused_activation_function": "SIGN_BIT"},
        [IMAGE, WEIGHTS],
        IMAGE,
    ),
    ("quantised ones that are computed", "FULLY_CONNECTED", {}, [(1, 4), INT8], (1, 1)),
    (
        "shuffled",
        "FULLY_CONNECTED",
        {"weights_format": "SHUFFLED4x16INT8"},
        [(1, 4), np.ones((2, 4), np.float32)],
        (1, 2),
    ),
    (
        "recipe",
        "FULLY_CONNECTED",
        {"quant_spec": b"1"},
        [(1, 4), np.ones((2, 4), np.float32)],
        (1, 2),
    ),
    ("4 dimensions|four", "TRANSPOSE_CONV", CONV, [ints(1, 4, 4, 3), WEIGHTS, (4, 4)], (4, 4)),
    ("output shape is said", "TRANSPOSE_CONV", CONV, [ints(1, 9, 4, 3), WEIGHTS, IMAGE], IMAGE),
    ("its size is", "RESIZE_BILINEAR", {}, [IMAGE, ints(4)], IMAGE),
    ("works on dimensions", "ARG_MAX", {}, [(1, 4), ints(0, 1)], (1,)),
    ("activation is fused", "L2_NORMALIZATION", {"fused_activation_function": "RELU"}, [(1, 4)],
     (1, 4)),
    ("lacks quantisation", "QUANTIZE", {}, [(1, 4)], (1, 4)),
    ("lacks quantisation", "DEQUANTIZE", {}, [TensorType((1, 4), DType.INT8)], (1, 4)),
    ("unfolds a tensor", "DENSIFY", {}, [(1, 4)], (1, 4)),
    ("has 1 operands", "ADD", {}, [(1, 4)], (1, 4)),
    ("adds 1 tensors", "ADD_N", {}, [(1, 4)], (1, 4)),
    ("sums of three", "ADD_N", {}, [INT8, INT8, INT8], INT8),
    ("chooses whole rows", "SELECT", {}, [TensorType((4,), DType.BOOL), (4, 4), (4, 4)], (4, 4)),
    ("unsigned 8-bit", "ADD", {}, [UINT8, UINT8], UINT8),
    ("is not a constant", "TRANSPOSE", {}, [(1, 4), TensorType((2,), DType.INT32)], (4, 1)),
    ("not made of integers", "TRANSPOSE", {}, [(1, 4), np.ones(2, np.float32)], (4, 1)),
    ("dimension 7 of 2", "CONCATENATION", {"axis": 7}, [(1, 4)], (1, 4)),
    ("order of dimensions is", "TRANSPOSE", {}, [(1, 4), ints(0, 0)], (4, 1)),
    ("unequal parts", "SPLIT", {}, [ints(1), (1, 5)], (1, 2), (1, 2)),
    ("works on dimensions", "SPLIT", {}, [ints(1, 1), (1, 4)], (1, 2), (1, 2)),
    ("2 results of sizes", "SPLIT_V", {}, [(1, 4), ints(4), ints(1)], (1, 2), (1, 2)),
    ("do not fit", "SLICE", {}, [(1, 4), ints(0), ints(1)], (1, 1)),
    ("go together", "STRIDED_SLICE", {}, [(1, 4), ints(0), ints(1, 1), ints(1)], (1, 4)),
    ("cuts 2 dimensions of 1", "STRIDED_SLICE", {}, [(4,), ints(0, 0), ints(1, 1), ints(1, 1)],
     (1,)),
    ("takes index 9", "STRIDED_SLICE", {"shrink_axis_mask": 1}, [(4,), ints(9), ints(10), ints(1)],
     ()),
    ("stride is 0", "STRIDED_SLICE", {}, [(4,), ints(0), ints(1), ints(0)], (1,)),
    ("its padding", "PAD", {}, [(1, 4), ints(1, 1)], (1, 4)),
    ("pads with 2", "PADV2", {}, [(4,), ints(1, 1), np.ones(2, np.float32)], (6,)),
    ("its mode is 5", "MIRROR_PAD", {"mode": 5}, [(4,), ints(1, 1)], (6,)),
    ("quantised rows", "EMBEDDING_LOOKUP", {}, [TensorType((1,), DType.INT32), INT8], (1, 4)),
    ("blocks of 0", "DEPTH_TO_SPACE", {}, [IMAGE], IMAGE),
    ("repeats elements", "BROADCAST_TO", {}, [(1, 4), ints(2, 4)], (2, 4)),
    ("newer schema", "RELU", {"unknown_fields": True}, [(1, 4)], (1, 4)),
    ("left out|operands", "MAXIMUM", {}, [(1, 4)], (1, 4)),
    ("do not agree|together", "ADD", {}, [(1, 4), (1, 3)], (1, 4)),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[1]}-{case[0]}")
def test_what_has_no_canonical_form_is_told_with_a_reason(case: tuple) -> None:
    said, op, attributes, operands, *results = case
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        lower(source(op, attributes, operands, *results))
    assert f"node 0 'y0' ({op})" in caught.value.what and caught.value.exit_code == 3


def test_an_operand_that_is_needed_may_not_be_left_out() -> None:
    graph = source("MAXIMUM", {}, [(1, 4), (1, 4)], (1, 4))
    from dataclasses import replace

    node = replace(graph.nodes[0], inputs=("x0", ""))
    with pytest.raises(UnsupportedModelError, match="is left out"):
        lower(graph.replace(nodes=(node,)))


def test_all_unsupported_operators_are_listed_at_once() -> None:
    builder = GraphBuilder("many", "tfl")
    type = TensorType((1, 4), DType.FLOAT32)
    builder.input("t0", type)
    ops = ["tfl.SVDF", "tfl.RELU", "tfl.CUSTOM", "tfl.OPERATOR_900"]
    for index, op in enumerate(ops):
        builder.tensor(f"t{index + 1}", type)
        custom = {"custom_code": "Mine"} if op == "tfl.CUSTOM" else {}
        builder.node(op, [f"t{index}"], [f"t{index + 1}"], custom)
    builder.output("t4")
    with pytest.raises(UnsupportedModelError, match="3 operators") as caught:
        lower(builder.build())
    for text in ("node 0 't1' (SVDF)", "node 2 't3' (CUSTOM 'Mine')", "node 3 't4' (OPERATOR_900)"):
        assert text in caught.value.what


def test_stated_shapes_must_be_those_that_operators_give() -> None:
    with pytest.raises(CorruptModelError, match="the file says float32"):
        lower(source("CONV_2D", CONV, [IMAGE, WEIGHTS], (1, 4, 4, 9)))


def test_shapes_computed_from_shapes_are_folded() -> None:
    builder = GraphBuilder("flatten", "tfl")
    builder.input("x", TensorType((1, 2, 3), DType.FLOAT32))
    whole = TensorType((3,), DType.INT32)
    builder.tensor("shape", whole)
    builder.node("tfl.SHAPE", ["x"], ["shape"])
    for name, values in (("b", [0]), ("e", [1]), ("s", [1])):
        builder.constant(name, np.array(values, np.int32))
    builder.tensor("batch", TensorType((), DType.INT32))
    masks = dict.fromkeys(
        ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "offset"), 0
    ) | {"shrink_axis_mask": 1}
    builder.node("tfl.STRIDED_SLICE", ["shape", "b", "e", "s"], ["batch"], masks)
    builder.constant("six", np.array(6, np.int32))
    builder.tensor("target", TensorType((2,), DType.INT32))
    builder.node("tfl.PACK", ["batch", "six"], ["target"], {"axis": 0, "values_count": 2})
    builder.tensor("y", TensorType((1, 6), DType.FLOAT32))
    builder.node("tfl.RESHAPE", ["x", "target"], ["y"])
    builder.output("y")
    graph = verify(lower(verify(builder.build())))
    assert [node.op for node in graph.nodes] == ["reshape"]
    assert graph.nodes[0].attributes.shape == (1, 6) and set(graph.tensors) == {"x", "y"}


def test_half_precision_weights_are_widened_and_said() -> None:
    builder = GraphBuilder("half", "tfl")
    builder.input("x", TensorType((1, 4), DType.FLOAT32))
    builder.constant("h", np.arange(8, dtype=np.float16).reshape(2, 4))
    builder.tensor("w", TensorType((2, 4), DType.FLOAT32))
    builder.node("tfl.DEQUANTIZE", ["h"], ["w"])
    builder.tensor("y", TensorType((1, 2), DType.FLOAT32))
    builder.node("tfl.FULLY_CONNECTED", ["x", "w"], ["y"])
    builder.output("y")
    graph = verify(lower(verify(builder.build())))
    assert [node.op for node in graph.nodes] == ["fully_connected"]
    assert graph.tensors["w"].data.dtype == np.float32
    assert "float16" in graph.source.notes[0]


@pytest.mark.parametrize("block", [2, 3])
def test_depth_to_space_is_what_numpy_makes_of_it(block: int) -> None:
    shape, out = (1, 2, 3, block * block * 2), (1, 2 * block, 3 * block, 2)
    graph = lower(source("DEPTH_TO_SPACE", {"block_size": block}, [shape], out))
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    y = run(graph, {"x0": x})["y0"]
    for row, column, channel in np.ndindex(out[1:]):
        part = ((row % block) * block + column % block) * 2 + channel
        assert y[0, row, column, channel] == x[0, row // block, column // block, part]
    back = lower(source("SPACE_TO_DEPTH", {"block_size": block}, [out], shape))
    np.testing.assert_array_equal(run(back, {"x0": y})["y0"], x)
