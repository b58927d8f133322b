"""Transcendental functions in 32-bit fixed point, bit-exact with gemmlowp.

Q(m) stands for a number with m integer bits: real = raw · 2^(m-31). Raw numbers are held in int64.
Follows fixedpoint/fixedpoint.h of github.com/google/gemmlowp, and GetReciprocal and
log_x_for_x_greater_than_or_equal_to_1 in tensorflow/lite/kernels/internal/common.h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from budget.ops.fixed_point import (
    Int64s,
    rounding_divide_by_pot,
    wrap_int32,
)
from budget.ops.fixed_point import saturating_rounding_doubling_high_mul as _mul

_MAX = 2**31 - 1
_MIN = -(2**31)
# exp(-2^k) in Q0, for k = -2 … 4
_EXPONENTIALS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def rescale(x: Int64s, from_bits: int, to_bits: int) -> Int64s:
    """Q(from) to Q(to): saturates to the left, rounds to the right."""
    exponent = from_bits - to_bits
    if exponent <= 0:
        return rounding_divide_by_pot(x, -exponent)
    return saturating_shift(x, exponent)


def saturating_shift(x: Int64s, exponent: int | Int64s) -> Int64s:
    """X · 2^exponent, held at the ends of 32 bits."""
    threshold = (np.int64(1) << (31 - np.asarray(exponent, np.int64))) - 1
    shifted = wrap_int32(x << np.asarray(exponent, np.int64))
    return np.where(x > threshold, _MAX, np.where(x < -threshold, _MIN, shifted))


def exp_on_negative_values(a: Int64s, integer_bits: int) -> Int64s:
    """exp(a) in Q0 for a <= 0 in Q(integer_bits): a polynomial, then one factor for each bit."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    remainder_of_quarter = (a & (quarter - 1)) - quarter
    result = _exp_between_negative_quarter_and_zero(rescale(remainder_of_quarter, integer_bits, 0))
    rest = wrap_int32(remainder_of_quarter - a)
    return exp_by_bits(a, result, rest, integer_bits, _EXPONENTIALS)


def exp_by_bits(
    a: Int64s,
    start: Int64s,
    rest: Int64s,
    integer_bits: int,
    factors: Sequence[int],
    multiply: Callable[[Int64s, int], Int64s] = _mul,
    value_bits: int = 31,
) -> Int64s:
    """exp(a) of what its lowest bits give: one factor for each bit of the rest that is set.

    Args:
        a: at most 0, in Q(integer_bits).
        start: exp of the part of a that is between -1/4 and 0.
        rest: that part less a.
        integer_bits: of a.
        factors: exp(-2^k) in Q0, for k = -2 … 4.
        multiply: the product of two numbers in Q0.
        value_bits: of a number without its sign.
    """
    result = start
    for exponent, factor in enumerate(factors, start=-2):
        if integer_bits > exponent:
            bit = np.int64(1) << (value_bits - integer_bits + exponent)
            result = np.where(rest & bit, multiply(result, factor), result)
    if integer_bits > 5:
        result = np.where(a < -(1 << (value_bits + 5 - integer_bits)), 0, result)
    return np.where(a == 0, (1 << value_bits) - 1, result)


def one_over_one_plus(a: Int64s) -> Int64s:
    """1 / (1 + a) in Q0 for a in (0, 1) in Q0, by three steps of Newton."""
    return rescale(_newton(a), 1, 0)


def one_minus_over_one_plus(a: Int64s) -> Int64s:
    """(1 - a) / (1 + a) in Q0 for a in (0, 1) in Q0."""
    return rescale(wrap_int32(_newton(a) - (1 << 29)), 2, 0)


def logistic(a: Int64s, integer_bits: int) -> Int64s:
    """1 / (1 + exp(-a)) in Q0."""
    positive = one_over_one_plus(exp_on_negative_values(-np.abs(a), integer_bits))
    return np.where(a == 0, 1 << 30, np.where(a > 0, positive, _MAX - positive))


def tanh(a: Int64s, integer_bits: int) -> Int64s:
    """The hyperbolic tangent in Q0."""
    magnitude = one_minus_over_one_plus(exp_on_negative_values(-np.abs(a), integer_bits + 1))
    return np.where(a == 0, 0, np.where(a > 0, magnitude, -magnitude))


def reciprocal(x: Int64s, integer_digits: int) -> tuple[Int64s, Int64s]:
    """1 / x for x > 0: (inverse in Q0, bits of x above one)."""
    headroom = leading_zeros(x)
    over_unit = integer_digits - headroom
    minus_one = wrap_int32((x << headroom) - (1 << 31))
    return one_over_one_plus(minus_one), over_unit


def leading_zeros(x: Int64s) -> Int64s:
    """Zeros before the first one of 32 bits; 32 for zero."""
    return 32 - np.where(x > 0, np.floor(np.log2(np.maximum(x, 1))) + 1, 0).astype(np.int64)


def leading_sign_bits(x: Int64s) -> Int64s:
    """How far x can be shifted to the left in 32 bits."""
    return leading_zeros(np.where(x < 0, ~x, x)) - 1


def log_of_at_least_one(x: Int64s, input_bits: int, output_bits: int) -> Int64s:
    """Logarithm in Q(output_bits) of x >= 1 in Q(input_bits)."""
    sum_bits = output_bits + 1
    quarter = rounding_divide_by_pot(1 << 29, sum_bits)
    headroom = leading_zeros(x)
    half_root = 1518500250
    r_a = saturating_shift(_mul(saturating_shift(x, headroom - 1), half_root), 1)
    power_a = saturating_shift(input_bits - headroom, 31 - sum_bits)
    power_a = np.minimum(power_a + quarter, _MAX)
    z_b = _mul(x, half_root)
    headroom_b = leading_zeros(z_b) - 1
    r_b = saturating_shift(x, headroom_b)
    power_b = saturating_shift(input_bits - headroom_b, 31 - sum_bits)
    power_b = np.maximum(power_b - quarter, _MIN)
    r = np.minimum(r_a, r_b)
    power = np.maximum(power_a, power_b)
    fourth_root_of_half = 1805811301
    p = half_sum(r, fourth_root_of_half)
    q = wrap_int32(2 * wrap_int32(r - fourth_root_of_half))
    square = _mul(q, q)
    numerator = wrap_int32(_mul(q, r) + _mul(_mul(q, square), 117049297))
    inner = wrap_int32(wrap_int32(1057819769 + q) + _mul(127690142, square))
    denominator = wrap_int32(_mul(p, inner) + _mul(638450708, q))
    quotient = _mul(rescale(numerator, 0, sum_bits), one_over_one_plus(denominator))
    return rescale(wrap_int32(_mul(power, 1488522236) + quotient), sum_bits, output_bits)


def _exp_between_negative_quarter_and_zero(a: Int64s) -> Int64s:
    constant = 1895147668  # exp(-1/8) in Q0
    x = a + (1 << 28)
    x2 = _mul(x, x)
    x3, x4 = _mul(x2, x), _mul(x2, x2)
    cubic = _mul(rounding_divide_by_pot(x4, 2) + x3, 715827883) + x2
    return constant + _mul(constant, x + rounding_divide_by_pot(cubic, 1))


def _newton(a: Int64s) -> Int64s:
    """2 / (1 + a) in Q2, that is 1 / (1 + a) in Q1."""
    half_denominator = half_sum(a, _MAX)
    x = 1515870810 + _mul(half_denominator, -1010580540)  # 48/17 - 32/17 d in Q2
    for _ in range(3):
        error = (1 << 29) - _mul(half_denominator, x)
        x = wrap_int32(x + rescale(_mul(x, error), 4, 2))
    return np.asarray(x)


def half_sum(a: Int64s, b: int) -> Int64s:
    """Half of a + b, ties away from zero."""
    total = a + b
    rounded = total + np.where(total >= 0, 1, -1)
    return np.where(rounded >= 0, rounded // 2, -(-rounded // 2))
