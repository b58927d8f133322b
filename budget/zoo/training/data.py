"""The clips behind zoo:hotword and zoo:hotword-large, and the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budget.features import FeatureSpec, scale_cepstrum
from budget.zoo.training.speech import LABELS, coefficient_scaling, make_clips

SCALE = 1 / 32
FRONT_END = FeatureSpec(
    sample_rate_hz=16000, clip_samples=16000, length_samples=480, step_samples=320,
    fft_points=512, mel_bands=40, low_hz=20, high_hz=7600, coefficients=10,
    offset=(0,) * 10, multiplier=(1,) * 10, shift=10, scale=SCALE, zero_point=0,
)  # fmt: skip
SHIPPED_TRAINING_CLIPS = 4000


@dataclass(frozen=True)
class Data:
    """Features in int8, [clip][49][10], with the front end that made them."""

    spec: FeatureSpec
    train: NDArray[np.int8]
    train_labels: NDArray[np.uint8]
    held_out: NDArray[np.int8]
    held_out_labels: NDArray[np.uint8]
    held_out_snr_db: NDArray[np.float32]


def make_data(*, per_word: int = 500, held_out_per_word: int = 50, seed: int = 1) -> Data:
    """Synthesises both sets; the output scaling is fixed on the training set alone."""
    train = make_clips(FRONT_END, held_out=False, per_word=per_word, takes=2, seed=seed)
    held_out = make_clips(FRONT_END, held_out=True, per_word=held_out_per_word, takes=1, seed=seed)
    offset, multiplier = coefficient_scaling(
        train.cepstrum, steps_per_deviation=round(1 / SCALE), shift=FRONT_END.shift
    )
    spec = replace(FRONT_END, offset=offset, multiplier=multiplier)
    return Data(
        spec,
        scale_cepstrum(spec, train.cepstrum.astype(np.int64)),
        train.labels,
        scale_cepstrum(spec, held_out.cepstrum.astype(np.int64)),
        held_out.labels,
        held_out.snr_db,
    )


def write_data(data: Data, folder: Path) -> None:
    """Writes front end, held-out set and a part of the training set beside the models."""
    (folder / "hotword.features.toml").write_text(specification(data.spec), encoding="utf-8")
    (folder / "hotword.labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    np.savez_compressed(
        folder / "hotword.heldout.npz",
        features=data.held_out,
        labels=data.held_out_labels,
        snr_db=np.round(data.held_out_snr_db).astype(np.int8),
    )
    chosen = np.random.default_rng(0).permutation(len(data.train))[:SHIPPED_TRAINING_CLIPS]
    np.savez_compressed(
        folder / "hotword.training.npz",
        features=data.train[chosen],
        labels=data.train_labels[chosen],
    )


def specification(spec: FeatureSpec) -> str:
    """The front end as a TOML file that `FeatureSpec.load` reads."""
    return f"""\
# What zoo:hotword and zoo:hotword-large hear: one second of sound as
# int8[{spec.frames}][{spec.coefficients}].
# The stages and their integer arithmetic are described in budget.features.
schema = 1

[audio]
sample_rate_hz = {spec.sample_rate_hz}
clip_samples = {spec.clip_samples}

[frames]
length_samples = {spec.length_samples}
step_samples = {spec.step_samples}
window = "hann"

[spectrum]
fft_points = {spec.fft_points}

[mel]
bands = {spec.mel_bands}
low_hz = {spec.low_hz}
high_hz = {spec.high_hz}

[cepstrum]
coefficients = {spec.coefficients}

[output]
offset = {list(spec.offset)}
multiplier = {list(spec.multiplier)}
shift = {spec.shift}
scale = {spec.scale}
zero_point = {spec.zero_point}
"""
