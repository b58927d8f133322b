"""The feature front end against floating point, against scalar integers, and at its limits."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.errors import CorruptModelError, UsageError
from budget.features import (
    FeatureSpec,
    extract,
    extract_cepstrum,
    front_end_cost,
    front_end_stages,
)
from budget.features.extract import log2_q8, real_fft
from budget.zoo import MODELS

SHIPPED = MODELS / "hotword.features.toml"
SPEC = FeatureSpec.load(SHIPPED)
SMALL = replace(
    SPEC, clip_samples=150, length_samples=60, step_samples=40, fft_points=64, mel_bands=8
)


def sound(spec: FeatureSpec, peak: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    tone = np.sin(np.arange(spec.clip_samples) * random.uniform(0.01, 1.5))
    noisy = tone + random.standard_normal(spec.clip_samples) * 0.1
    return np.round(noisy / np.abs(noisy).max() * peak).astype(np.int16)


class Counted(int):
    """An integer that counts multiplications; shifts and sums keep counting along."""

    multiplications = 0

    def __mul__(self, other: int) -> Counted:
        Counted.multiplications += 1
        return Counted(int(self) * int(other))

    def __add__(self, other: int) -> Counted:
        return Counted(int(self) + int(other))

    def __sub__(self, other: int) -> Counted:
        return Counted(int(self) - int(other))

    def __neg__(self) -> Counted:
        return Counted(-int(self))

    def __rshift__(self, other: int) -> Counted:
        return Counted(int(self) >> other)


class Scalar:
    """The front end once more, written as C would be, one integer at a time.

    It notes the widest value of every stage, and shares only tables with what it checks.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self.widest: dict[str, int] = {}
        self.counts: dict[str, int] = {}

    def note(self, stage: str, *values: int) -> None:
        self.widest[stage] = max(self.widest.get(stage, 0), *(abs(int(v)) for v in values))

    def stage(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + Counted.multiplications
        Counted.multiplications = 0

    def run(self, audio: np.ndarray) -> list[list[int]]:
        step, length = self.spec.step_samples, self.spec.length_samples
        starts = range(0, len(audio) - length + 1, step)
        return [self.frame([int(v) for v in audio[s : s + length]]) for s in starts]

    def frame(self, samples: list[int]) -> list[int]:
        spec, points = self.spec, self.spec.fft_points
        Counted.multiplications = 0
        y = [(Counted(x) * int(w) + 2048) >> 12 for x, w in zip(samples, spec.window_q15)]
        y += [Counted(0)] * (points - len(y))
        self.stage("window")
        re, im = self.fft(y[0::2], y[1::2])
        self.stage("fft")
        bins = self.split(re, im)
        self.stage("split")
        power = [a * a + b * b for a, b in bins]
        self.note("power", *power)
        self.stage("power")
        energies = []
        for band in spec.mel_weights:
            total = Counted(0)
            for value, weight in zip(power, band):
                if weight:
                    total = total + value * int(weight)
            energies.append(total)
        self.note("energy", *energies)
        self.stage("mel")
        logs = [self.log2(energy) for energy in energies]
        self.stage("log")
        output = []
        for row in spec.cosines:
            total = Counted(0)
            for value, weight in zip(logs, row):
                total = total + value * int(weight)
                self.note("cosine", total)
            output.append((total + 8192) >> 14)
        self.stage("cosine")
        scaled = []
        for c, offset, multiplier in zip(output, spec.offset, spec.multiplier):
            product = (c - offset) * multiplier
            self.note("output", product)
            value = (product + (1 << (spec.shift - 1))) >> spec.shift
            scaled.append(max(-128, min(127, int(value) + spec.zero_point)))
        self.stage("output")
        return scaled

    def turn(self, re: Counted, im: Counted, k: int) -> tuple[Counted, Counted]:
        wr, wi = int(self.spec.twiddles[0][k]), int(self.spec.twiddles[1][k])
        return (re * wr - im * wi + 8192) >> 14, (re * wi + im * wr + 8192) >> 14

    def fft(self, re: list[Counted], im: list[Counted]) -> tuple[list[Counted], list[Counted]]:
        """Recursive, by decimation in time."""
        count = len(re)
        if count == 1:
            return re, im
        even_re, even_im = self.fft(re[0::2], im[0::2])
        odd_re, odd_im = self.fft(re[1::2], im[1::2])
        out_re, out_im = [Counted(0)] * count, [Counted(0)] * count
        for k in range(count // 2):
            tr, ti = self.turn(odd_re[k], odd_im[k], k * (self.spec.fft_points // count))
            out_re[k], out_im[k] = even_re[k] + tr, even_im[k] + ti
            out_re[k + count // 2], out_im[k + count // 2] = even_re[k] - tr, even_im[k] - ti
        self.note("fft", *out_re, *out_im)
        return out_re, out_im

    def split(self, re: list[Counted], im: list[Counted]) -> list[tuple[Counted, Counted]]:
        half = len(re)
        bins = []
        for k in range(half):
            m = -k % half
            tr, ti = self.turn(im[k] + im[m], re[m] - re[k], k)
            bins.append((re[k] + re[m] + tr, im[k] - im[m] + ti))
            if k == 0:
                last = (re[0] + re[0] - tr, im[0] - im[0] - ti)
        bins.append(last)
        self.note("fft", *(v for pair in bins for v in pair))
        return bins

    def log2(self, energy: Counted) -> Counted:
        value = int(energy) + 1
        exponent = value.bit_length() - 1
        bits = value >> (exponent - 21) if exponent > 21 else value << (21 - exponent)
        segment, place = (bits >> 16) & 31, bits & 0xFFFF
        low, high = (int(self.spec.logarithms[segment + i]) for i in (0, 1))
        fraction = low + int(Counted(high - low) * place >> 16)
        return Counted(((exponent << 16) + fraction) >> 8)


@pytest.mark.parametrize("peak", [0, 1, 100, 32767])
def test_scalar_integers_give_the_same_bytes(peak: int) -> None:
    audio = sound(SMALL, peak, peak)
    assert Scalar(SMALL).run(audio) == extract(SMALL, audio).tolist()


def test_shipped_front_end_in_scalar_integers_and_its_multiplications() -> None:
    spec = replace(SPEC, clip_samples=SPEC.length_samples + SPEC.step_samples)
    scalar = Scalar(spec)
    audio = sound(spec, 32767, 3)
    assert scalar.run(audio) == extract(spec, audio).tolist()
    counted = {stage: cost.macs for stage, cost in front_end_stages(spec).items()}
    assert counted == scalar.counts
    assert front_end_cost(spec).macs == sum(scalar.counts.values())


@pytest.mark.parametrize("kind", ["constant", "square", "alternating", "tone", "noise"])
def test_nothing_overflows_at_full_scale(kind: str) -> None:
    n = np.arange(SPEC.length_samples)
    audio = {
        "constant": np.full(n.shape, -32768),
        "square": np.where(n // 8 % 2, -32768, 32767),
        "alternating": np.where(n % 2, -32768, 32767),
        "tone": np.round(32767 * np.sin(2 * np.pi * 32 * n / 512)),
        "noise": np.random.default_rng(0).choice([-32768, 32767], n.shape),
    }[kind].astype(np.int16)
    scalar = Scalar(replace(SPEC, clip_samples=SPEC.length_samples))
    scalar.run(audio)
    assert scalar.widest["fft"] < 2**31
    assert scalar.widest["cosine"] < 2**31
    assert scalar.widest["output"] < 2**31
    assert scalar.widest["energy"] < 2**63


def test_close_to_floating_point() -> None:
    clips = np.stack([sound(SPEC, peak, peak) for peak in (300, 3000, 30000)])
    index = np.arange(SPEC.frames)[:, None] * SPEC.step_samples + np.arange(SPEC.length_samples)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SPEC.length_samples) / SPEC.length_samples)
    power = np.abs(16 * np.fft.rfft(clips[:, index] * hann, SPEC.fft_points)) ** 2
    logs = np.log2(power @ (SPEC.mel_weights.T) + 1)
    k, n = np.arange(SPEC.coefficients)[:, None], np.arange(SPEC.mel_bands)
    dct = np.sqrt(2 / SPEC.mel_bands) * np.cos(np.pi * k * (2 * n + 1) / (2 * SPEC.mel_bands))
    dct[0] /= np.sqrt(2)
    exact = logs @ dct.T * 256
    error = extract_cepstrum(SPEC, clips) - exact
    steps = error * np.array(SPEC.multiplier) / 2**SPEC.shift
    assert np.abs(steps).max() < 0.3, "in steps of the int8 output"


@pytest.mark.parametrize("points", [8, 64, 512, 4096])
def test_fft_is_twice_numpys(points: int) -> None:
    spec = replace(SPEC, fft_points=points)
    samples = np.random.default_rng(points).integers(-(2**17), 2**17, (3, points))
    re, im = real_fft(spec, samples)
    expected = 2 * np.fft.rfft(samples)
    assert np.abs(re + 1j * im - expected).max() < 2e-4 * np.abs(expected).max()


@given(st.integers(0, 2**62))
@settings(max_examples=300, deadline=None)
def test_log2_is_within_a_step(energy: int) -> None:
    got = int(log2_q8(SPEC, np.array([energy]))[0])
    assert abs(got - 256 * np.log2(float(energy) + 1)) < 1.1


def test_arithmetic_is_the_one_the_models_were_trained_with() -> None:
    # a linear congruential generator, so that no library decides what the sound is
    state, samples = 1, []
    for _ in range(SPEC.clip_samples):
        state = (state * 1103515245 + 12345) % 2**31
        samples.append((state >> 15) - 2**15)
    found = extract(SPEC, np.array(samples, np.int16))
    digest = hashlib.sha256(found.tobytes()).hexdigest()[:32]
    assert digest == "8dc4430d3d2c14443ce6ad76aeb3a010", (
        "retrain and ship again if this is meant to change"
    )


def test_filters_tile_the_band() -> None:
    weights = SPEC.mel_weights
    assert weights.shape == (40, 257)
    inside = slice(int(np.argmax(weights[0])) + 1, int(np.argmax(weights[-1])))
    assert np.abs(weights.sum(axis=0)[inside] - 256).max() <= 1
    assert (weights.sum(axis=1) > 0).all()


def test_output_shape_follows_the_clips() -> None:
    assert extract(SPEC, np.zeros((2, 3, 16000), np.int16)).shape == (2, 3, 49, 10)
    assert SPEC.shape == (49, 10)


@pytest.mark.parametrize(
    "audio", [np.zeros(15999, np.int16), np.zeros(16000, np.float32), np.zeros((), np.int16)]
)
def test_wrong_sound_is_refused(audio: np.ndarray) -> None:
    with pytest.raises(UsageError, match="16000 int16 samples") as caught:
        extract(SPEC, audio)
    assert "16000 Hz" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema = 1"),
        ("bands = 40", "bands = 40\ncolour = 3", "mel.colour"),
        ("bands = 40", "", "mel.bands"),
        ("bands = 40", "bands = 4.5", "mel.bands"),
        ("[mel]", "[fish]", "fish"),
        ('window = "hann"', 'window = "boxcar"', "'boxcar'"),
        ("fft_points = 512", "fft_points = 500", "power of two"),
        ("length_samples = 480", "length_samples = 600", "from 1 to fft_points"),
        ("step_samples = 320", "step_samples = 0", "step of at least 1"),
        ("clip_samples = 16000", "clip_samples = 300", "at least one frame"),
        ("clip_samples = 16000", "clip_samples = 99999999999", "at most 10,000,000"),
        ("high_hz = 7600", "high_hz = 9000", "below half the sample rate"),
        ("coefficients = 10", "coefficients = 41", "mel bands"),
        ("coefficients = 10", "coefficients = 9", "one element per coefficient"),
        ("zero_point = 0", "zero_point = 300", "zero_point an int8"),
        ("multiplier = [", "multiplier = [-", "positive"),
        ("multiplier = [", "multiplier = [99999", "too large for 32-bit"),
        ("fft_points = 512", "fft_points = ", "not a TOML file"),
    ],
)
def test_bad_specifications_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = SHIPPED.read_text()
    assert old in text
    path = tmp_path / "bad.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CorruptModelError) as caught:
        FeatureSpec.load(path)
    assert message in caught.value.what
    assert caught.value.where == str(path)


def test_narrow_filters_and_long_frames_are_refused(tmp_path: Path) -> None:
    text = SHIPPED.read_text()
    path = tmp_path / "long.toml"
    longer = text.replace("length_samples = 480", "length_samples = 4096")
    path.write_text(longer.replace("fft_points = 512", "fft_points = 4096"))
    with pytest.raises(CorruptModelError, match="overflow the front end's integers"):
        FeatureSpec.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        FeatureSpec.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        FeatureSpec.load(tmp_path / "binary.toml")
