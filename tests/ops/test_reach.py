"""The distance at which an output may lie over its input is exact: one byte less destroys it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from budget.errors import ModelError
from budget.graph import DType, Node, TensorType
from budget.ops import Padding, get
from budget.plan.accesses import destroys_input

WINDOWS = ("conv_2d", "depthwise_conv_2d", "average_pool_2d", "max_pool_2d", "l2_pool_2d")
OPERATORS = (*WINDOWS, "fully_connected")


def reads(op: str, attributes, x, weights, y) -> Iterator[list[int]]:
    """For each output element in memory order, the input elements that it reads."""
    if op == "fully_connected":
        out, depth = weights
        for row in range(int(np.prod(x)) // depth):
            for _ in range(out):
                yield list(range(row * depth, (row + 1) * depth))
        return
    number = np.arange(int(np.prod(x))).reshape(x)
    taps = weights[1:3] if weights else attributes.filter
    dilation = getattr(attributes, "dilation", (1, 1))
    for n, row, column, channel in np.ndindex(*y):
        seen = []
        for tap_h, tap_w in np.ndindex(*taps):
            h = row * attributes.stride[0] - attributes.padding.top + tap_h * dilation[0]
            w = column * attributes.stride[1] - attributes.padding.left + tap_w * dilation[1]
            if not (0 <= h < x[1] and 0 <= w < x[2]):
                continue
            if op == "conv_2d":
                groups = x[3] // weights[3]
                group = channel // (weights[0] // groups)
                channels = range(group * weights[3], (group + 1) * weights[3])
            elif op == "depthwise_conv_2d":
                channels = range(channel // (y[3] // x[3]), channel // (y[3] // x[3]) + 1)
            else:
                channels = range(channel, channel + 1)
            seen += [int(number[n, h, w, c]) for c in channels]
        yield seen


def survives(order: list[list[int]], x_bytes: int, y_bytes: int, distance: int, size: int) -> bool:
    """Plays reads and writes byte by byte; output starts ``distance`` bytes below the input."""
    intact = [True] * (size * x_bytes)
    for index, seen in enumerate(order):
        if not all(all(intact[i * x_bytes : (i + 1) * x_bytes]) for i in seen):
            return False
        for address in range(index * y_bytes - distance, (index + 1) * y_bytes - distance):
            if 0 <= address < len(intact):
                intact[address] = False
    return True


def cases() -> Iterator[tuple[str, object, list[tuple[int, ...]]]]:
    for op in OPERATORS:
        for case in get(op).cases():
            yield op, case.attributes, [o.shape for o in case.operands if o is not None]
    source = random.Random(3)

    def draw(high: int) -> int:
        return source.randint(1, high)

    for index in range(150):
        op = WINDOWS[index % 4]
        x = (draw(2), draw(6), draw(6), draw(4))
        taps = (draw(3), draw(3))
        padding = Padding(*(source.randint(0, t - 1) for t in (taps[0], taps[0], *taps[1:] * 2)))
        stride = (draw(3), draw(3))
        if op.endswith("pool_2d"):
            yield op, get(op).Attributes(taps, stride, padding), [x]
            continue
        weights = (1, *taps, x[3] * draw(3))
        if op == "conv_2d":
            groups = source.choice([g for g in (1, 2, 3, 4) if x[3] % g == 0])
            weights = (groups * draw(3), *taps, x[3] // groups)
        yield op, get(op).Attributes(stride, (draw(2), draw(2)), padding), [x, weights]


def typed(shape: tuple[int, ...], size_bytes: int) -> TensorType:
    return TensorType(shape, {1: DType.INT8, 2: DType.INT16, 4: DType.FLOAT32}[size_bytes])


@pytest.mark.parametrize(("x_bytes", "y_bytes"), [(1, 1), (2, 2), (4, 4), (1, 4), (4, 1)])
def test_the_reach_is_exact(x_bytes: int, y_bytes: int) -> None:
    compared = tight = 0
    for op, attributes, shapes in cases():
        operator = get(op)
        x = typed(shapes[0], x_bytes)
        operands = [x, *(typed(shape, 1) for shape in shapes[1:])]
        try:
            (y,) = operator.infer(attributes, operands)
        except ModelError:  # a drawn window that does not fit
            continue
        y = replace(y, dtype=typed((), y_bytes).dtype)
        distance = operator.reach_bytes(attributes, operands, [y])
        assert distance is not None and distance >= 0
        weights = shapes[1] if len(shapes) > 1 else ()
        order = list(reads(op, attributes, x.shape, weights, y.shape))
        assert len(order) == y.element_count
        for further in (0, 1, 5):
            assert survives(order, x_bytes, y_bytes, distance + further, x.element_count)
        if distance:
            assert not survives(order, x_bytes, y_bytes, distance - 1, x.element_count), op
            tight += 1
        if op != "l2_pool_2d":
            names = [f"i{index}" for index in range(len(operands))]
            node = Node("n", op, tuple(names), ("y",), attributes)
            types = {**dict(zip(names, operands)), "y": y}
            for nearer in (0, 1, 2, 7):
                lives = survives(order, x_bytes, y_bytes, distance - nearer, x.element_count)
                assert destroys_input(node, types, 1000, 1000 - distance + nearer, 0) is not lives
        compared += 1
    assert compared > 150
    assert tight > 30


def test_a_lookahead_only_ever_moves_the_output_further_away() -> None:
    for op, attributes, shapes in cases():
        x = typed(shapes[0], 1)
        operands = [x, *(typed(shape, 1) for shape in shapes[1:])]
        try:
            (y,) = get(op).infer(attributes, operands)
        except ModelError:
            continue
        distances = [get(op).reach_bytes(attributes, operands, [y], ahead) for ahead in range(3)]
        assert distances[0] is not None and distances[1] is not None and distances[2] is not None
        assert distances[0] <= distances[1] <= distances[2]
        if op == "l2_pool_2d":
            continue
        names = [f"i{index}" for index in range(len(operands))]
        node = Node("n", op, tuple(names), ("y",), attributes)
        types = {**dict(zip(names, operands)), "y": y}
        for ahead, distance in enumerate(distances):
            assert distance is not None
            assert not destroys_input(node, types, 1000, 1000 - distance, ahead)


def test_operators_without_an_order_have_no_reach() -> None:
    x = typed((1, 4), 1)
    assert get("softmax").reach_bytes(get("softmax").Attributes(), [x], [x]) is None
