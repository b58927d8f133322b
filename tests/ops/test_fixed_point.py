"""The integer arithmetic against exact rationals and against C's semantics, in plain Python."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from budget.graph import DType, QuantParams, TensorType
from budget.ops import fixed_point as fp
from budget.ops.operator import Activation
from budget.ops.quantized import round_away

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
edges32 = st.sampled_from([INT32_MIN, INT32_MIN + 1, -(2**30), -1, 0, 1, 2**30, INT32_MAX])
int32 = st.one_of(edges32, st.integers(INT32_MIN, INT32_MAX), st.integers(-1000, 1000))
int48 = st.one_of(st.integers(-(2**47), 2**47 - 1), st.integers(-1000, 1000))
multiplier = st.one_of(st.just(0), st.integers(2**30, INT32_MAX))


def truncated(a: int, b: int) -> int:
    """C's division."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def wrapped(x: int) -> int:
    """C's 32-bit register."""
    return (x - INT32_MIN) % 2**32 + INT32_MIN


def half_away(x: Fraction) -> int:
    return math.floor(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


def high_mul_in_c(a: int, b: int) -> int:
    """As gemmlowp writes it, with its two nudges and its division towards zero."""
    if a == b == INT32_MIN:
        return INT32_MAX
    nudge = 2**30 if a * b >= 0 else 1 - 2**30
    return truncated(a * b + nudge, 2**31)


@given(int32, int32)
@example(INT32_MIN, INT32_MIN)
@example(-1, 2**30)
@example(3, -(2**30))
def test_doubling_high_mul(a: int, b: int) -> None:
    assert fp.saturating_rounding_doubling_high_mul(a, b) == high_mul_in_c(a, b)


@given(int32, st.integers(0, 31))
@example(-3, 1)
@example(INT32_MIN, 31)
def test_divide_by_power_of_two(x: int, exponent: int) -> None:
    assert fp.rounding_divide_by_pot(x, exponent) == half_away(Fraction(x, 2**exponent))


@given(int32, multiplier, st.integers(-31, 30))
def test_twice_rounded(x: int, q: int, shift: int) -> None:
    high = high_mul_in_c(wrapped(x << max(shift, 0)), q)
    assert fp.multiply_twice_rounded(x, q, shift) == half_away(Fraction(high, 2 ** max(-shift, 0)))


@given(int32, multiplier, st.integers(-31, 30))
def test_once_rounded(x: int, q: int, shift: int) -> None:
    exact = Fraction(x * q, 2**31) * Fraction(2) ** shift
    assert fp.multiply_once_rounded(x, q, shift) == math.floor(exact + Fraction(1, 2))


@given(int48, multiplier, st.integers(-31, 7))
def test_reduced(x: int, q: int, shift: int) -> None:
    reduced = min((q + 2**15) // 2**16, 2**15 - 1)
    exact = Fraction(x * reduced, 2**15) * Fraction(2) ** shift
    assert fp.multiply_reduced(x, q, shift) == wrapped(math.floor(exact + Fraction(1, 2)))


@given(st.floats(1e-9, 1e8))
@example(1.0)
@example(0.5)
@example(math.nextafter(1.0, 0.0))
def test_quantized_multiplier_is_the_nearest(real: float) -> None:
    q, shift = fp.quantize_multiplier(real)
    assert 2**30 <= q <= INT32_MAX
    step = Fraction(2) ** (shift - 31)
    assert abs(q * step - Fraction(real)) <= step / 2


@pytest.mark.parametrize(
    ("real", "expected"), [(0.0, (0, 0)), (2.0**-40, (0, 0)), (2.0**40, (INT32_MAX, 30))]
)
def test_quantized_multiplier_out_of_range(real: float, expected: tuple[int, int]) -> None:
    assert fp.quantize_multiplier(real) == expected


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=5))
def test_multipliers_element_by_element(reals: list[float]) -> None:
    q, shift = fp.quantize_multipliers(reals)
    assert list(zip(q.tolist(), shift.tolist())) == [fp.quantize_multiplier(r) for r in reals]


@given(int48)
def test_wrap(x: int) -> None:
    assert fp.wrap_int32(x) == wrapped(x)


@given(int32, st.integers(0, 8))
def test_saturating_shift(x: int, exponent: int) -> None:
    assert fp.shift_left_saturating(x, exponent) == max(INT32_MIN, min(INT32_MAX, x << exponent))


@given(st.integers(1, INT32_MAX))
@example(1)
@example(2)
@example(1 << 29)
@example(INT32_MAX)
def test_inverse_square_root(x: int) -> None:
    """(q, shift) stands for q · 2^(shift - 31); Newton's steps leave under 2^-19 of it."""
    q, shift = fp.inverse_square_roots(np.array([x]))
    assert math.isclose(int(q[0]) * 2.0 ** (int(shift[0]) - 31), 1 / math.sqrt(x), rel_tol=2.0**-19)


def test_inverse_square_root_of_nothing_is_that_of_one() -> None:
    q, shift = fp.inverse_square_roots(np.array([0, 1]))
    assert q.tolist() == [INT32_MAX] * 2 and shift.tolist() == [0, 0]


@given(
    st.sampled_from(list(Activation)),
    st.floats(2.0**-10, 2, width=32),
    st.integers(-128, 127),
)
def test_activation_bounds_are_the_stored_bounds(
    activation: Activation, scale: float, zero_point: int
) -> None:
    type = TensorType((1,), DType.INT8, QuantParams.per_tensor(scale, zero_point))
    low, high = fp.activation_bounds(activation, type)
    real = {"none": (None, None), "relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)}
    for bound, limit, value in zip((low, high), (-128, 127), real[activation.value]):
        if value is None:
            assert bound == limit
            continue
        stored = zero_point + half_away(Fraction(float(np.float32(value) / np.float32(scale))))
        assert bound == (max(stored, -128) if limit < 0 else min(stored, 127))


@pytest.mark.parametrize("activation", list(Activation))
def test_activation_in_float(activation: Activation) -> None:
    x = np.array([-2.0, -0.5, 0.0, 0.5, 7.0], np.float32)
    low, high = {
        "none": (-9, 9), "relu": (0, 9), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)
    }[activation.value]  # fmt: skip
    expected = [min(max(value, low), high) for value in x.tolist()]
    assert fp.apply_activation_float(activation, x).tolist() == expected


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(DType.INT8, (-128, 127)), (DType.UINT8, (0, 255)), (DType.INT16, (-32768, 32767))],
)
def test_storage_range(dtype: DType, expected: tuple[int, int]) -> None:
    assert fp.storage_range(dtype) == expected


def test_halves_round_away_from_zero_and_nothing_below_them() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    x = np.array([below, 0.5, 1.5, 2.5, 8388609.0, np.inf], np.float32)
    expected = np.array([0, 1, 2, 3, 8388609.0, np.inf], np.float32)
    np.testing.assert_array_equal(round_away(x), expected)
    np.testing.assert_array_equal(round_away(-x), -expected)
