"""Shapes, types and attributes that do not go together are refused."""

from __future__ import annotations

import numpy as np
import pytest

from budget.errors import ModelError
from budget.graph import DType, QuantParams, TensorType
from budget.ops import QuantizedCall, get
from budget.ops.elementwise import AddAttributes, ArithmeticAttributes
from budget.ops.joining import ConcatAttributes, PackAttributes, SplitAttributes
from budget.ops.operator import NoAttributes
from budget.ops.quantization import ConversionAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.resize import ResizeAttributes
from budget.ops.shaping import (
    MirrorMode,
    MirrorPadAttributes,
    PadAttributes,
    ReshapeAttributes,
    SliceAttributes,
    StridedSliceAttributes,
    TransposeAttributes,
)
from budget.ops.softmax import SoftmaxAttributes

REFUSED = [
    ("add", AddAttributes(), [(2, 3)], "add needs 2 operands, not 1"),
    ("add", AddAttributes(), [(2, 3), (2,)], r"shapes \(2, 3\) and \(2,\), which do not agree"),
    ("select", NoAttributes(), [(2,), (2,), (2,)], "a condition of truth values"),
    ("prelu", NoAttributes(), [(2, 3), (4, 2, 3)], r"\(4, 2, 3\) do not stretch to \(2, 3\)"),
    ("softmax", SoftmaxAttributes(), [()], "at least one dimension"),
    ("mean", ReduceAttributes((0,)), [], "operand 0 is missing"),
    ("sum", ReduceAttributes((2,)), [(2, 3)], r"sum along \(2,\) of a tensor of shape \(2, 3\)"),
    ("reshape", ReshapeAttributes((5,)), [], "reshape needs an operand"),
    ("reshape", ReshapeAttributes((5,)), [(2, 3)], r"reshape cannot apply .* shape \(2, 3\)"),
    ("transpose", TransposeAttributes((0, 0)), [(2, 3)], "transpose cannot apply"),
    ("slice", SliceAttributes((1,), (3,)), [(3,)], "slice cannot apply"),
    ("strided_slice", StridedSliceAttributes((0,), (9,), (2,)), [(3,)], "cannot apply"),
    ("strided_slice", StridedSliceAttributes((0,), (3,), (0,)), [(3,)], "cannot apply"),
    ("pad", PadAttributes(((1, -1),)), [(3,)], "pad cannot apply"),
    ("mirror_pad", MirrorPadAttributes(((3, 0),)), [(3,)], "mirror_pad cannot apply"),
    (
        "mirror_pad",
        MirrorPadAttributes(((4, 0),), MirrorMode.SYMMETRIC),
        [(3,)],
        "mirror_pad cannot apply",
    ),
    ("concat", ConcatAttributes(2), [(2, 3), (2, 3)], "concat cannot apply"),
    ("concat", ConcatAttributes(0), [(2, 3), (2, 4)], r"concat cannot apply .* shape \(2, 4\)"),
    ("split", SplitAttributes(0, (1, 2)), [(4, 3)], "split cannot apply"),
    ("pack", PackAttributes(0), [(2, 3), (3, 2)], r"stack shapes \[\(2, 3\), \(3, 2\)\]"),
    ("unpack", PackAttributes(2), [(2, 3)], "unpack cannot apply"),
    ("resize_bilinear", ResizeAttributes((2, 2)), [(4, 4, 3)], "image batch of four dimensions"),
    ("cast", ConversionAttributes(DType.INT8), [], "operand 0 is missing"),
]


@pytest.mark.parametrize(("name", "attributes", "shapes", "message"), REFUSED)
def test_shapes_that_do_not_fit(name: str, attributes, shapes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        get(name).infer(attributes, [TensorType(shape, DType.FLOAT32) for shape in shapes])


def test_operands_of_different_types() -> None:
    types = [TensorType((2,), DType.FLOAT32), TensorType((2,), DType.INT32)]
    with pytest.raises(ModelError, match="operands of mul differ in type: float32 and int32"):
        get("mul").infer(ArithmeticAttributes(), types)


def test_a_slice_may_end_where_the_tensor_ends() -> None:
    attributes = StridedSliceAttributes((0,), (3,), (2,))
    assert get("strided_slice").infer(attributes, [TensorType((3,), DType.INT8)])[0].shape == (2,)


PLAIN = TensorType((2,), DType.INT8)
STORED = TensorType((2,), DType.INT8, QuantParams.per_tensor(0.5))
CHANNELS = TensorType((2,), DType.INT8, QuantParams.per_channel(np.ones(2, np.float32), 0))
REAL = TensorType((2,), DType.FLOAT32)


@pytest.mark.parametrize(
    ("name", "attributes", "types", "output", "message"),
    [
        ("add", AddAttributes(), [STORED, PLAIN], STORED, "int8 has no quantisation"),
        ("add", AddAttributes(), [STORED, CHANNELS], STORED, "a scale for each channel"),
        ("div", ArithmeticAttributes(), [STORED, STORED], STORED, "a quantised divisor is zero"),
        ("quantize", ConversionAttributes(DType.INT8), [REAL], PLAIN, "needs a quantised output"),
        ("dequantize", NoAttributes(), [PLAIN], REAL, "needs a quantised operand"),
    ],
)
def test_quantisation_that_is_missing(name: str, attributes, types, output, message: str) -> None:
    values = [np.zeros(type.shape, type.dtype.numpy) for type in types]
    with pytest.raises(ModelError, match=message):
        get(name).run_quantized(attributes, values, QuantizedCall(tuple(types), (output,)))


def test_integers_without_a_scale_have_no_real_value() -> None:
    with pytest.raises(ModelError, match="needs a quantised operand"):
        get("dequantize").run_float(NoAttributes(), [np.zeros(2, np.int8)])


def test_integers_are_not_divided_by_zero() -> None:
    ones, zeros = np.ones(2, np.int32), np.zeros(2, np.int32)
    with pytest.raises(ModelError, match="integers are divided by zero"):
        get("div").run_float(ArithmeticAttributes(), [ones, zeros])


def test_integers_divide_towards_zero() -> None:
    result = get("div").run_float(
        ArithmeticAttributes(), [np.array([7, -7], np.int32), np.array([2, 2], np.int32)]
    )[0]
    np.testing.assert_array_equal(result, [3, -3])
