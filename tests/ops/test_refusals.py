"""Operands that do not go together are refused with a sentence that says why."""

from __future__ import annotations

import numpy as np
import pytest

from budget.errors import ModelError
from budget.graph import DType, TensorType
from budget.ops import registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.indexing import ArgAttributes, GatherAttributes
from budget.ops.matmul import BatchMatmulAttributes
from budget.ops.normalization import BatchNormAttributes, L2NormAttributes, LayerNormAttributes
from budget.ops.operator import Padding, QuantizedCall
from budget.ops.pooling import PoolAttributes
from budget.ops.requantize import operand
from budget.ops.transpose_convolution import TransposeConv2DAttributes

REFUSED = [
    ("conv_2d", ConvolutionAttributes(), [(1, 4, 4, 3)], "operand 1 is missing"),
    ("conv_2d", ConvolutionAttributes(), [(4, 4, 3), (2, 3, 3, 3)], "needs an image"),
    ("conv_2d", ConvolutionAttributes(), [(1, 4, 4, 3), (3, 3, 3)], "are not [out]"),
    ("conv_2d", ConvolutionAttributes(), [(1, 2, 4, 3), (2, 3, 3, 3)], "larger than the padded"),
    ("conv_2d", ConvolutionAttributes((0, 1)), [(1, 4, 4, 3), (2, 3, 3, 3)], "makes no sense"),
    ("conv_2d", ConvolutionAttributes(), [(1, 4, 4, 3), (2, 3, 3, 2)], "into groups"),
    ("conv_2d", ConvolutionAttributes(), [(1, 4, 4, 3), (2, 3, 3, 3), (3,)], "as many biases"),
    ("depthwise_conv_2d", ConvolutionAttributes(), [(1, 4, 4, 3), (1, 3, 3, 4)], "do not match 3"),
    (
        "transpose_conv_2d",
        TransposeConv2DAttributes((8, 8)),
        [(1, 4, 4, 3), (2, 3, 3, 2)],
        "do not make",
    ),
    (
        "transpose_conv_2d",
        TransposeConv2DAttributes((0, 8)),
        [(1, 4, 4, 3), (2, 3, 3, 3)],
        "output size (0, 8)",
    ),
    (
        "transpose_conv_2d",
        TransposeConv2DAttributes((8, 8)),
        [(1, 4, 4, 3), (2, 3, 3, 3), (5,)],
        "as many biases",
    ),
    ("fully_connected", FullyConnectedAttributes(), [(1, 4), (2, 3, 4)], "are not [out][in]"),
    ("fully_connected", FullyConnectedAttributes(), [(1, 4), (2, 3)], "rows of 3"),
    ("fully_connected", FullyConnectedAttributes(), [(1, 4), (2, 4), (3,)], "as many biases"),
    ("batch_matmul", BatchMatmulAttributes(), [(4,), (4, 2)], "those of matrices"),
    ("batch_matmul", BatchMatmulAttributes(), [(3, 4), (5, 2)], "4 columns but 5 rows"),
    ("batch_matmul", BatchMatmulAttributes(), [(2, 3, 4), (3, 4, 2)], "leading dimensions"),
    (
        "max_pool_2d",
        PoolAttributes((2, 2), padding=Padding(2, 2, 0, 0)),
        [(1, 4, 4, 1)],
        "nothing but padding",
    ),
    ("batch_norm", BatchNormAttributes(), [(2, 3), (3,), (3,), (3,), (2,)], "3 channels has a"),
    ("layer_norm", LayerNormAttributes((2,)), [(2, 3)], "no axes (2,)"),
    ("layer_norm", LayerNormAttributes((1,)), [(2, 3), (2,)], "does not broadcast to (2, 3)"),
    ("l2_norm", L2NormAttributes(), [()], "by its length"),
    ("arg_max", ArgAttributes(2), [(3, 4)], "along axis 2"),
    ("gather", GatherAttributes(1, 2), [(3, 4), (2,)], "with 2 batch dimensions"),
    ("gather", GatherAttributes(0), [(3, 4), (2,)], "integers, not float32"),
]


@pytest.mark.parametrize(("name", "attributes", "shapes", "words"), REFUSED)
def test_refused(name: str, attributes: object, shapes: list[tuple[int, ...]], words: str) -> None:
    types = [TensorType(shape, DType.FLOAT32) for shape in shapes]
    with pytest.raises(ModelError) as caught:
        registry.get(name).infer(attributes, types)
    assert words in str(caught.value)


def test_an_index_out_of_range_is_refused() -> None:
    x, indices = np.zeros((3, 2), np.float32), np.array([0, 3], np.int32)
    with pytest.raises(ModelError, match="outside the 3 elements of axis 0"):
        registry.get("gather").run_float(GatherAttributes(), [x, indices])


def test_a_missing_array_is_refused() -> None:
    with pytest.raises(ModelError, match="operand 1 is missing"):
        operand([np.zeros(3)], 1)


def test_integers_without_a_scale_are_refused() -> None:
    types = (TensorType((1, 2), DType.INT8), TensorType((3, 2), DType.INT8))
    values = [np.zeros(type.shape, np.int8) for type in types]
    call = QuantizedCall(types, (TensorType((1, 3), DType.INT8),))
    with pytest.raises(ModelError, match="carry no scale"):
        registry.get("fully_connected").run_quantized(FullyConnectedAttributes(), values, call)


def test_an_unknown_operator_is_refused() -> None:
    assert registry.is_canonical("conv_2d") and not registry.is_canonical("conv_9d")
    with pytest.raises(ModelError, match="'conv_9d' is not one"):
        registry.get("conv_9d")
