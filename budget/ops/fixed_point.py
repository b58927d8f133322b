"""Integer arithmetic of TensorFlow Lite's kernels, vectorised and bit-exact.

Follows tensorflow/lite/kernels/internal/common.h and gemmlowp's fixedpoint.h. A real multiplier m
is held as q · 2^(shift-31) with q in [2^30, 2^31).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from budget.graph.types import DType, TensorType
from budget.ops.operator import Activation

Int64s = NDArray[np.int64]

_INT32_MAX = 2**31 - 1
_INT32_MIN = -(2**31)


def quantize_multiplier(multiplier: float) -> tuple[int, int]:
    """A real multiplier as (q, shift) with m ≈ q · 2^(shift-31).

    Source: QuantizeMultiplier in tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    if multiplier == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(multiplier)
    quantized = math.floor(mantissa * (1 << 31) + 0.5)  # TfLiteRound: half away from zero
    if quantized == 1 << 31:
        quantized //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return _INT32_MAX, 30
    return quantized, shift


def quantize_multipliers(multipliers: ArrayLike) -> tuple[Int64s, Int64s]:
    """`quantize_multiplier` element by element: (q, shift), read-only int64 arrays."""
    return _quantized(np.asarray(multipliers, np.float64).tobytes())


@lru_cache(maxsize=256)
def _quantized(multipliers: bytes) -> tuple[Int64s, Int64s]:
    """Of float64 numbers; plans, proofs and kernels ask for the same ones in turn."""
    pairs = [quantize_multiplier(m) for m in np.frombuffer(multipliers, np.float64).tolist()]
    array = np.array(pairs, np.int64).reshape(-1, 2)
    array.setflags(write=False)
    return array[:, 0], array[:, 1]


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> Int64s:
    """The high 32 bits of 2·a·b, rounded to nearest, ties up (gemmlowp).

    gemmlowp adds a nudge that depends on the sign and divides towards zero; adding half and
    flooring is the same. Only the square of the least 32-bit number overflows; it saturates.
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    high: Int64s = (product + (1 << 30)) >> 31
    return np.minimum(high, _INT32_MAX)


def rounding_divide_by_pot(x: ArrayLike, exponent: ArrayLike) -> Int64s:
    """X / 2^exponent rounded to nearest, ties away from zero (gemmlowp)."""
    x64, e = np.asarray(x, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << e) - 1
    remainder = x64 & mask
    threshold = (mask >> 1) + (x64 < 0)
    return (x64 >> e) + (remainder > threshold)


def multiply_twice_rounded(x: ArrayLike, q: ArrayLike, shift: ArrayLike) -> Int64s:
    """X · m as convolutions do it: doubling high multiply, then a rounding shift.

    Source: MultiplyByQuantizedMultiplier without TFLITE_SINGLE_ROUNDING.
    """
    shift64 = np.asarray(shift, np.int64)
    left = np.maximum(shift64, 0)
    right = np.maximum(-shift64, 0)
    shifted = wrap_int32(np.asarray(x, np.int64) << left)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, q), right)


def multiply_once_rounded(x: ArrayLike, q: ArrayLike, shift: ArrayLike) -> Int64s:
    """X · m with one rounding of the 64-bit product, as TFLite's fully connected layers do it.

    Source: MultiplyByQuantizedMultiplier with TFLITE_SINGLE_ROUNDING; ties go up.
    """
    total_shift = 31 - np.asarray(shift, np.int64)
    rounding = np.int64(1) << (total_shift - 1)
    return (np.asarray(x, np.int64) * np.asarray(q, np.int64) + rounding) >> total_shift


def multiply_reduced(x: ArrayLike, q: ArrayLike, shift: ArrayLike) -> Int64s:
    """64-bit X · m with m reduced to 16 bits and one rounding; ties go up.

    Source: MultiplyByQuantizedMultiplier for int64_t in tensorflow/lite/kernels/internal/common.cc.
    """
    q64 = np.asarray(q, np.int64)
    reduced = np.where(q64 < 0x7FFF0000, (q64 + (1 << 15)) >> 16, np.int64(0x7FFF))
    total_shift = 15 - np.asarray(shift, np.int64)
    rounding = np.int64(1) << (total_shift - 1)
    return wrap_int32((np.asarray(x, np.int64) * reduced + rounding) >> total_shift)


def shift_left_saturating(x: ArrayLike, exponent: int) -> Int64s:
    """X · 2^exponent, held within 32 bits (gemmlowp's SaturatingRoundingMultiplyByPOT)."""
    shifted: Int64s = np.clip(np.asarray(x, np.int64) << exponent, _INT32_MIN, _INT32_MAX)
    return shifted


def inverse_square_roots(x: ArrayLike) -> tuple[Int64s, Int64s]:
    """1/sqrt(x) of integers as (q, shift), by five Newton steps in fixed point.

    0 counts as 1.

    Source: GetInvSqrtQuantizedMultiplierExp in tensorflow/lite/kernels/internal/
    quantization_util.h.
    """
    exact = np.asarray(x, np.int64)
    value, shift = exact.copy(), np.full(exact.shape, 11, np.int64)
    while (large := value >= 1 << 29).any():
        value, shift = np.where(large, value // 4, value), shift + large
    bit_lengths = np.frexp(np.maximum(value, 1).astype(np.float64))[1]
    pairs = (31 - bit_lengths.astype(np.int64)) // 2 - 1
    value, shift = value << (2 * pairs), shift - pairs
    half_input = rounding_divide_by_pot(value >> 1, 1)
    multiply = saturating_rounding_doubling_high_mul
    root = np.full(exact.shape, 1 << 28, np.int64)  # 1 with three bits before the point
    for _ in range(5):
        cube = shift_left_saturating(multiply(multiply(root, root), root), 6)
        step = wrap_int32(multiply(3 << 27, root) - multiply(half_input, cube))
        root = shift_left_saturating(step, 3)
    q = multiply(root, 1518500250)  # sqrt(2)/2
    q, shift = q << np.maximum(-shift, 0), np.maximum(shift, 0)
    is_one = exact <= 1
    return np.where(is_one, np.int64(_INT32_MAX), q), np.where(is_one, np.int64(0), -shift)


def wrap_int32(x: ArrayLike) -> Int64s:
    """The value that a 32-bit register would hold."""
    return np.asarray(x, np.int64).astype(np.int32).astype(np.int64)


def activation_bounds(activation: Activation, type: TensorType) -> tuple[int, int]:
    """The range of stored values that a fused activation leaves, for a per-tensor type.

    Source: CalculateActivationRangeQuantized in tensorflow/lite/kernels/kernel_util.cc.
    """
    low, high = storage_range(type.dtype)
    if type.quant is None or activation is Activation.NONE:
        return low, high
    real_low, real_high = {
        Activation.RELU: (0.0, None),
        Activation.RELU6: (0.0, 6.0),
        Activation.RELU_N1_TO_1: (-1.0, 1.0),
    }[activation]
    scale = np.float32(type.quant.scale[0])
    zero_point = int(type.quant.zero_point[0])

    def stored(real: float) -> int:
        ratio = np.float32(real) / scale
        return zero_point + math.floor(abs(float(ratio)) + 0.5) * (1 if ratio >= 0 else -1)

    low = max(low, stored(real_low))
    if real_high is not None:
        high = min(high, stored(real_high))
    return low, high


def apply_activation_float(activation: Activation, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A fused activation on real numbers."""
    match activation:
        case Activation.RELU:
            return np.maximum(x, np.float32(0))
        case Activation.RELU6:
            return np.clip(x, np.float32(0), np.float32(6))
        case Activation.RELU_N1_TO_1:
            return np.clip(x, np.float32(-1), np.float32(1))
        case _:
            return x


def storage_range(dtype: DType) -> tuple[int, int]:
    """Smallest and largest stored value of an integer type."""
    if dtype.value.startswith("uint"):
        return 0, (1 << dtype.bits) - 1
    return -(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1
