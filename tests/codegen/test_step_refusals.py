"""What cannot be emitted is refused with a sentence that says why; all of it at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import recurrent_files as files

from budget.codegen import EmitOptions
from budget.codegen.source import write_steps
from budget.codegen.steps import can_write
from budget.errors import UnsupportedModelError
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import Activation, registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.elementwise import AddAttributes, ArithmeticAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.indexing import GatherAttributes
from budget.ops.normalization import L2NormAttributes, LayerNormAttributes
from budget.ops.quantization import ConversionAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.shaping import (
    ConcatAttributes,
    MirrorPadAttributes,
    TransposeAttributes,
)
from budget.plan import plan
from budget.readers.tflite import read_tflite
from budget.transforms.lower import lower


def quantized(shape: tuple[int, ...], dtype: DType = DType.INT8, scale: float = 0.1) -> TensorType:
    return TensorType(shape, dtype, QuantParams.per_tensor(scale))


def plain(shape: tuple[int, ...], dtype: DType = DType.FLOAT32) -> TensorType:
    return TensorType(shape, dtype)


def graph_of(op: str, attributes: Any, operands: list[Any], *outputs: TensorType | None) -> Graph:
    """One node; operands are types of inputs, or (array, quantisation) of constants."""
    builder = GraphBuilder(op)
    names, types = [], []
    for index, operand in enumerate(operands):
        if isinstance(operand, TensorType):
            names.append(builder.input(f"x{index}", operand))
        else:
            names.append(builder.constant(f"c{index}", *operand))
        types.append(builder.tensors[names[-1]].type)
    attributes = registry.get(op).Attributes() if attributes is None else attributes
    if not outputs or outputs[0] is None:
        outputs = registry.get(op).infer(attributes, types)
    results = [builder.tensor(f"y{i}", type) for i, type in enumerate(outputs) if type is not None]
    builder.node(op, names, results, attributes)
    builder.output(*results)
    return builder.build()


PER_TENSOR = QuantParams.per_tensor(0.05)
LARGE = np.full((1, 140_000), 127, np.int8)
INT32 = DType.INT32
INT16 = DType.INT16

REFUSED: list[tuple[str, Any, list[Any], TensorType | None, str]] = [
    (
        "gru",
        None,
        [plain((1, 3, 4)), (np.ones((6, 4), np.int8),), (np.ones((6, 2), np.int8),)],
        None,
        "weights that are not float",
    ),
    (
        "svdf",
        None,
        [plain((1, 4)), (np.ones((2, 4), np.int8),), (np.ones((2, 3), np.int8),)],
        None,
        "weights that are not float",
    ),
    ("relu", None, [plain((4,), DType.FLOAT64)], None, "float64 cannot be emitted"),
    ("relu", None, [plain((4,), INT32)], None, "int32 cannot be emitted here"),
    ("square", None, [quantized((4,), INT16)], quantized((4,), INT16), "no such function of 16"),
    ("log", None, [quantized((4,))], quantized((4,)), "no integer arithmetic for int8"),
    ("logistic", None, [quantized((4,), INT16, 4.0)], quantized((4,), INT16), "scale is too large"),
    ("tanh", None, [plain((4,), DType.INT8)], None, "int8 cannot be emitted here"),
    ("softmax", None, [plain((4,), DType.INT8)], None, "has no quantisation"),
    ("softmax", None, [plain((4,), INT32)], None, "int32 cannot be emitted here"),
    ("mean", ReduceAttributes((0,)), [quantized((1 << 24, 1))], quantized((1,)), "leave 32 bits"),
    ("mean", ReduceAttributes((0,)), [plain((4, 2), DType.INT8)], None, "plain int8"),
    (
        "reduce_max",
        ReduceAttributes((0, 2, 4)),
        [plain((2, 2, 2, 2, 2))],
        None,
        "more than two separate",
    ),
    (
        "batch_matmul",
        None,
        [quantized((2, 3), INT16), quantized((3, 2))],
        quantized((2, 2), INT16),
        "a product of int16 and int8",
    ),
    (
        "batch_matmul",
        None,
        [quantized((1, 40_000)), quantized((40_000, 1))],
        quantized((1, 1)),
        "leave 32 bits",
    ),
    (
        "fully_connected",
        FullyConnectedAttributes(),
        [plain((1, 2)), (np.zeros((3, 2), np.int8),)],
        None,
        "weights of int8 with float",
    ),
    (
        "fully_connected",
        FullyConnectedAttributes(),
        [quantized((1, 2)), (np.zeros((3, 2), np.int16), PER_TENSOR)],
        quantized((1, 3)),
        "not quantised to 8 bits",
    ),
    (
        "fully_connected",
        FullyConnectedAttributes(),
        [quantized((1, 140_000)), (LARGE, PER_TENSOR)],
        quantized((1, 1)),
        "leave 32 bits",
    ),
    (
        "conv_2d",
        ConvolutionAttributes(),
        [quantized((1, 2, 2, 1)), quantized((1, 1, 1, 1))],
        quantized((1, 2, 2, 1)),
        "operand 1 must be a constant",
    ),
    (
        "gather",
        GatherAttributes(),
        [plain((4, 2)), plain((2,), DType.INT64)],
        None,
        "indices of int64",
    ),
    (
        "gather",
        GatherAttributes(2, 1),
        [plain((2, 3, 4)), plain((2, 2), INT32)],
        None,
        "batch dimensions",
    ),
    ("quantize", ConversionAttributes(DType.UINT8), [plain((2,))], None, "float32 to uint8"),
    (
        "dequantize",
        None,
        [quantized((2,), DType.UINT8)],
        None,
        "uint8 cannot be emitted here",
    ),
    (
        "requantize",
        ConversionAttributes(DType.UINT8),
        [quantized((2,))],
        quantized((2,), DType.UINT8),
        "int8 to uint8",
    ),
    ("div", ArithmeticAttributes(), [plain((2,), INT32)] * 2, None, "plain int32"),
    (
        "add",
        AddAttributes(Activation.RELU),
        [plain((2,), INT32)] * 2,
        None,
        "relu behind plain int32",
    ),
    (
        "add",
        AddAttributes(pot_scale_int16=True),
        [quantized((2,), INT16, 0.25)] * 2,
        quantized((2,), INT16, 0.125),
        "a larger scale",
    ),
    ("pow", None, [quantized((2,))] * 2, quantized((2,)), "no powers of quantised int8"),
    (
        "concat",
        ConcatAttributes(0, Activation.RELU),
        [quantized((2,))] * 2,
        quantized((4,)),
        "relu behind int8",
    ),
    (
        "concat",
        ConcatAttributes(0),
        [quantized((2,), INT16), quantized((2,), INT16, 0.2)],
        quantized((4,), INT16),
        "int16 in different scales",
    ),
    (
        "mirror_pad",
        MirrorPadAttributes(((1, 1), (0, 0), (1, 1))),
        [plain((3, 3, 3))],
        None,
        "two neighbouring dimensions",
    ),
    (
        "transpose",
        TransposeAttributes((5, 4, 3, 2, 1, 0)),
        [plain((2, 2, 2, 2, 2, 2))],
        None,
        "more than four dimensions",
    ),
    ("layer_norm", LayerNormAttributes((0,)), [plain((3, 4))], None, "only the last dimensions"),
    (
        "l2_norm",
        L2NormAttributes(),
        [quantized((1, 40_000))],
        quantized((1, 40_000)),
        "leave 32 bits",
    ),
]


@pytest.mark.parametrize(
    ("op", "attributes", "operands", "output", "why"),
    REFUSED,
    ids=[f"{each[0]}: {each[4]}" for each in REFUSED],
)
def test_says_why(
    op: str, attributes: Any, operands: list[Any], output: TensorType | None, why: str
) -> None:
    program = plan(graph_of(op, attributes, operands, output))
    with pytest.raises(UnsupportedModelError) as caught:
        write_steps(program, EmitOptions())
    assert why in caught.value.what and op in caught.value.what and caught.value.hint


def test_an_lstm_s_sums_must_fit_32_bits() -> None:
    graph = lower(read_tflite(files.lstm(np.random.default_rng(1), DType.INT8), "m.tflite"))
    write_steps(plan(graph), EmitOptions())
    name = graph.nodes[0].inputs[3]
    bias = graph.constant(name)
    assert bias is not None and bias.dtype == np.int32
    full = replace(graph.tensors[name], data=np.full_like(bias, 2**31 - 1))
    with pytest.raises(UnsupportedModelError, match="sums over the input may leave 32 bits"):
        write_steps(plan(graph.replace(tensors={**graph.tensors, name: full})), EmitOptions())


def test_every_operator_has_a_writer() -> None:
    assert [name for name in registry.names() if not can_write(name)] == []


def test_all_refusals_are_listed_at_once() -> None:
    builder = GraphBuilder("two")
    x = builder.input("x", plain((4,), INT32))
    middle = builder.tensor("middle", plain((4,), INT32))
    y = builder.tensor("y", plain((4,), INT32))
    builder.node("relu", [x], [middle], registry.get("relu").Attributes())
    builder.node("exp", [middle], [y], registry.get("exp").Attributes())
    builder.output(y)
    with pytest.raises(UnsupportedModelError) as caught:
        write_steps(plan(builder.build()), EmitOptions())
    assert "relu" in caught.value.what and "exp" in caught.value.what


def test_a_constant_of_several_steps_is_written_once() -> None:
    builder = GraphBuilder("shared")
    weights = builder.constant("weights", np.arange(16, dtype=np.float32).reshape(4, 4))
    names = [builder.input("x", plain((1, 4)))]
    for index in range(2):
        names.append(builder.tensor(f"y{index}", plain((1, 4))))
        builder.node(
            "fully_connected", [names[-2], weights], [names[-1]], FullyConnectedAttributes()
        )
    builder.output(names[-1])
    tables = write_steps(plan(builder.build()), EmitOptions()).tables
    assert [table.values.size for table in tables] == [16, 4]  # weights and the bias of zeros
