"""Slices, splits and joins that cost no copy, and those that must copy."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from budget.errors import InvalidGraphError
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import get
from budget.plan import Location, plan
from budget.plan.checker import check_plan

QUANT = QuantParams.per_tensor(0.1, 3)


@pytest.mark.parametrize(
    "op", ["slice", "strided_slice", "split", "unpack", "reshape", "transpose"]
)
def test_runs_are_found_exactly(op: str) -> None:
    """An output is a run of its input if and only if its indices follow one another."""
    operator = get(op)
    for case in operator.cases():
        x = TensorType(case.operands[0].shape, DType.INT8)
        indices = np.arange(x.element_count).reshape(x.shape)
        outputs = [out.reshape(-1) for out in operator.run_float(case.attributes, [indices])]
        runs = [out.size and np.array_equal(out, out[0] + np.arange(out.size)) for out in outputs]
        found = operator.part_offsets(case.attributes, x)
        if op in {"reshape", "transpose"}:
            assert found is None
        elif all(runs):
            assert found == tuple(int(out[0]) for out in outputs), case.label
        else:
            assert found is None, case.label


def test_joins_are_found_exactly() -> None:
    for case in get("concat").cases():
        types = [TensorType(operand.shape, DType.INT8) for operand in case.operands]
        starts = np.cumsum([0, *(type.element_count for type in types)])
        values = [
            start + np.arange(type.element_count).reshape(type.shape)
            for start, type in zip(starts, types)
        ]
        attributes = replace(case.attributes, activation=type(case.attributes.activation)("none"))
        (joined,) = get("concat").run_float(attributes, values)
        is_end_to_end = np.array_equal(joined.reshape(-1), np.arange(joined.size))
        found = get("concat").joined_offsets(attributes, types)
        assert found == (tuple(int(s) for s in starts[:-1]) if is_end_to_end else None)


class Rows:
    """Networks on images of 8 rows."""

    def __init__(self, width: int = 4) -> None:
        self.builder = GraphBuilder("rows")
        self.x = self.builder.input("x", self.type((1, 8, width, 4)))

    def type(self, shape: tuple[int, ...], quant: QuantParams = QUANT) -> TensorType:
        return TensorType(shape, DType.INT8, quant)

    def add(self, name: str, op: str, inputs: list[str], attributes, quant=QUANT) -> str:
        types = [self.builder.tensors[i].type for i in inputs]
        (found,) = get(op).infer(attributes, types)
        self.builder.tensor(name, self.type(found.shape, quant))
        self.builder.node(op, inputs, [name], attributes)
        return name

    def slice(self, name: str, source: str, first: int, count: int) -> str:
        shape = self.builder.tensors[source].type.shape
        attributes = get("slice").Attributes((0, first, 0, 0), (1, count, *shape[2:]))
        return self.add(name, "slice", [source], attributes)

    def pool(self, name: str, source: str) -> str:
        return self.add(name, "max_pool_2d", [source], get("max_pool_2d").Attributes((1, 2)))

    def join(self, name: str, *sources: str) -> str:
        return self.add(name, "concat", list(sources), get("concat").Attributes(1))

    def build(self, *outputs: str) -> Graph:
        self.builder.output(*outputs)
        return self.builder.build()


def halves(width: int = 4) -> Graph:
    rows = Rows(width)
    top, bottom = rows.slice("top", "x", 0, 4), rows.slice("bottom", "x", 4, 4)
    rows.join("whole", rows.pool("a", top), rows.pool("b", bottom))
    return rows.build(rows.pool("y", "whole"))


def test_slices_and_joins_cost_nothing() -> None:
    program = plan(halves(), overlay=False)
    kernels = {step.node.op: step.kernel for step in program.steps}
    assert kernels["slice"] == kernels["concat"] == ""
    assert program.locations["bottom"] == Location("x", 64)
    assert program.locations["b"] == Location("whole", 48)
    sizes = {name: prod(program.types[name].shape) for name in ("x", "whole", "y")}
    assert program.arena_bytes == sizes["x"] + sizes["whole"]


def test_parts_that_break_the_alignment_are_copied() -> None:
    rows = Rows(5)
    attributes = get("slice").Attributes((0, 0, 0, 0), (1, 8, 5, 4))
    rows.add("all", "slice", ["x"], attributes)
    rows.builder.tensors["x"] = replace(rows.builder.tensors["x"], type=rows.type((1, 8, 5, 3)))
    odd = rows.slice("odd", "x", 3, 4)
    program = plan(rows.build(rows.pool("y", odd)).replace(nodes=rows.builder.nodes[1:]))
    assert program.steps[0].kernel == "slice"


def test_a_small_part_of_a_large_tensor_is_copied_if_it_lives_long() -> None:
    rows = Rows(64)
    same = get("max_pool_2d").Attributes((1, 1))
    current = large = rows.add("large", "max_pool_2d", ["x"], same)
    small = rows.slice("small", large, 0, 1)
    for index in range(3):
        current = rows.add(f"p{index}", "max_pool_2d", [current], same)
    row = rows.slice("row", current, 0, 1)
    rows.add("y", "add", [row, small], get("add").Attributes())
    program = plan(rows.build("y"), overlay=False)
    assert next(s for s in program.steps if s.node.name == "small").kernel == "slice"


def test_joins_of_other_scales_and_of_inputs_are_copied() -> None:
    for quant, sources in ((QuantParams.per_tensor(0.2, 3), ("a", "b")), (QUANT, ("a", "x"))):
        rows = Rows()
        rows.add("a", "max_pool_2d", ["x"], get("max_pool_2d").Attributes((1, 1)), quant)
        rows.add("b", "max_pool_2d", ["x"], get("max_pool_2d").Attributes((1, 1)), quant)
        rows.join("y", *sources)
        program = plan(rows.build("y"))
        assert program.steps[-1].kernel == "concat"


def test_a_part_in_a_wrong_place_is_found() -> None:
    program = plan(halves())
    for name, offset in (("bottom", 32), ("b", 44), ("bottom", 65), ("top", 4)):
        where = replace(program.locations[name], offset_bytes=offset)
        bad = replace(program, locations={**program.locations, name: where})
        with pytest.raises(InvalidGraphError):
            check_plan(bad)
