"""Makes zoo:hotword and zoo:hotword-large: data, front end, training, int8 file, card."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budget.zoo.features import FeatureSpec, front_end_cost, scale_cepstrum
from budget.zoo.training import cards, networks, quantize
from budget.zoo.training.speech import LABELS, coefficient_scaling, make_clips

SCALE = 1 / 32
_FRONT_END = FeatureSpec(
    sample_rate_hz=16000, clip_samples=16000, length_samples=480, step_samples=320,
    fft_points=512, mel_bands=40, low_hz=20, high_hz=7600, coefficients=10,
    offset=(0,) * 10, multiplier=(1,) * 10, shift=10, scale=SCALE, zero_point=0,
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """What distinguishes one of the models from the other.

    Attributes:
        name: in the zoo.
        width: channels of every layer.
        blocks: separable layers.
        epochs: passes over the training clips.
        dropout: behind the first layer, and twice that before the last.
        ships_float: whether the trained float network ships beside the int8 file, as .keras.
    """

    name: str
    width: int
    blocks: int
    epochs: int
    dropout: float
    ships_float: bool = False


HOTWORD = Recipe("hotword", 32, 4, 36, 0.04)
HOTWORD_LARGE = Recipe("hotword-large", 128, 4, 14, 0.1, ships_float=True)
_SHIPPED_TRAINING_CLIPS = 4000


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
    train = make_clips(_FRONT_END, held_out=False, per_word=per_word, takes=2, seed=seed)
    held_out = make_clips(_FRONT_END, held_out=True, per_word=held_out_per_word, takes=1, seed=seed)
    offset, multiplier = coefficient_scaling(
        train.cepstrum, steps_per_deviation=round(1 / SCALE), shift=_FRONT_END.shift
    )
    spec = replace(_FRONT_END, offset=offset, multiplier=multiplier)
    return Data(
        spec,
        scale_cepstrum(spec, train.cepstrum.astype(np.int64)),
        train.labels,
        scale_cepstrum(spec, held_out.cepstrum.astype(np.int64)),
        held_out.labels,
        held_out.snr_db,
    )


def make(recipe: Recipe, data: Data, folder: Path, *, seed: int = 1) -> None:
    """Trains, quantises, measures and writes the model with its card into ``folder``."""
    quantize.seed(seed)
    model = networks.ds_cnn(recipe.width, blocks=recipe.blocks, dropout=recipe.dropout)
    quantize.train(model, _real(data.train), data.train_labels, epochs=recipe.epochs)
    corners = np.stack([np.full((49, 10), value, np.int8) for value in (-128, 127)])
    # the extremes make the converter choose exactly the front end's scale
    calibration = _real(np.concatenate([corners, data.train[:: len(data.train) // 400]]))
    content = quantize.to_int8(model, calibration)
    (folder / f"{recipe.name}.tflite").write_bytes(content)
    if recipe.ships_float:
        model.save(folder / f"{recipe.name}.keras")
    float_answers = model.predict(_real(data.held_out), verbose=0).argmax(axis=1)
    int8_answers = quantize.run_int8(content, data.held_out).argmax(axis=1)
    card = _card(recipe, data, content, float_answers, int8_answers)
    (folder / f"{recipe.name}.md").write_text(card, encoding="utf-8")


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
    chosen = np.random.default_rng(0).permutation(len(data.train))[:_SHIPPED_TRAINING_CLIPS]
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
# The stages and their integer arithmetic are described in budget.zoo.features.
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


def _real(features: NDArray[np.int8]) -> quantize.Floats:
    return (features.astype(np.float32) * np.float32(SCALE))[..., None]


def _card(
    recipe: Recipe,
    data: Data,
    content: bytes,
    float_answers: NDArray[np.int64],
    int8_answers: NDArray[np.int64],
) -> str:
    labels = data.held_out_labels
    correct = int8_answers == labels
    spoken = labels != LABELS.index("silence")
    bands = [
        (low, high, correct[spoken & (low <= data.held_out_snr_db) & (data.held_out_snr_db < high)])
        for low, high in ((5, 12), (12, 20), (20, 30))
    ]
    by_noise = "\n".join(
        f"| {low} to {high} dB | {cards.Score(int(band.sum()), len(band))} |"
        for low, high, band in bands
    )
    agreement = cards.Score(int((float_answers == int8_answers).sum()), len(labels))
    cost = front_end_cost(data.spec)
    return f"""\
# zoo:{recipe.name}

A depthwise-separable network ({recipe.width} channels, {recipe.blocks} separable layers; the shape
of Zhang et al., arXiv 1711.07128) that hears one second of sound and says which of ten words was
spoken: {", ".join(LABELS[:10])}; or silence, or an unknown word.

- File: `{recipe.name}.tflite`, {len(content):,} bytes, int8 in and out, weights per channel.
- Input: int8[1][49][10][1] from the front end `hotword.features.toml` (scale 1/32, zero point 0).
  The front end does {cost.macs:,} multiplications per second of sound.
- Output: int8[1][12], a probability per label in the order of `hotword.labels.txt`.

## Accuracy on held-out voices

| model | accuracy |
|---|---|
| float | {cards.Score(int((float_answers == labels).sum()), len(labels))} |
| int8 | {cards.Score(int(correct.sum()), len(labels))} |

The two give the same answer for {agreement.right} of {agreement.count} clips.

int8, by the ratio of speech to noise (silence left out):

| speech over noise | accuracy |
|---|---|
{by_noise}

Confusion of the int8 model (rows: what was said; columns: what was heard):

{cards.confusion(LABELS, labels, int8_answers)}

## Data

Everything is synthesised with espeak-ng: {len(data.train):,} training clips and
{len(data.held_out)} held-out clips in different voices. 58 voice variants in 6 accents speak the
training words; 14 other variants, in 7 accents of which one is new, speak the held-out words. Rates
are 110 to 209 words a minute, pitches 20 to 80 of espeak-ng's 0 to 99. Each clip has noise 5 to
30 dB below the speech (coloured noise, mains hum, or a murmur of words), a level between -38 and
-12 dB of full scale, and the word up to 0.1 s off centre. *Unknown* is 30 other words, and 15 more
in the held-out set alone. `hotword.heldout.npz` holds all held-out features;
`hotword.training.npz` {_SHIPPED_TRAINING_CLIPS:,} of the training clips, for calibration and for
shrinking.

## Training

`python -m budget.zoo.training {recipe.name}` makes everything again: {recipe.epochs} epochs of
Adam with a cosine-decayed rate, batches of 128, dropout {recipe.dropout}, seed 1; then full integer
quantisation by TensorFlow's converter with 400 training clips. Made with Python
{platform.python_version()}, {cards.versions(with_speech=True)}.

## Limits

The voices are synthetic and only English was spoken. No recording of a person was used or tested,
so the figures above say how well the network does on synthetic speech and nothing about people:
train on recordings before relying on it. The test clips stem from the same synthesiser, noise
and levels as the training clips, and each holds one word near its middle.
"""
