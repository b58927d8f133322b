"""The specification in docs/front_ends.md makes what TensorFlow's MFCC makes for MLPerf Tiny."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from budget.api.models import prepare
from budget.features import FeatureSpec, extract, require_match

PAGE = Path(__file__).resolve().parents[2] / "docs" / "front_ends.md"


def written() -> FeatureSpec:
    text = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.S)
    assert text is not None
    return FeatureSpec.parse(tomllib.loads(text[1]))


def clips(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    n = np.arange(16000)
    found = []
    for _ in range(count):
        sound = sum(
            random.uniform(0, 1) * np.sin(n * f * 2 * np.pi / 16000 * (1 + n / 16000 * 0.1))
            for f in random.uniform(80, 4000, 5)
        )
        envelope = np.exp(-((n - 8000) ** 2) / 2 / random.uniform(1500, 5000) ** 2)
        sound = sound * envelope + random.standard_normal(16000) * 0.02
        found.append(sound / np.abs(sound).max() * 32767)
    return np.round(found).astype(np.int16)


def test_front_end_against_floating_point() -> None:
    """The same with numpy's own transform and no tables."""
    spec, audio = written(), clips(6)
    index = np.arange(49)[:, None] * 320 + np.arange(480)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    magnitude = np.abs(np.fft.rfft(audio[:, index] / 32768 * hann, 512))
    mel = 1127 * np.log1p(np.arange(257) * 16000 / 512 / 700)
    edges = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(4000 / 700), 42)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.minimum((mel - low) / (centre - low), (high - mel) / (high - centre)).clip(0)
    logs = np.log(magnitude @ filters.T + 1e-6)
    k, n = np.arange(10)[:, None], np.arange(40)
    mfcc = logs @ (np.cos(np.pi * k * (2 * n + 1) / 80) * np.sqrt(2 / 40)).T
    wanted = mfcc / spec.scale + spec.zero_point
    error = extract(spec, audio) - np.clip(wanted, -128, 127)
    assert np.abs(error).max() < 1.0, "half a step is rounding"
    assert np.abs(error).mean() < 0.3


@pytest.mark.slow
def test_front_end_against_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")
    spec, audio = written(), clips(6)
    spectrum = tf.abs(
        tf.signal.stft(
            audio.astype(np.float32) / 32768, 480, 320, 512, window_fn=tf.signal.hann_window
        )
    )
    matrix = tf.signal.linear_to_mel_weight_matrix(40, 257, 16000, 20.0, 4000.0)
    logs = tf.math.log(tf.tensordot(spectrum, matrix, 1) + 1e-6)
    mfcc = tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :10].numpy()
    wanted = np.clip(mfcc / spec.scale + spec.zero_point, -128, 127)
    error = extract(spec, audio) - wanted
    assert np.abs(error).max() < 1.0
    assert np.abs(error).mean() < 0.3


def test_it_fits_the_benchmark_model(models: Path) -> None:
    require_match(written(), prepare(models / "kws_int8.tflite").graph)
