"""Operators that walk tensors in many dimensions: drawn shapes of one to five dimensions.

Each seed draws one use of an operator; numpy says what must come out. All uses of an operator are
compiled into one library.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from single_operator import seeded
from test_operators import compile_all
from test_step_refusals import graph_of

from budget.codegen import EmitOptions
from budget.codegen.source import write_steps
from budget.errors import UnsupportedModelError
from budget.graph import DType, QuantParams, TensorType
from budget.ops import registry
from budget.ops.elementwise import AddAttributes
from budget.ops.indexing import ArgAttributes
from budget.ops.interpreter import run
from budget.ops.reduction import ReduceAttributes
from budget.ops.shaping import (
    ConcatAttributes,
    MirrorMode,
    MirrorPadAttributes,
    PackAttributes,
    PadAttributes,
    SliceAttributes,
    SplitAttributes,
    StridedSliceAttributes,
    TransposeAttributes,
)
from budget.plan import plan

COUNT = 24
Random = np.random.Generator
Shape = tuple[int, ...]
QUANT = QuantParams.per_tensor(0.1, 3)


def shape_of(random: Random, least: int = 1, most: int = 5) -> Shape:
    rank = int(random.integers(least, most + 1))
    return tuple(int(extent) for extent in random.integers(1, 5, rank))


def stretchable(random: Random, shape: Shape) -> Shape:
    """A shape that broadcasts to another."""
    kept = shape[int(random.integers(0, len(shape))) :]
    return tuple(1 if random.random() < 0.4 else extent for extent in kept)


def transpose(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    return TransposeAttributes(tuple(map(int, random.permutation(len(shape))))), [shape]


def slice_(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    begin = tuple(int(random.integers(0, extent)) for extent in shape)
    size = tuple(
        int(random.integers(1, extent - b + 1)) for b, extent in zip(begin, shape, strict=True)
    )
    return SliceAttributes(begin, size), [shape]


def strided_slice(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    begin, end, stride = [], [], []
    for extent in shape:
        if random.random() < 0.5:
            begin.append(int(random.integers(0, extent)))
            end.append(int(random.integers(begin[-1] + 1, extent + 1)))
            stride.append(int(random.integers(1, 3)))
        else:
            begin.append(extent - 1)
            end.append(int(random.integers(-1, extent - 1)))
            stride.append(-int(random.integers(1, 3)))
    return StridedSliceAttributes(tuple(begin), tuple(end), tuple(stride)), [shape]


def pad(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    return PadAttributes(
        tuple((int(a), int(b)) for a, b in random.integers(0, 3, (len(shape), 2)))
    ), [shape]


def mirror_pad(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    mode = MirrorMode(random.choice(list(MirrorMode)))
    first = int(random.integers(0, len(shape)))
    spare = 1 if mode is MirrorMode.REFLECT else 0
    paddings = [
        tuple(map(int, random.integers(0, extent - spare + 1, 2)))
        if first <= axis <= first + 1
        else (0, 0)
        for axis, extent in enumerate(shape)
    ]
    return MirrorPadAttributes(tuple((a, b) for a, b in paddings), mode), [shape]


def concat(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    axis = int(random.integers(0, len(shape)))
    others = [
        (*shape[:axis], int(random.integers(1, 4)), *shape[axis + 1 :])
        for _ in range(int(random.integers(0, 3)))
    ]
    return ConcatAttributes(axis), [shape, *others]


def split(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    axis = int(random.integers(0, len(shape)))
    cut = int(random.integers(0, shape[axis]))
    sizes = (cut, shape[axis] - cut) if cut else (shape[axis],)
    return SplitAttributes(axis, sizes), [shape]


def pack(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random, most=4)
    axis = int(random.integers(0, len(shape) + 1))
    return PackAttributes(axis), [shape] * int(random.integers(1, 4))


def unpack(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random, least=2)
    return PackAttributes(int(random.integers(0, len(shape)))), [shape]


def reduce(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    axes = tuple(axis for axis in range(len(shape)) if random.random() < 0.5)
    return ReduceAttributes(axes, bool(random.random() < 0.5)), [shape]


def arg(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    return ArgAttributes(int(random.integers(0, len(shape)))), [shape]


def pair(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    shapes = [shape, stretchable(random, shape)]
    if random.random() < 0.5:
        shapes = shapes[::-1]
    return None, shapes


def both_stretched(random: Random) -> tuple[Any, list[Shape]]:
    shape = shape_of(random)
    return None, [stretchable(random, shape), stretchable(random, shape)]


DRAWN: list[tuple[str, Callable[[Random], tuple[Any, list[Shape]]]]] = [
    ("transpose", transpose),
    ("slice", slice_),
    ("strided_slice", strided_slice),
    ("pad", pad),
    ("mirror_pad", mirror_pad),
    ("concat", concat),
    ("split", split),
    ("pack", pack),
    ("unpack", unpack),
    ("reduce_max", reduce),
    ("mean", reduce),
    ("arg_min", arg),
    ("add", pair),
    ("add", both_stretched),
    ("maximum", pair),
    ("less", both_stretched),
]


@pytest.mark.parametrize(("op", "draw"), DRAWN, ids=[f"{op}-{draw.__name__}" for op, draw in DRAWN])
@pytest.mark.parametrize("dtype", [DType.INT8, pytest.param(DType.FLOAT32, marks=pytest.mark.slow)])
def test_drawn(
    op: str,
    draw: Callable[[Random], tuple[Any, list[Shape]]],
    dtype: DType,
    tmp_path: Path,
) -> None:
    quant = QUANT if dtype is DType.INT8 else None
    programs, graphs, refused = [], [], 0
    for seed in range(COUNT):
        random = seeded("drawn", op, draw.__name__, seed)
        attributes, shapes = draw(random)
        operator = registry.get(op)
        if attributes is None:
            attributes = AddAttributes() if op == "add" else operator.Attributes()
        operands = [TensorType(shape, dtype, quant) for shape in shapes]
        outputs = [
            TensorType(type.shape, type.dtype, quant if type.dtype is dtype else None)
            for type in operator.infer(attributes, operands)
        ]
        program = plan(graph_of(op, attributes, operands, *outputs))
        options = EmitOptions(name=f"m{seed}")
        try:
            write_steps(program, options)
        except UnsupportedModelError:
            refused += 1
            continue
        programs.append((program, options))
        graphs.append(program.graph)
    assert refused <= COUNT // 10
    random = seeded("data", op, draw.__name__)
    for model, graph in zip(compile_all(tmp_path, programs), graphs, strict=True):
        given = {name: numbers(random, graph.type_of(name)) for name in graph.inputs}
        results = model.run(given)
        for name, expected in run(graph, given).items():
            if dtype is DType.FLOAT32 and op == "mean":
                np.testing.assert_allclose(results[name], expected, 1e-5, 1e-6)
            else:
                np.testing.assert_array_equal(results[name], expected)


def numbers(random: Random, type: TensorType) -> np.ndarray:
    if type.dtype is DType.FLOAT32:
        return random.normal(0, 1, type.shape).astype(np.float32)
    return random.integers(-128, 128, type.shape).astype(np.int8)


def test_numbers_without_a_literal(tmp_path: Path) -> None:
    """Masks hold infinities; a broken model may hold what is not a number."""
    values = np.array([np.inf, -np.inf, np.nan, 1e-45, 3.4e38, -0.0], np.float32)
    operands = [TensorType((6,), DType.FLOAT32), (values,)]
    padding = PadAttributes(((1, 0),), -np.inf)
    programs = [
        (plan(graph_of("add", AddAttributes(), operands)), EmitOptions(name="sum")),
        (plan(graph_of("pad", padding, operands[:1])), EmitOptions(name="border")),
    ]
    x = np.arange(6, dtype=np.float32)
    sums, padded = (next(iter(m.run({"x0": x}).values())) for m in compile_all(tmp_path, programs))
    np.testing.assert_array_equal(sums, x + values)
    np.testing.assert_array_equal(padded, [-np.inf, *x])
