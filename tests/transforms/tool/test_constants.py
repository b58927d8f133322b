"""What constants become: rounded, quantised, shared."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tool_graphs as graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.transforms.tool.nodes import NodeGraph, constant
from budget.transforms.tool.round_weights import rounded


def holding(values: object) -> NodeGraph:
    """A graph with one constant."""
    empty = NodeGraph.decode(b"", "test.pb")
    return empty.with_nodes([constant("c", np.asarray(values, np.float32))])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=17, max_size=60, unique=True),
    st.integers(1, 16),
)
def test_rounded_values_are_near(values: list[float], num_steps: int) -> None:
    """No value moves by more than half a bucket, and there are no more values than buckets."""
    x = np.array(values, np.float32)
    y = rounded(x, num_steps)
    half = (float(x.max()) - float(x.min())) / num_steps / 2
    assert np.max(np.abs(y.astype(np.float64) - x)) <= half * (1 + 1e-5) + 1e-30 + np.spacing(
        np.abs(x).max()
    )
    assert len(np.unique(y)) <= num_steps


@pytest.mark.parametrize("sign", [1, -1])
def test_compat_follows_the_old_loop(sign: int) -> None:
    """The old tool's arithmetic, element by element, its extra bucket and its upper end at zero."""
    values = (sign * np.linspace(0.5, 2, 40)).astype(np.float32)
    after = graphs.apply(holding(values), "round_weights(num_steps=8)", compat=True)
    low, high = np.float32(values.min()), max(np.float32(values.max()), np.float32(1.1754944e-38))
    width = np.float32((high - low) / np.float32(8))
    expected = [
        np.float32(low + np.float32(width * np.float32(math.floor((v - low) / width) + 0.5)))
        for v in values
    ]
    found = after.nodes["c"].value
    assert found is not None
    assert found.array.tolist() == expected
    assert len(set(expected)) == (9 if sign > 0 else 7)


def test_compat_of_equal_values() -> None:
    """A constant of equal values gets a range; ours leaves it alone."""
    for value, expected in ((3.0, 3 + 3 / 8 / 2), (0.0, 0.0)):
        graph = holding([value] * 20)
        assert graphs.apply(graph, "round_weights(num_steps=8)").nodes["c"] is graph.nodes["c"]
        after = graphs.apply(graph, "round_weights(num_steps=8)", compat=True).nodes["c"].value
        assert after is not None
        assert after.array[0] == pytest.approx(expected, abs=1e-30)


def test_values_without_an_end_are_left_alone() -> None:
    """Infinite values have no range; that is said."""
    for text in ("round_weights(num_steps=4)", "quantize_weights(minimum_size=1)"):
        notes = graphs.notes_of(holding([*range(20), math.inf]), text)
        assert notes == ["c stays: not all its values are finite"]


@pytest.mark.parametrize("values", [[0.0] * 5, [-3, -1, -0.5], [0.25, 7, 100], [-1, 0, 2]])
def test_quantized_weights_in_tensorflow(values: list[float]) -> None:
    """TensorFlow widens what was stored to within a step of what it was; zero stays zero."""
    after = graphs.apply(holding(values), "quantize_weights(minimum_size=1)")
    assert graphs.ops(after) == ["Const", "Const", "Const", "Dequantize"]
    (found,) = graphs.execute(after.encode(), {}, ["c"])
    step = (max(*values, 0) - min(*values, 0)) / 255
    assert np.max(np.abs(found - values)) <= step * 1.001
    assert all(f == 0 for f, v in zip(found, values, strict=True) if v == 0)
