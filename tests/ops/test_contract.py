"""Every registered operator, every element type, every case, against its witness."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import witnesses
from single_operator import QUANTIZED, Single, build, inputs, seeded

from budget.graph import DType
from budget.ops import registry
from budget.ops.operator import Activation, Case, Operator

EPSILON = float(np.finfo(np.float32).eps)


def _all() -> list[tuple[Operator, DType, Case]]:
    return [
        (operator, dtype, case)
        for operator in map(registry.get, registry.names())
        for case in operator.cases()
        for dtype in case.dtypes
    ]


def _id(value: object) -> str:
    if isinstance(value, Operator):
        return value.name
    return value.label if isinstance(value, Case) else str(value)


def where(wanted: Callable[[Operator, DType], bool]) -> pytest.MarkDecorator:
    """Every operator, element type and case for which a test says something."""
    chosen = [each for each in _all() if wanted(each[0], each[1])]
    return pytest.mark.parametrize(("operator", "dtype", "case"), chosen, ids=_id)


every = where(lambda operator, dtype: True)


@cache
def single(operator: Operator, dtype: DType, label: str, variant: int) -> Single:
    case = next(case for case in operator.cases() if case.label == label)
    return build(operator, case, dtype, seeded(operator.name, dtype, label, variant))


def float_tolerance(made: Single, x: list[np.ndarray | None], result: np.ndarray, index: int = 0):
    """How far float32 results may lie apart.

    Where products are summed: (K + 8) · eps · the sum of their magnitudes, the bound on the error
    of a sum of K terms in any order. Elsewhere 1e-5 of the value, or 2e-6. Where such sums pass
    functions whose slope is at most 1, four times the first for values up to 1.
    """
    types = [type for type in made.types]
    cost = made.operator.cost(made.case.attributes, types, made.outputs)
    if not cost.macs:
        return 2e-6 + 1e-5 * np.abs(result)
    attributes = made.case.attributes
    if hasattr(attributes, "function"):
        depth = cost.macs / made.outputs[0].element_count
        return 4 * (depth + 8) * EPSILON * np.maximum(np.abs(result), 1)
    if hasattr(attributes, "activation"):
        attributes = dataclasses.replace(attributes, activation=Activation.NONE)
    depth = cost.macs / made.outputs[0].element_count
    magnitudes = [None if value is None else np.abs(value) for value in x]
    return (depth + 8) * EPSILON * made.operator.run_float(attributes, magnitudes)[index]


@every
@pytest.mark.parametrize("variant", range(2))
def test_equals_its_witness(operator: Operator, dtype: DType, case: Case, variant: int) -> None:
    made = single(operator, dtype, case.label, variant)
    random = seeded("inputs", operator.name, dtype, case.label, variant)
    witness = made.litert
    if operator.witness != "litert" and not made.is_quantized:
        pytest.importorskip("tensorflow")
        witness = witnesses.of(operator, case)
    for x in inputs(made, random):
        expected = witness(x)
        results = made.run(x)
        assert len(results) == len(expected) == len(made.outputs)
        for index, (result, other, type) in enumerate(zip(results, expected, made.outputs)):
            assert result.shape == other.shape == type.shape
            assert result.dtype == other.dtype == type.dtype.numpy
            if type.dtype.is_float:
                tolerance = float_tolerance(made, x, other, index)
                assert np.all((np.abs(result - other) <= tolerance) | (result == other))
            else:
                np.testing.assert_array_equal(result, other)


@where(lambda operator, dtype: dtype in QUANTIZED)
def test_outputs_neither_all_saturate_nor_vanish(
    operator: Operator, dtype: DType, case: Case
) -> None:
    """Else equality shows nothing."""
    made = single(operator, dtype, case.label, 0)
    if made.outputs[0].element_count < 4 or made.outputs[0].dtype not in QUANTIZED:
        return
    x = next(inputs(made, seeded("spread", operator.name, dtype, case.label)))
    assert len(np.unique(made.run(x)[0])) > 1


@every
def test_cost_is_whole_and_not_negative(operator: Operator, dtype: DType, case: Case) -> None:
    made = single(operator, dtype, case.label, 0)
    cost = operator.cost(case.attributes, made.types, made.outputs)
    for field in dataclasses.fields(cost):
        value = getattr(cost, field.name)
        assert type(value) is int and value >= 0, field.name
    assert cost.macs_run <= cost.macs


@where(lambda operator, dtype: bool(operator.overwrites))
def test_what_it_overwrites_it_no_longer_needs(
    operator: Operator, dtype: DType, case: Case
) -> None:
    """Output element i depends on no element behind i of an operand whose memory it may take."""
    made = single(operator, dtype, case.label, 0)
    random = seeded("overwrites", operator.name, dtype, case.label)
    for index in operator.overwrites:
        type = made.types[index] if index < len(made.types) else None
        if type is None or type.shape != made.outputs[0].shape or not type.shape:
            continue
        if made.constants[index] is not None or type.dtype is DType.BOOL:
            continue
        x, other = list(inputs(made, random, 2))[:2]
        place = int(random.integers(type.element_count))
        changed = list(x)
        changed[index] = np.concatenate([x[index].ravel()[:place], other[index].ravel()[place:]])
        changed[index] = changed[index].reshape(type.shape)
        before, after = made.run(x)[0].ravel(), made.run(changed)[0].ravel()
        np.testing.assert_array_equal(before[:place], after[:place])


@where(lambda operator, dtype: operator.is_view)
def test_a_view_keeps_every_byte(operator: Operator, dtype: DType, case: Case) -> None:
    made = single(operator, dtype, case.label, 0)
    x = next(inputs(made, seeded("view", operator.name, dtype, case.label)))
    assert made.run(x)[0].tobytes() == x[0].tobytes()


def test_labels_are_unique() -> None:
    for name in registry.names():
        labels = [case.label for case in registry.get(name).cases()]
        assert len(labels) == len(set(labels)), name
