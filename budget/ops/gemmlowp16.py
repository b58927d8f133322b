"""Transcendental functions in 16-bit fixed point, bit-exact with gemmlowp.

Q(m) stands for a number with m integer bits: real = raw · 2^(m-15). Raw numbers are held in int64.
Follows fixedpoint/fixedpoint.h of github.com/google/gemmlowp for int16_t, which TensorFlow Lite's
LSTM uses; budget.ops.gemmlowp is the same in 32 bits.
"""

from __future__ import annotations

import numpy as np

from budget.ops.fixed_point import Int64s, rounding_divide_by_pot
from budget.ops.gemmlowp import exp_by_bits, half_sum

_MAX = (1 << 15) - 1
_MIN = -(1 << 15)
# exp(-2^k) in Q0, for k = -2 … 4: the constants of 32 bits, rounded
_EXPONENTIALS = tuple(
    int(rounding_divide_by_pot(value, 16))
    for value in (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
)


def _wrap(x: Int64s) -> Int64s:
    return x.astype(np.int16).astype(np.int64)


def _mul(a: Int64s | int, b: Int64s | int) -> Int64s:
    """The high half of 2·a·b, rounded to nearest, ties away from zero, saturated."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudge = np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    total = product + nudge
    high = np.where(total >= 0, total >> 15, -((-total) >> 15))
    limited: Int64s = np.asarray(np.minimum(high, _MAX), np.int64)
    return limited


def _shift(x: Int64s, exponent: int) -> Int64s:
    """X · 2^exponent: saturates to the left, rounds to the right."""
    if exponent <= 0:
        return rounding_divide_by_pot(x, -exponent)
    shifted: Int64s = np.asarray(np.clip(x << exponent, _MIN, _MAX), np.int64)
    return shifted


def _constant(value: int) -> int:
    return int(rounding_divide_by_pot(value, 16))


def _exp_near_zero(a: Int64s) -> Int64s:
    """exp(a) in Q0 for -1/4 <= a < 0 in Q0."""
    at_centre, third = _constant(1895147668), _constant(715827883)
    x = a + (1 << 12)
    x2 = _mul(x, x)
    x3, x4 = _mul(x2, x), _mul(x2, x2)
    cubic = _mul(rounding_divide_by_pot(x4, 2) + x3, third) + x2
    return np.clip(at_centre + _mul(at_centre, x + rounding_divide_by_pot(cubic, 1)), _MIN, _MAX)


def exp_on_negative_values(a: Int64s, integer_bits: int) -> Int64s:
    """exp(a) in Q0 for a <= 0 in Q(integer_bits)."""
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(_shift(rest, integer_bits))
    remainder = _wrap(rest - a)
    return exp_by_bits(a, result, remainder, integer_bits, _EXPONENTIALS, _mul, 15)


def _newton(a: Int64s) -> Int64s:
    """2 / (1 + a) in Q2."""
    half_denominator = half_sum(a, _MAX)
    x = _constant(1515870810) + _mul(half_denominator, _constant(-1010580540))
    for _ in range(3):
        error = (1 << 13) - _mul(half_denominator, x)
        x = _wrap(x + _shift(_mul(x, error), 2))
    return x


def logistic(a: Int64s, integer_bits: int) -> Int64s:
    """1 / (1 + exp(-a)) in Q0."""
    positive = _shift(_newton(exp_on_negative_values(-np.abs(a), integer_bits)), 1)
    return np.where(a == 0, 1 << 14, np.where(a > 0, positive, _MAX - positive))


def tanh(a: Int64s, integer_bits: int) -> Int64s:
    """The hyperbolic tangent in Q0."""
    # the least number has no opposite; its own bits stand for it
    magnitude_of = np.where(a == _MIN, _MIN, -np.abs(a))
    exponential = exp_on_negative_values(magnitude_of, integer_bits + 1)
    magnitude = _shift(_wrap(_newton(exponential) - (1 << 13)), 2)
    return np.where(a == 0, 0, np.where(a > 0, magnitude, -magnitude))
