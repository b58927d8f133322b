"""What a feature front end computes: its specification file, its checks and its integer tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import CorruptModelError, UsageError
from budget.formats.toml import parse_toml

Ints = NDArray[np.int64]

WINDOW_BITS = 15
FRACTION_BITS = 3
TWIDDLE_BITS = 14
MEL_BITS = 8
LOG_BITS = 8
LOG_SEGMENT_BITS = 5
COSINE_BITS = 14

WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "rectangular": (1.0, 0.0)}
VALUES = ("power", "magnitude")
TRIANGLES = ("hertz", "mel")
SCALINGS = ("orthonormal", "uniform")

_KEYS: dict[str, dict[str, type]] = {
    "audio": {"sample_rate_hz": int, "clip_samples": int},
    "frames": {"length_samples": int, "step_samples": int, "window": str},
    "spectrum": {"fft_points": int, "values": str},
    "mel": {"bands": int, "low_hz": int, "high_hz": int, "triangles": str},
    "cepstrum": {"coefficients": int, "scaling": str},
    "output": {
        "offset": list,
        "multiplier": list,
        "shift": int,
        "scale": float,
        "zero_point": int,
    },
}
_MAY_LACK = {
    "spectrum.values": "power",
    "mel.triangles": "hertz",
    "cepstrum.scaling": "orthonormal",
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
        window: ``hann``, ``hamming`` or ``rectangular``; periodic.
        values: the filters add up ``power`` or ``magnitude``.
        triangles: the filters' slopes are straight over ``hertz`` or over ``mel``.
        transform: of the logarithms: a DCT-II that is ``orthonormal``, or ``uniform`` (every
            coefficient times √(2/bands), as TensorFlow's and HTK's); ``none`` leaves them.
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
    window: str = "hann"
    values: str = "power"
    triangles: str = "hertz"
    transform: str = "orthonormal"

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
            return cls.parse(parse_toml(text))
        except (ValueError, RecursionError) as error:
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
        sections = {name for name in _KEYS if name in document or name != "cepstrum"}
        wrong = set(document) ^ {*sections, "schema"}
        given: dict[str, dict[str, Any]] = {}
        for section in sections:
            keys, found = _KEYS[section], document.get(section, {})
            if not isinstance(found, dict):
                wrong.add(section)
                continue
            defaults = {key: _MAY_LACK.get(f"{section}.{key}") for key in keys}
            given[section] = {k: v for k, v in defaults.items() if v is not None} | found
            wrong |= {f"{section}.{key}" for key in set(given[section]) ^ set(keys)}
            wrong |= {
                f"{section}.{key}"
                for key in set(given[section]) & set(keys)
                if type(given[section][key]) is not keys[key]
            }
        if wrong:
            raise CorruptModelError(
                f"missing, unknown or mistyped keys: {', '.join(sorted(wrong))}",
                hint="compare with the specification that ships beside zoo:hotword",
            )
        audio, frames, spectrum = given["audio"], given["frames"], given["spectrum"]
        mel, output = given["mel"], given["output"]
        cepstrum = given.get("cepstrum", {"coefficients": mel["bands"], "scaling": "none"})
        spec = cls(
            audio["sample_rate_hz"],
            audio["clip_samples"],
            frames["length_samples"],
            frames["step_samples"],
            spectrum["fft_points"],
            mel["bands"],
            mel["low_hz"],
            mel["high_hz"],
            cepstrum["coefficients"],
            tuple(output["offset"]),
            tuple(output["multiplier"]),
            output["shift"],
            output["scale"],
            output["zero_point"],
            frames["window"],
            spectrum["values"],
            mel["triangles"],
            cepstrum["scaling"],
        )
        problems = _problems(spec, "cepstrum" in given)
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
    def spans(self) -> tuple[Ints, Ints]:
        """First bin and number of bins of each filter, [mel_bands][2]; their weights in a row."""
        spans, weights = [], []
        for band in self.mel_weights:
            used = np.flatnonzero(band)
            first = int(used[0]) if used.size else 0
            count = int(used[-1]) + 1 - first if used.size else 0
            spans.append((first, count))
            weights.append(band[first : first + count])
        return np.array(spans, np.int64), np.concatenate(weights)

    @property
    def constant_bytes(self) -> int:
        """Flash of the tables of the emitted C."""
        halves = self.length_samples + self.fft_points + 2 * self.mel_bands + len(self.spans[1])
        if self.transform != "none":
            halves += self.coefficients * self.mel_bands
        return 2 * halves + 4 * (len(self.logarithms) + 2 * self.coefficients)

    @property
    def state_bytes(self) -> int:
        """RAM of the emitted C: sound not yet used, features, scratch; int64 aligned to 8."""
        size = 8 * (self.fft_points // 2 + 1) + (8 + 4) * self.mel_bands + 8
        size += 4 * self.coefficients * (self.transform != "none")
        size += 2 * self.length_samples + self.frames * self.coefficients
        return (size + 7) // 8 * 8

    @cached_property
    def window_q15(self) -> Ints:
        """Periodic window in Q15, [length_samples]."""
        phase = 2 * np.pi * np.arange(self.length_samples) / self.length_samples
        mean, swing = WINDOWS[self.window]
        return _rounded((mean - swing * np.cos(phase)) * (2**WINDOW_BITS - 1))

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
        edges = np.linspace(low, high, self.mel_bands + 2)
        hz = np.arange(self.fft_points // 2 + 1) * self.sample_rate_hz / self.fft_points
        if self.triangles == "mel":
            hz = 2595 * np.log10(1 + hz / 700)
        else:
            edges = 700 * (10 ** (edges / 2595) - 1)
        left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        rise, fall = (hz - left) / (centre - left), (right - hz) / (right - centre)
        return _rounded(np.clip(np.minimum(rise, fall), 0, 1) * 2**MEL_BITS)

    @cached_property
    def cosines(self) -> Ints:
        """DCT-II in Q14, [coefficients][mel_bands]."""
        k, n = np.arange(self.coefficients)[:, None], np.arange(self.mel_bands)
        matrix = np.cos(np.pi * k * (2 * n + 1) / (2 * self.mel_bands))
        first = 1 if self.transform == "orthonormal" else 2
        norm = np.sqrt(np.where(k == 0, first, 2) / self.mel_bands)
        return _rounded(matrix * norm * 2**COSINE_BITS)

    @cached_property
    def logarithms(self) -> Ints:
        """log2(1 + i/32) in Q16 for i = 0 … 32."""
        steps = 2**LOG_SEGMENT_BITS
        return _rounded(np.log2(1 + np.arange(steps + 1) / steps) * 2**16)


def _problems(spec: FeatureSpec, has_cepstrum: bool) -> list[str]:
    problems = []
    whole = [value for value in vars(spec).values() if isinstance(value, int)]
    if max(map(abs, (*whole, *_integers(spec)))) >= 2**53 or not isfinite(spec.scale):
        return ["numbers are finite and integers below 2^53"]
    points = spec.fft_points
    for key, value, known in (
        ("frames.window", spec.window, tuple(WINDOWS)),
        ("spectrum.values", spec.values, VALUES),
        ("mel.triangles", spec.triangles, TRIANGLES),
        ("cepstrum.scaling", spec.transform, SCALINGS if has_cepstrum else ("none",)),
    ):
        if value not in known:
            problems.append(f"{key} is {value!r}; known are {', '.join(known)}")
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
    listed = len(spec.offset) + len(spec.multiplier)
    if len(_integers(spec)) < listed or min(spec.multiplier, default=1) < 1:
        problems.append("output.offset and output.multiplier hold integers, the latter positive")
    return problems or _overflows(spec)


def _integers(spec: FeatureSpec) -> list[int]:
    return [number for number in (*spec.offset, *spec.multiplier) if type(number) is int]


def _overflows(spec: FeatureSpec) -> list[str]:
    """Bounds from the tables themselves; 2 bits are left for rounding and complex corners."""
    peak = 2 ** (15 + FRACTION_BITS)
    window = spec.window_q15 / 2**WINDOW_BITS
    bin_peak = 2 * peak * float(window.sum())
    power = 4 * spec.fft_points / 2 * peak**2 * float((window**2).sum())
    energy = power * 2**MEL_BITS
    if spec.values == "magnitude":
        # roots of numbers whose sum is known add up to most where all are equal
        energy = float(np.sqrt((spec.fft_points // 2 + 1) * power)) * 2**MEL_BITS
    cosine, farthest = 0.0, (float(np.log2(energy + 1)) + 1) * 2**LOG_BITS
    if spec.transform != "none":
        cosine = farthest * float(np.abs(spec.cosines).sum(axis=1).max())
        farthest = cosine / 2**COSINE_BITS
    if bin_peak * 2 >= 2**31 or max(power, energy) >= 2**62 or cosine >= 2**31:
        return ["frames this long overflow the front end's integers; shorten them"]
    farthest += max(map(abs, spec.offset))
    if farthest * max(spec.multiplier) + 2**spec.shift >= 2**31:
        return ["output.offset and output.multiplier are too large for 32-bit products"]
    return []


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _rounded(values: NDArray[np.float64]) -> Ints:
    return np.asarray(np.floor(values + 0.5), np.int64)
