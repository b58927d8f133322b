"""The stages of a front end with numpy, in integers only: from sound to int8 features.

1. frames of ``length`` samples, every ``step`` samples;
2. window: y = (x · w + 2¹¹) >> 12, w = periodic window in Q15, so y keeps 3 fractional bits;
3. real FFT: a complex radix-2 transform of half the points, twiddles in Q14, products rounded to
   nearest, then split into points/2 + 1 bins of twice the usual size;
4. power: re² + im²; or magnitude: its square root, rounded down;
5. mel filters: triangles in Q8;
6. logarithm: log2(energy + 1) in Q8 from a table of 33 entries with linear interpolation;
7. cosine transform (DCT-II, Q14), first coefficients only, rounded to Q8; left out where the
   specification has none;
8. output: int8 = clamp(((c - offset) · multiplier + half) >> shift) + zero point.

Every product and sum fits the integer it is kept in (int32, or int64 for products by twiddles,
powers and energies); `FeatureSpec.load` proves it for the specification at hand. The same tables
and the same arithmetic in C therefore give the same bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from budget.errors import UsageError
from budget.features.spec import (
    COSINE_BITS,
    FRACTION_BITS,
    LOG_BITS,
    TWIDDLE_BITS,
    WINDOW_BITS,
    FeatureSpec,
    Ints,
)


def extract(spec: FeatureSpec, audio: NDArray[np.int16]) -> NDArray[np.int8]:
    """Features of one clip or of many.

    Args:
        spec: the front end.
        audio: int16 samples, [...][clip_samples].

    Returns:
        int8, [...][frames][coefficients].

    Raises:
        UsageError: the samples are not int16 or not as many as one clip has.
    """
    return scale_cepstrum(spec, extract_cepstrum(spec, audio))


def scale_cepstrum(spec: FeatureSpec, cepstrum: Ints) -> NDArray[np.int8]:
    """Stage 8: cosine coefficients in Q8 to int8, [...][coefficients]."""
    half = 1 << (spec.shift - 1)
    offset, multiplier = np.array(spec.offset), np.array(spec.multiplier)
    scaled = (((cepstrum - offset) * multiplier + half) >> spec.shift) + spec.zero_point
    return np.asarray(np.clip(scaled, -128, 127), np.int8)


def extract_cepstrum(spec: FeatureSpec, audio: NDArray[np.int16]) -> Ints:
    """Stages 1 to 7: cosine coefficients in Q8, [...][frames][coefficients].

    Raises:
        UsageError: the samples are not int16 or not as many as one clip has.
    """
    if audio.dtype != np.int16 or audio.shape[-1:] != (spec.clip_samples,):
        raise UsageError(
            f"the front end reads {spec.clip_samples} int16 samples, "
            f"not {audio.dtype.name} of shape {audio.shape}",
            hint=f"give mono sound at {spec.sample_rate_hz} Hz",
        )
    index = np.arange(spec.frames)[:, None] * spec.step_samples + np.arange(spec.length_samples)
    shift = WINDOW_BITS - FRACTION_BITS
    framed = audio[..., index].astype(np.int64)
    windowed = (framed * spec.window_q15 + (1 << (shift - 1))) >> shift
    real, imaginary = real_fft(spec, windowed)
    power = real * real + imaginary * imaginary
    if spec.values == "magnitude":
        power = _square_root(power)
    # floating point would round: energies reach 2**62
    energies = np.stack([power[..., band > 0] @ band[band > 0] for band in spec.mel_weights], -1)
    logs = log2_q8(spec, energies)
    if spec.transform == "none":
        return logs
    return (logs @ spec.cosines.T + (1 << (COSINE_BITS - 1))) >> COSINE_BITS


def real_fft(spec: FeatureSpec, samples: Ints) -> tuple[Ints, Ints]:
    """Twice the transform of real integers, in integers.

    Args:
        spec: gives points and twiddles.
        samples: [...][length_samples], padded here with zeros to fft_points.

    Returns:
        Real and imaginary parts, [...][points/2 + 1].
    """
    points, half = spec.fft_points, spec.fft_points // 2
    padded = np.zeros((*samples.shape[:-1], points), np.int64)
    padded[..., : samples.shape[-1]] = samples
    order = _bit_reversed(half)
    re, im = padded[..., 0::2][..., order], padded[..., 1::2][..., order]
    cosines, sines = spec.twiddles
    span = 1
    while span < half:
        blocks = (*re.shape[:-1], half // (2 * span), 2, span)
        re, im = re.reshape(blocks), im.reshape(blocks)
        # twiddles are tabled for `points`; this stage turns by 2π/(2·span)
        wr, wi = cosines[:: half // span], sines[:: half // span]
        tr, ti = _turn(re[..., 1, :], im[..., 1, :], wr, wi)
        ur, ui = re[..., 0, :], im[..., 0, :]
        re = np.stack([ur + tr, ur - tr], axis=-2).reshape(*samples.shape[:-1], half)
        im = np.stack([ui + ti, ui - ti], axis=-2).reshape(*samples.shape[:-1], half)
        span *= 2
    mirror = -np.arange(half) % half
    even_re, even_im = re + re[..., mirror], im - im[..., mirror]
    odd_re, odd_im = im + im[..., mirror], re[..., mirror] - re
    tr, ti = _turn(odd_re, odd_im, cosines, sines)
    last_re, last_im = even_re[..., :1] - tr[..., :1], even_im[..., :1] - ti[..., :1]
    return (
        np.concatenate([even_re + tr, last_re], axis=-1),
        np.concatenate([even_im + ti, last_im], axis=-1),
    )


def log2_q8(spec: FeatureSpec, energies: Ints) -> Ints:
    """log2(energy + 1) in Q8, rounded down, of integers from 0 to 2⁶³ - 2."""
    value = energies + 1
    exponent = np.zeros_like(value)
    rest = value.copy()
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >= (1 << step)
        exponent += np.where(large, step, 0)
        rest = np.where(large, rest >> step, rest)
    # 21 bits behind the leading one: 5 choose the segment, 16 the place in it
    down, up = np.maximum(exponent - 21, 0), np.maximum(21 - exponent, 0)
    mantissa = ((value >> down) << up) - (1 << 21)
    segment, place = mantissa >> 16, mantissa & 0xFFFF
    table = spec.logarithms
    fraction = table[segment] + (((table[segment + 1] - table[segment]) * place) >> 16)
    return np.asarray(((exponent << 16) + fraction) >> (16 - LOG_BITS), np.int64)


def _turn(re: Ints, im: Ints, wr: Ints, wi: Ints) -> tuple[Ints, Ints]:
    half = 1 << (TWIDDLE_BITS - 1)
    return (
        (re * wr - im * wi + half) >> TWIDDLE_BITS,
        (re * wi + im * wr + half) >> TWIDDLE_BITS,
    )


def _square_root(numbers: Ints) -> Ints:
    """Rounded down, of integers below 2⁶²: floating point is at most one off."""
    roots = np.asarray(np.sqrt(numbers.astype(np.float64)), np.int64)
    roots -= roots * roots > numbers
    roots += (roots + 1) * (roots + 1) <= numbers
    return roots


def _bit_reversed(count: int) -> Ints:
    bits = count.bit_length() - 1
    numbers = np.arange(count)
    digits = [((numbers >> bit) & 1) << (bits - 1 - bit) for bit in range(bits)]
    return np.asarray(np.sum(digits, axis=0), np.int64)
