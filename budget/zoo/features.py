"""Feature front ends: from sound to the int8 image a network reads, in integers only.

One specification file (TOML) beside the model says everything. The stages are

1. frames of ``length`` samples, every ``step`` samples;
2. window: y = (x · w + 2¹¹) >> 12, w = periodic Hann in Q15, so y keeps 3 fractional bits;
3. real FFT: a complex radix-2 transform of half the points, twiddles in Q14, products rounded to
   nearest, then split into points/2 + 1 bins of twice the usual size;
4. power: re² + im²;
5. mel filters: triangles in Q8;
6. logarithm: log2(energy + 1) in Q8 from a table of 33 entries with linear interpolation;
7. cosine transform (DCT-II, orthonormal, Q14), first coefficients only, rounded to Q8;
8. output: int8 = clamp(((c - offset) · multiplier + half) >> shift) + zero point.

Every product and sum fits the integer it is kept in (int32, or int64 for products by twiddles,
powers and energies); `FeatureSpec.load` proves it for the specification at hand. The same tables
and the same arithmetic in C therefore give the same bytes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import CorruptModelError, UsageError
from budget.ops.operator import Cost

Ints = NDArray[np.int64]

WINDOW_BITS = 15
FRACTION_BITS = 3
TWIDDLE_BITS = 14
MEL_BITS = 8
LOG_BITS = 8
LOG_SEGMENT_BITS = 5
COSINE_BITS = 14

_KEYS: dict[str, dict[str, type]] = {
    "audio": {"sample_rate_hz": int, "clip_samples": int},
    "frames": {"length_samples": int, "step_samples": int, "window": str},
    "spectrum": {"fft_points": int},
    "mel": {"bands": int, "low_hz": int, "high_hz": int},
    "cepstrum": {"coefficients": int},
    "output": {
        "offset": list,
        "multiplier": list,
        "shift": int,
        "scale": float,
        "zero_point": int,
    },
}


@dataclass(frozen=True)
class FeatureSpec:
    """What a front end computes.

    Attributes:
        sample_rate_hz: of the int16 samples it reads.
        clip_samples: samples of one inference.
        length_samples: of a frame.
        step_samples: from one frame's start to the next.
        fft_points: length of the transform, a power of two; a frame is padded with zeros to it.
        mel_bands: triangular filters, evenly spaced on the mel scale 2595 · log10(1 + f/700).
        low_hz: lower edge of the first filter.
        high_hz: upper edge of the last filter.
        coefficients: of the cosine transform that are kept.
        offset: per coefficient, Q8, subtracted before scaling.
        multiplier: per coefficient, positive.
        shift: right shift after the multiplication.
        scale: what one step of the int8 output stands for.
        zero_point: the output that stands for zero.
    """

    sample_rate_hz: int
    clip_samples: int
    length_samples: int
    step_samples: int
    fft_points: int
    mel_bands: int
    low_hz: int
    high_hz: int
    coefficients: int
    offset: tuple[int, ...]
    multiplier: tuple[int, ...]
    shift: int
    scale: float
    zero_point: int

    @classmethod
    def load(cls, path: Path | str) -> FeatureSpec:
        """Reads and checks a specification file.

        Raises:
            UsageError: the file cannot be read.
            CorruptModelError: it is not TOML, or a key is missing, unknown or out of range.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"the feature specification cannot be read: {error}",
                where=str(path),
                hint="name a TOML file such as the one that ships beside zoo:hotword",
            ) from None
        try:
            return cls.parse(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise CorruptModelError(f"not a TOML file: {error}", where=str(path)) from None
        except CorruptModelError as error:
            raise CorruptModelError(error.what, where=str(path), hint=error.hint) from None

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> FeatureSpec:
        """The specification that a parsed TOML document holds.

        Raises:
            CorruptModelError: a key is missing, unknown, of the wrong type or out of range.
        """
        if document.get("schema") != 1:
            raise CorruptModelError("a feature specification needs the line 'schema = 1'")
        wrong = set(document) ^ {*_KEYS, "schema"}
        for section, keys in _KEYS.items():
            found = document.get(section, {})
            names = set(found) if isinstance(found, dict) else {"?"}
            wrong |= {f"{section}.{key}" for key in names ^ set(keys)}
            for key in names & set(keys):
                if type(found[key]) is not keys[key]:
                    wrong.add(f"{section}.{key}")
        if wrong:
            raise CorruptModelError(
                f"missing, unknown or mistyped keys: {', '.join(sorted(wrong))}",
                hint="compare with the specification that ships beside zoo:hotword",
            )
        frames, mel, output = document["frames"], document["mel"], document["output"]
        spec = cls(
            document["audio"]["sample_rate_hz"],
            document["audio"]["clip_samples"],
            frames["length_samples"],
            frames["step_samples"],
            document["spectrum"]["fft_points"],
            mel["bands"],
            mel["low_hz"],
            mel["high_hz"],
            document["cepstrum"]["coefficients"],
            tuple(output["offset"]),
            tuple(output["multiplier"]),
            output["shift"],
            output["scale"],
            output["zero_point"],
        )
        problems = _problems(spec, str(frames["window"]))
        if problems:
            raise CorruptModelError("; ".join(problems))
        return spec

    @property
    def frames(self) -> int:
        """Frames of one clip; only whole ones count."""
        return (self.clip_samples - self.length_samples) // self.step_samples + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and coefficients of one clip's features."""
        return self.frames, self.coefficients

    @cached_property
    def window(self) -> Ints:
        """Periodic Hann window in Q15, [length_samples]."""
        phase = 2 * np.pi * np.arange(self.length_samples) / self.length_samples
        return _rounded((0.5 - 0.5 * np.cos(phase)) * (2**WINDOW_BITS - 1))

    @cached_property
    def twiddles(self) -> tuple[Ints, Ints]:
        """Cosines and negated sines of 2πk/points in Q14, k below points/2."""
        phase = 2 * np.pi * np.arange(self.fft_points // 2) / self.fft_points
        unit = 2**TWIDDLE_BITS
        return _rounded(np.cos(phase) * unit), _rounded(-np.sin(phase) * unit)

    @cached_property
    def mel_weights(self) -> Ints:
        """Triangular filters in Q8, [mel_bands][points/2 + 1]."""
        low, high = _mel(float(self.low_hz)), _mel(float(self.high_hz))
        edges = 700 * (10 ** (np.linspace(low, high, self.mel_bands + 2) / 2595) - 1)
        hz = np.arange(self.fft_points // 2 + 1) * self.sample_rate_hz / self.fft_points
        left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        rise, fall = (hz - left) / (centre - left), (right - hz) / (right - centre)
        return _rounded(np.clip(np.minimum(rise, fall), 0, 1) * 2**MEL_BITS)

    @cached_property
    def cosines(self) -> Ints:
        """Orthonormal DCT-II in Q14, [coefficients][mel_bands]."""
        k, n = np.arange(self.coefficients)[:, None], np.arange(self.mel_bands)
        matrix = np.cos(np.pi * k * (2 * n + 1) / (2 * self.mel_bands))
        norm = np.where(k == 0, np.sqrt(1 / self.mel_bands), np.sqrt(2 / self.mel_bands))
        return _rounded(matrix * norm * 2**COSINE_BITS)

    @cached_property
    def logarithms(self) -> Ints:
        """log2(1 + i/32) in Q16 for i = 0 … 32."""
        steps = 2**LOG_SEGMENT_BITS
        return _rounded(np.log2(1 + np.arange(steps + 1) / steps) * 2**16)


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
    windowed = (framed * spec.window + (1 << (shift - 1))) >> shift
    real, imaginary = real_fft(spec, windowed)
    power = real * real + imaginary * imaginary
    # floating point would round: energies reach 2**62
    energies = np.stack([power[..., band > 0] @ band[band > 0] for band in spec.mel_weights], -1)
    logs = log2_q8(spec, energies)
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


def front_end_stages(spec: FeatureSpec) -> dict[str, Cost]:
    """Arithmetic of each stage for one clip; a multiplication counts as one MAC.

    FLOPs are 0: nothing here is floating point. ``alu`` counts additions beside those of MACs,
    shifts with rounding and table look-ups, one each. ``read_bytes`` are tables and samples.
    """
    half, length = spec.fft_points // 2, spec.length_samples
    butterflies = half // 2 * (half.bit_length() - 1)
    weights = int(np.count_nonzero(spec.mel_weights))
    bins = half + 1
    each = {
        "window": Cost(length, length, length, 0, 4 * length, 4 * length),
        "fft": Cost(4 * butterflies, 4 * butterflies, 6 * butterflies, 0, 4 * half, 8 * half),
        "split": Cost(4 * half, 4 * half, 8 * half, 0, 4 * half, 8 * bins),
        "power": Cost(2 * bins, 2 * bins, 0, 0, 8 * bins, 8 * bins),
        "mel": Cost(weights, weights, 0, 0, 2 * weights + 8 * bins, 8 * spec.mel_bands),
        "log": Cost(spec.mel_bands, spec.mel_bands, 6 * spec.mel_bands, 0, 12 * spec.mel_bands, 0),
        "cosine": Cost(
            spec.mel_bands * spec.coefficients,
            spec.mel_bands * spec.coefficients,
            spec.coefficients,
            0,
            2 * spec.mel_bands * (spec.coefficients + 1),
            2 * spec.coefficients,
        ),
        "output": Cost(
            spec.coefficients,
            spec.coefficients,
            3 * spec.coefficients,
            0,
            6 * spec.coefficients,
            spec.coefficients,
        ),
    }
    return {stage: _times(cost, spec.frames) for stage, cost in each.items()}


def front_end_cost(spec: FeatureSpec) -> Cost:
    """Arithmetic of one clip's features, all stages; see `front_end_stages`."""
    return sum(front_end_stages(spec).values(), Cost())


def _problems(spec: FeatureSpec, window: str) -> list[str]:
    problems = []
    points = spec.fft_points
    if window != "hann":
        problems.append(f"frames.window is {window!r}; 'hann' is the one known")
    if points & (points - 1) or not 8 <= points <= 4096:
        problems.append("spectrum.fft_points must be a power of two from 8 to 4096")
    if not 1 <= spec.length_samples <= points or spec.step_samples < 1:
        problems.append("a frame has from 1 to fft_points samples and a step of at least 1")
    if not spec.length_samples <= spec.clip_samples <= 10_000_000:
        problems.append("a clip holds at least one frame and at most 10,000,000 samples")
    if spec.sample_rate_hz < 1 or not 0 <= spec.low_hz < spec.high_hz <= spec.sample_rate_hz / 2:
        problems.append("mel edges must rise and stay below half the sample rate")
    if not 1 <= spec.coefficients <= spec.mel_bands <= 256:
        problems.append("there are from 1 to 256 mel bands and at most as many coefficients")
    if len(spec.offset) != spec.coefficients or len(spec.multiplier) != spec.coefficients:
        problems.append("output.offset and output.multiplier have one element per coefficient")
    if not 1 <= spec.shift <= 30 or not -128 <= spec.zero_point <= 127 or not spec.scale > 0:
        problems.append("output.shift is 1 to 30, zero_point an int8 and scale positive")
    numbers = (*spec.offset, *spec.multiplier)
    if not all(type(number) is int for number in numbers) or min(spec.multiplier, default=1) < 1:
        problems.append("output.offset and output.multiplier hold integers, the latter positive")
    return problems or _overflows(spec)


def _overflows(spec: FeatureSpec) -> list[str]:
    """Bounds from the tables themselves; 2 bits are left for rounding and complex corners."""
    peak = 2 ** (15 + FRACTION_BITS)
    window = spec.window / 2**WINDOW_BITS
    bin_peak = 2 * peak * float(window.sum())
    energy = 4 * spec.fft_points / 2 * peak**2 * float((window**2).sum()) * 2**MEL_BITS
    cosine = 64 * 2**LOG_BITS * float(np.abs(spec.cosines).sum(axis=1).max())
    if bin_peak * 2 >= 2**31 or energy >= 2**62 or cosine >= 2**31:
        return ["frames this long overflow the front end's integers; shorten them"]
    farthest = cosine / 2**COSINE_BITS + max(map(abs, spec.offset))
    if farthest * max(spec.multiplier) + 2**spec.shift >= 2**31:
        return ["output.offset and output.multiplier are too large for 32-bit products"]
    return []


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _rounded(values: NDArray[np.float64]) -> Ints:
    return np.asarray(np.floor(values + 0.5), np.int64)


def _turn(re: Ints, im: Ints, wr: Ints, wi: Ints) -> tuple[Ints, Ints]:
    half = 1 << (TWIDDLE_BITS - 1)
    return (
        (re * wr - im * wi + half) >> TWIDDLE_BITS,
        (re * wi + im * wr + half) >> TWIDDLE_BITS,
    )


def _bit_reversed(count: int) -> Ints:
    bits = count.bit_length() - 1
    numbers = np.arange(count)
    digits = [((numbers >> bit) & 1) << (bits - 1 - bit) for bit in range(bits)]
    return np.asarray(np.sum(digits, axis=0), np.int64)


def _times(cost: Cost, count: int) -> Cost:
    return Cost(
        cost.macs * count,
        cost.macs_run * count,
        cost.alu * count,
        cost.flops * count,
        cost.read_bytes * count,
        cost.write_bytes * count,
    )
