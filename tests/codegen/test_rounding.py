"""The table in docs/rounding.md, row by row, against what operators and emitted code do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from single_operator import QUANTIZED, build, inputs, seeded
from test_operators import code_of

from budget.graph import DType, Graph, QuantParams, TensorType
from budget.ops import Case, QuantizedCall, Rounding, registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.fixed_point import quantize_multiplier
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.matmul import BatchMatmulAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.transpose_convolution import TransposeConv2DAttributes
from budget.plan import plan

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "rounding.md"


@dataclass(frozen=True)
class Row:
    """One operator and element type of the table.

    Attributes:
        bias: ``32``, ``64``, or empty where the row says nothing about it.
        ways: what the table says, by rounding.
    """

    operator: str
    dtype: DType
    bias: str
    ways: dict[Rounding, str]


def rows() -> list[Row]:
    found = []
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = lines.index("| operator | activations | TFLITE | TFLM |") + 2
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        names, activations, host, device = (cell.strip() for cell in line.strip("|").split("|"))
        kinds, bias = [part.strip() for part in activations.split(",")], ""
        if "bias" in kinds[-1]:
            bias = kinds.pop()[:2]
        for name in names.split(","):
            for kind in kinds:
                ways = {Rounding.TFLITE: host, Rounding.TFLM: device}
                found.append(Row(name.strip(" `"), DType(kind), bias, ways))
    return found


def named(row: Row) -> str:
    return f"{row.operator}-{row.dtype.value}-{row.bias}"


def cases_of(row: Row) -> list[Case]:
    """The operator's cases with that element type and bias; `sum` shares those of `mean`."""
    source = "mean" if row.operator == "sum" else row.operator
    fitting = []
    for case in registry.get(source).cases():
        bias = case.operands[2] if len(case.operands) > 2 else None
        is_32_bit = bias is not None and bias.dtype is DType.INT32
        if row.dtype not in case.dtypes and row.operator != "sum":
            continue
        if not row.bias or is_32_bit == (row.bias == "32"):
            fitting.append(case)
    return fitting


def test_the_table_has_every_operator_and_type_once() -> None:
    listed = [(row.operator, row.dtype, row.bias) for row in rows()]
    assert len(listed) == len(set(listed))
    tested = {
        (name, dtype)
        for name in registry.names()
        for dtype in QUANTIZED
        if any(dtype in case.dtypes for case in registry.get(name).cases())
    }
    assert tested <= {(name, dtype) for name, dtype, _ in listed}


# scales at which a table and fixed-point arithmetic give different results, which is rare
TELLING = {"logistic": (4.413231, -56), "tanh": (0.008849755859972021, 15)}


def with_telling_scale(graph: Graph) -> Graph:
    """The graph with such a scale for its 8-bit input, where there is one for its operator."""
    (name,) = graph.inputs[:1] or ("",)
    telling = TELLING.get(graph.nodes[0].op)
    if telling is None or graph.type_of(name).dtype is not DType.INT8:
        return graph
    type = replace(graph.type_of(name), quant=QuantParams.per_tensor(*telling))
    tensors = {**graph.tensors, name: replace(graph.tensors[name], type=type)}
    return replace(graph, tensors=tensors)


@pytest.mark.parametrize("row", rows(), ids=named)
def test_both_roundings_give_one_code_where_the_table_says_one_way(row: Row) -> None:
    operator = registry.get(row.operator)
    is_same = len(set(row.ways.values())) == 1
    differing = 0
    for case in cases_of(row):
        for seed in range(1 if is_same else 8):
            made = build(operator, case, row.dtype, seeded("rounding", named(row), seed))
            program = plan(with_telling_scale(made.graph))
            host, device = (code_of(program, rounding) for rounding in Rounding)
            differing += host != device
            if is_same:
                x = next(inputs(made, seeded(named(row)), 1))
                for one, two in zip(*(made.run(x, rounding) for rounding in Rounding)):
                    np.testing.assert_array_equal(one, two, case.label)
    assert (differing == 0) == is_same


# what the table's words mean, in whole numbers of any size
WAYS = {
    "twice": lambda total, q, shift: _shift_away(_shift_up(total * q, 31), -shift),
    "once": lambda total, q, shift: _shift_up(total * q, 31 - shift),
    "reduced": lambda total, q, shift: _shift_up(
        total * min((q + (1 << 15)) >> 16, 0x7FFF), 15 - shift
    ),
}


def _shift_up(x: int, places: int) -> int:
    """Divided by a power of two, to nearest, halves up."""
    return (x + (1 << (places - 1))) >> places


def _shift_away(x: int, places: int) -> int:
    """The same, halves away from zero."""
    half = (1 << places) >> 1
    return (abs(x) + half >> places) * (1 if x >= 0 else -1)


COUNT = 4000
# operators that multiply sums of products: attributes, shape of the input, shape of the weights
SUMS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "conv_2d": (ConvolutionAttributes(), (1, 1, COUNT, 1), (1, 1, 1, 1)),
    "depthwise_conv_2d": (ConvolutionAttributes(), (1, 1, COUNT, 1), (1, 1, 1, 1)),
    "transpose_conv_2d": (TransposeConv2DAttributes((1, COUNT)), (1, 1, COUNT, 1), (1, 1, 1, 1)),
    "fully_connected": (FullyConnectedAttributes(), (COUNT, 1), (1, 1)),
    "batch_matmul": (BatchMatmulAttributes(), (COUNT, 1), (1, 1)),
    "sum": (ReduceAttributes((1,), keep_dims=True), (COUNT, 1), ()),
}


def sums_and_results(row: Row, rounding: Rounding) -> tuple[list[int], np.ndarray, float]:
    """Sums of one product each, what the operator makes of them, and the factor between."""
    random = seeded("ways", named(row), rounding)
    attributes, shape, filters = SUMS[row.operator]
    largest, unit = (127, 1) if row.dtype is DType.INT8 else (32767, 1 / 128)
    x_scale, w_scale, y_scale = np.float32(random.uniform(0.01, 0.02, 3) * unit)
    if row.operator == "sum":
        y_scale = np.float32(x_scale * 1.37)
    x = random.integers(-largest, largest + 1, shape).astype(row.dtype.numpy)
    totals, values = x.astype(np.int64).ravel(), [x]
    types = [TensorType(shape, row.dtype, QuantParams.per_tensor(float(x_scale)))]
    factor = float(x_scale) / float(y_scale)
    if filters:
        both_wide = row.operator == "batch_matmul"
        dtype = row.dtype if both_wide else DType.INT8
        weight = random.integers(80, 128, filters).astype(dtype.numpy)
        totals, values = totals * int(weight.ravel()[0]), [x, weight]
        types.append(TensorType(filters, dtype, QuantParams.per_tensor(float(w_scale))))
        product = float(x_scale * w_scale) if both_wide else float(x_scale) * float(w_scale)
        factor = product / float(y_scale)
        if not both_wide:
            is_64_bit = row.dtype is DType.INT16 and row.bias != "32"
            dtype = DType.INT64 if is_64_bit else DType.INT32
            bias = random.integers(-5000, 5000, (1,)).astype(dtype.numpy)
            totals = totals + int(bias[0])
            values.append(bias)
            types.append(TensorType((1,), dtype, QuantParams.per_tensor(float(x_scale * w_scale))))
    y_type = TensorType(shape, row.dtype, QuantParams.per_tensor(float(y_scale)))
    call = QuantizedCall(tuple(types), (y_type,), rounding)
    results = registry.get(row.operator).run_quantized(attributes, values, call)[0]
    return totals.tolist(), results.ravel(), factor


@pytest.mark.parametrize("row", [row for row in rows() if row.operator in SUMS], ids=named)
@pytest.mark.parametrize("rounding", list(Rounding))
def test_sums_are_rounded_as_the_table_says(row: Row, rounding: Rounding) -> None:
    totals, results, factor = sums_and_results(row, rounding)
    q, shift = quantize_multiplier(factor)
    largest = 127 if row.dtype is DType.INT8 else 32767
    expected = [
        max(-largest - 1, min(largest, WAYS[row.ways[rounding]](total, q, shift)))
        for total in totals
    ]
    np.testing.assert_array_equal(results, expected)
    assert len(set(expected)) > 20


def test_the_ways_differ() -> None:
    """Else the test above could not tell them apart."""
    random = seeded("ways differ")
    q = 1518500250
    totals = [int(total) for total in random.integers(-(10**6), 10**6, 100_000)]
    twice, once, reduced = (
        [WAYS[way](total, q, -9) for total in totals] for way in ("twice", "once", "reduced")
    )
    assert twice != once and once != reduced and twice != reduced
