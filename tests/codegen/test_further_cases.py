"""Uses of operators that have no case of their own in the registry: the emitted C equals numpy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from single_operator import QUANTIZED, seeded
from test_operators import compile_all, library, pairs, singles
from test_step_refusals import graph_of, plain, quantized

from budget.codegen import EmitOptions
from budget.graph import DType, TensorType
from budget.ops import Activation, Rounding
from budget.ops.activations import GeluAttributes
from budget.ops.elementwise import AddAttributes, ArithmeticAttributes
from budget.ops.indexing import GatherAttributes
from budget.ops.interpreter import run
from budget.ops.quantization import ConversionAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.shaping import ConcatAttributes, ReshapeAttributes
from budget.plan import plan

INT8, INT16, INT32, INT64 = DType.INT8, DType.INT16, DType.INT32, DType.INT64
BOOL, FLOAT = DType.BOOL, DType.FLOAT32
WIDE = (300,)


def q8(shape: tuple[int, ...], scale: float, zero: int = 0) -> TensorType:
    type = quantized(shape, INT8, scale)
    assert type.quant is not None
    type.quant.zero_point[:] = zero
    return type


def q16(shape: tuple[int, ...], scale: float) -> TensorType:
    return quantized(shape, INT16, scale)


CASES: list[tuple[str, str, Any, list[Any], TensorType | None]] = [
    ("concat-rescaled", "concat", ConcatAttributes(1),
     [q8((3, 20), 0.1, 5), q8((3, 30), 0.25, -7), q8((3, 4), 0.2)], q8((3, 54), 0.2)),
    ("concat-relu6", "concat", ConcatAttributes(0, Activation.RELU6),
     [plain((20,)), plain((30,))], None),
    ("shifted-add", "add", AddAttributes(pot_scale_int16=True),
     [q16(WIDE, 2**-9), q16(WIDE, 2**-11)], q16(WIDE, 2**-8)),
    ("shifted-sub", "sub", AddAttributes(pot_scale_int16=True),
     [q16(WIDE, 2**-9), q16(WIDE, 2**-11)], q16(WIDE, 2**-8)),
    *((f"{op}-{dtype.value}", op, None, [plain((5, 60), dtype), plain((60,), dtype)], None)
      for op in ("add", "sub", "mul", "maximum", "minimum", "less", "greater_equal", "not_equal")
      for dtype in (INT32, INT64)),
    ("div-int8", "div", None, [q8(WIDE, 0.1, 3), q8(WIDE, 0.04, -128)], q8(WIDE, 0.3, 4)),
    ("div-int8-tiny", "div", None, [q8(WIDE, 1e-7, 3), q8(WIDE, 4.0, -128)], q8(WIDE, 3.0)),
    ("div-int8-relu", "div", ArithmeticAttributes(Activation.RELU),
     [q8(WIDE, 0.1, 3), q8(WIDE, 0.1, 127)], q8(WIDE, 0.02, 4)),
    *((f"{op}-int16", op, None, [q16(WIDE, 0.0003)], q16(WIDE, 0.0002))
      for op in ("relu", "relu6", "relu_n1_to_1", "abs")),
    ("elu-int8", "elu", None, [q8(WIDE, 0.05, 3)], q8(WIDE, 0.02, -60)),
    ("gelu-int8", "gelu", GeluAttributes(True), [q8(WIDE, 0.05, 3)], q8(WIDE, 0.02, -60)),
    *((f"sum-{type.dtype.value}", "sum", ReduceAttributes((1, 2)), [type], result)
      for type, result in (
          (q8((4, 9, 7, 5), 0.03, 9), q8((4, 5), 0.4, -3)),
          (q16((4, 9, 7, 5), 0.0003), q16((4, 5), 0.0004)),
      )),
    ("gather-computed", "gather", GatherAttributes(1, 1),
     [plain((3, 6, 2)), plain((3, 4), INT32)], None),
    ("gather-rows", "gather", GatherAttributes(0), [q8((9, 5), 0.1), plain((7,), INT32)],
     q8((7, 5), 0.1)),
    ("cast-bool", "cast", ConversionAttributes(BOOL), [plain(WIDE)], None),
    ("cast-from-bool", "cast", ConversionAttributes(FLOAT), [plain(WIDE, BOOL)], None),
    ("cast-int8", "cast", ConversionAttributes(INT8), [plain(WIDE, INT32)], None),
    ("cast-int64", "cast", ConversionAttributes(INT64), [plain(WIDE, INT32)], None),
    ("cast-float-to-int8", "cast", ConversionAttributes(INT8), [plain(WIDE)], None),
    ("select-stretched", "select", None,
     [plain((4, 1), BOOL), plain((5,), INT32), plain((4, 5), INT32)], None),
    ("weights-computed", "fully_connected", None,
     [plain((3, 8)), plain((5, 8)), plain((5,))], None),
    ("reshape-constant", "reshape", ReshapeAttributes((3, 2)),
     [(np.arange(6, dtype=np.float32),)], None),
    ("reshape", "reshape", ReshapeAttributes((6, 50)), [plain(WIDE, INT64)], None),
]  # fmt: skip


def numbers(random: np.random.Generator, op: str, index: int, type: TensorType) -> np.ndarray:
    if op == "gather" and index == 1:
        return random.integers(0, 6, type.shape).astype(np.int32)
    if type.dtype is BOOL:
        return random.random(type.shape) < 0.5
    if type.dtype is FLOAT:
        values = random.normal(0, 40, type.shape).clip(-127, 127).astype(np.float32)
        return np.where(random.random(type.shape) < 0.9, values, np.float32(0))
    if op == "cast" or (op == "not_equal" and type.quant is None):
        return random.integers(-9, 9, type.shape).astype(type.dtype.numpy)
    info = np.iinfo(type.dtype.numpy)
    values = random.integers(info.min, info.max, type.shape, type.dtype.numpy, endpoint=True)
    if op == "div" and index == 1 and type.quant is not None:
        values[values == type.quant.zero_point[0]] += 1 if type.quant.zero_point[0] < 0 else -1
    return values


@pytest.mark.parametrize(
    ("op", "attributes", "operands", "output"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_equals_its_meaning(
    op: str, attributes: Any, operands: list[Any], output: TensorType | None, tmp_path: Path
) -> None:
    graph = graph_of(op, attributes, operands, *([output] if output else []))
    is_tiny = any(getattr(type, "quant", None) and type.quant.scale[0] < 1e-6 for type in operands)
    random = seeded("further", op)
    given = {
        name: numbers(random, op, index, graph.type_of(name))
        for index, name in enumerate(graph.inputs)
    }
    options = [EmitOptions(name=f"m_{rounding.value}", rounding=rounding) for rounding in Rounding]
    programs = [(plan(graph), each) for each in options]
    for model, each in zip(compile_all(tmp_path, programs), options, strict=True):
        results = model.run(given)
        for name, expected in run(graph, given, rounding=each.rounding).items():
            if op == "fully_connected":  # numpy sums in another order
                np.testing.assert_allclose(results[name], expected, 1e-5, 1e-2)
                continue
            np.testing.assert_array_equal(results[name], expected)
            assert len(np.unique(expected)) > 1 or is_tiny


def test_a_zero_divisor_gives_an_end_of_the_range(tmp_path: Path) -> None:
    """numpy refuses it; a device has to go on."""
    operands = [q8((3,), 0.1, 3), q8((3,), 0.1, 5)]
    program = plan(graph_of("div", None, operands, q8((3,), 0.1)))
    (model,) = compile_all(tmp_path, [(program, EmitOptions(name="m"))])
    given = {"x0": np.array([10, 3, -10], np.int8), "x1": np.array([5, 5, 5], np.int8)}
    assert model.run(given)["y0"].tolist() == [127, 127, -128]


def test_an_index_outside_counts_as_the_nearest_inside(tmp_path: Path) -> None:
    operands = [plain((3, 2)), plain((4,), INT32)]
    program = plan(graph_of("gather", GatherAttributes(0), operands))
    (model,) = compile_all(tmp_path, [(program, EmitOptions(name="m"))])
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    indices = np.array([-5, 1, 3, 2**31 - 1], np.int32)
    np.testing.assert_array_equal(model.run({"x0": x, "x1": indices})["y0"], x[[0, 1, 2, 2]])


@pytest.mark.parametrize("dtype", QUANTIZED)
def test_no_float_in_an_integer_model(dtype: DType) -> None:
    real = {"quantize", "dequantize"}
    for name, each in pairs():
        if each is not dtype or name in real:
            continue
        made = next(singles(name, dtype))
        files = library(plan(made.graph), EmitOptions(name="m"))
        code = re.sub(r"/\*.*?\*/", "", files["m.c"] + files["m_kernels.h"], flags=re.DOTALL)
        code = code.replace("float align_reals;", "")  # only aligns the arena
        assert not re.search(r"\b(float|double)\b|math\.h", code), name
