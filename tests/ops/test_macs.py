"""MACs against a counter that walks over every output, tap and channel in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from single_operator import build, seeded

from budget.graph import DType, TensorType
from budget.ops import registry
from budget.ops.operator import Case, Padding

Count = tuple[int, int]  # all of the dense formula; those off the padding


def conv_2d(case: Case, x: TensorType, weights: TensorType, y: TensorType) -> Count:
    return _windowed(case, x, weights, y, weights.shape[3])


def depthwise_conv_2d(case: Case, x: TensorType, weights: TensorType, y: TensorType) -> Count:
    return _windowed(case, x, weights, y, 1)


def _windowed(case: Case, x: TensorType, w: TensorType, y: TensorType, depth: int) -> Count:
    a, dense, run = case.attributes, 0, 0
    for _, row, column, _ in product(*map(range, y.shape)):
        for tap_row, tap_column, _ in product(range(w.shape[1]), range(w.shape[2]), range(depth)):
            dense += 1
            at_row = row * a.stride[0] - a.padding.top + tap_row * a.dilation[0]
            at_column = column * a.stride[1] - a.padding.left + tap_column * a.dilation[1]
            run += 0 <= at_row < x.shape[1] and 0 <= at_column < x.shape[2]
    return dense, run


def transpose_conv_2d(case: Case, x: TensorType, weights: TensorType, y: TensorType) -> Count:
    a, dense, run = case.attributes, 0, 0
    for _, row, column, _ in product(*map(range, x.shape)):
        for _, tap_row, tap_column in product(*map(range, weights.shape[:3])):
            dense += 1
            to_row = row * a.stride[0] - a.padding.top + tap_row
            to_column = column * a.stride[1] - a.padding.left + tap_column
            run += 0 <= to_row < y.shape[1] and 0 <= to_column < y.shape[2]
    return dense, run


def fully_connected(case: Case, x: TensorType, weights: TensorType, y: TensorType) -> Count:
    dense = sum(1 for _ in product(range(y.element_count), range(weights.shape[1])))
    return dense, dense


def batch_matmul(case: Case, x: TensorType, other: TensorType, y: TensorType) -> Count:
    depth = x.shape[-2] if case.attributes.adj_x else x.shape[-1]
    dense = sum(1 for _ in product(range(y.element_count), range(depth)))
    return dense, dense


def recurrent(case: Case, x: TensorType, weights: TensorType, last: TensorType) -> Count:
    """Every gate of every unit reads the whole input and all units before it."""
    units = last.shape[-1]
    gates = weights.shape[0] // units
    steps = product(range(x.shape[0]), range(x.shape[1]), range(gates), range(units))
    dense = sum(1 for _ in steps for _ in range(x.shape[2] + units))
    return dense, dense


def svdf(case: Case, x: TensorType, features: TensorType, state: TensorType) -> Count:
    """Every filter reads the whole input, then every step that it remembers."""
    filters = features.shape[0]
    rows = product(range(x.shape[0]), range(filters))
    dense = sum(1 for _ in rows for _ in range(x.shape[1] + state.shape[1] // filters))
    return dense, dense


COUNTERS: dict[str, Callable[[Case, TensorType, TensorType, TensorType], Count]] = {
    counter.__name__: counter
    for counter in (conv_2d, depthwise_conv_2d, transpose_conv_2d, fully_connected, batch_matmul)
}
WITH_STATES = {"simple_rnn": recurrent, "gru": recurrent, "lstm": recurrent, "svdf": svdf}
COUNTERS.update(WITH_STATES)


def _cases(names: tuple[str, ...]) -> list[object]:
    return [
        pytest.param(name, case, id=f"{name}-{case.label}")
        for name in names
        for case in registry.get(name).cases()
    ]


@pytest.mark.parametrize(("name", "case"), _cases(tuple(COUNTERS)))
def test_macs_equal_a_walk_over_all_taps(name: str, case: Case) -> None:
    operator = registry.get(name)
    made = build(operator, case, case.dtypes[0], seeded("macs", name, case.label))
    x, weights = made.types[:2]
    assert x is not None and weights is not None
    cost = operator.cost(case.attributes, made.types, made.outputs)
    result = made.outputs[name in WITH_STATES]
    assert (cost.macs, cost.macs_run) == COUNTERS[name](case, x, weights, result)


@pytest.mark.parametrize("name", [n for n in registry.names() if n not in COUNTERS])
def test_other_operators_have_none(name: str) -> None:
    operator = registry.get(name)
    for case in operator.cases():
        made = build(operator, case, case.dtypes[0], seeded("macs", name, case.label))
        cost = operator.cost(case.attributes, made.types, made.outputs)
        assert cost.macs == cost.macs_run == 0


def test_macs_run_over_many_geometries() -> None:
    """The closed form of taps on the image, over every small geometry."""
    from budget.ops.windows import Slide

    for extent, before, after, taps, stride, dilation in product(
        (1, 2, 5, 6), (0, 1, 3), (0, 2), (1, 2, 3), (1, 2, 3), (1, 2, 3)
    ):
        if extent + before + after < (taps - 1) * dilation + 1:
            continue
        slide = Slide(extent, before, after, taps, stride, dilation)
        walked = [
            sum(0 <= place * stride - before + tap * dilation < extent for tap in range(taps))
            for place in range(slide.count)
        ]
        assert slide.inside == sum(walked)
        assert slide.inside_each().tolist() == walked


def test_a_mobile_layer_by_hand() -> None:
    """3×3 over 112×112 with SAME padding: each border row and column loses one tap of three."""
    operator = registry.get("depthwise_conv_2d")
    x = TensorType((1, 112, 112, 32), DType.FLOAT32)
    weights = TensorType((1, 3, 3, 32), DType.FLOAT32)
    attributes = operator.Attributes(padding=Padding(1, 1, 1, 1))
    cost = operator.cost(attributes, (x, weights), operator.infer(attributes, (x, weights)))
    assert cost.macs == 112 * 112 * 9 * 32
    assert cost.macs_run == (112 * 3 - 2) ** 2 * 32
