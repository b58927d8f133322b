"""Drawn layers against LiteRT: shapes, strides, padding, dilation, quantisation, values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from single_operator import build, inputs

from budget.graph import DType
from budget.ops import registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.operator import NO_PADDING, Activation, Case, Operand, Padding

INTEGERS = (DType.INT8, DType.INT16)
small = st.integers(1, 4)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
activations = st.sampled_from(list(Activation))


@st.composite
def geometries(draw: Any) -> tuple[tuple[int, int], tuple[int, int], ConvolutionAttributes]:
    """Image size, window and attributes with a padding that is none, SAME or any."""
    image = draw(st.tuples(st.integers(1, 10), st.integers(1, 10)))
    window, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    reach = [(taps - 1) * gap + 1 for taps, gap in zip(window, dilation)]
    kind = draw(st.sampled_from(["none", "same", "any"]))
    if kind == "none":
        image = (max(image[0], reach[0]), max(image[1], reach[1]))
        padding = NO_PADDING
    elif kind == "same":
        total = [
            max((-(-extent // step) - 1) * step + length - extent, 0)
            for extent, step, length in zip(image, stride, reach)
        ]
        padding = Padding(
            total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2
        )
    else:
        around = st.integers(0, 3)
        padding = Padding(draw(around), draw(around), draw(around), draw(around))
        image = (
            max(image[0], reach[0] - padding.top - padding.bottom),
            max(image[1], reach[1] - padding.left - padding.right),
        )
    return image, window, ConvolutionAttributes(stride, dilation, padding, draw(activations))


def weighted(
    x: tuple[int, ...], weights: tuple[int, ...], out: int, axis: int | None
) -> tuple[Operand, ...]:
    return (
        Operand(x),
        Operand(weights, is_constant=True, role="weights", axis=axis),
        Operand((out,), is_constant=True, role="bias"),
    )


@st.composite
def convolutions(draw: Any) -> tuple[str, Case]:
    image, window, attributes = draw(geometries())
    groups, depth, per_group = draw(st.integers(1, 3)), draw(small), draw(small)
    x = (draw(st.integers(1, 2)), *image, groups * depth)
    weights = (groups * per_group, *window, depth)
    axis = draw(st.sampled_from([0, None]))
    return "conv_2d", Case("drawn", attributes, weighted(x, weights, weights[0], axis))


@st.composite
def depthwise(draw: Any) -> tuple[str, Case]:
    image, window, attributes = draw(geometries())
    channels, multiplier = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    x = (draw(st.integers(1, 2)), *image, channels)
    weights = (1, *window, channels * multiplier)
    axis = draw(st.sampled_from([3, None]))
    return "depthwise_conv_2d", Case("drawn", attributes, weighted(x, weights, weights[3], axis))


@st.composite
def fully_connected(draw: Any) -> tuple[str, Case]:
    batch, depth, out = draw(small), draw(st.integers(1, 80)), draw(st.integers(1, 20))
    axis = draw(st.sampled_from([0, None]))
    attributes = FullyConnectedAttributes(draw(activations))
    return "fully_connected", Case(
        "drawn", attributes, weighted((batch, depth), (out, depth), out, axis)
    )


def check(drawn: tuple[str, Case], dtype: DType, seed: int) -> None:
    name, case = drawn
    random = np.random.default_rng(seed)
    made = build(registry.get(name), case, dtype, random)
    for x in inputs(made, random, 2):
        np.testing.assert_array_equal(made.run(x)[0], made.litert(x)[0])


layers = st.one_of(convolutions(), depthwise(), fully_connected())
seeds = st.integers(0, 2**32 - 1)
relaxed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@settings(max_examples=300, **relaxed)
@given(layers, st.sampled_from(INTEGERS), seeds)
def test_equals_litert(drawn: tuple[str, Case], dtype: DType, seed: int) -> None:
    check(drawn, dtype, seed)


@pytest.mark.slow
@settings(max_examples=5000, **relaxed)
@given(layers, st.sampled_from(INTEGERS), seeds)
def test_equals_litert_at_length(drawn: tuple[str, Case], dtype: DType, seed: int) -> None:
    check(drawn, dtype, seed)
