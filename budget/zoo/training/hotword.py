"""Makes zoo:hotword and zoo:hotword-large: data, front end, training, int8 file, card."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budget import zoo
from budget.features import front_end_cost
from budget.zoo.training import cards, networks, quantize, speech
from budget.zoo.training.cards import macs
from budget.zoo.training.data import SCALE, SHIPPED_TRAINING_CLIPS, Data
from budget.zoo.training.speech import LABELS


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
        quantize.save(model, folder / f"{recipe.name}.keras")
    float_answers = model.predict(_real(data.held_out), verbose=0).argmax(axis=1)
    int8_answers = quantize.run_int8(content, data.held_out).argmax(axis=1)
    card = _card(recipe, data, content, float_answers, int8_answers)
    (folder / f"{recipe.name}.md").write_text(card, encoding="utf-8")


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
    front_end = front_end_cost(data.spec)
    network = macs(zoo.load("ds_cnn", width=recipe.width, blocks=recipe.blocks))
    trained = f"- Before quantisation: `{recipe.name}.keras`.\n" if recipe.ships_float else ""
    return f"""\
# zoo:{recipe.name}

A depthwise-separable network ({recipe.width} channels, {recipe.blocks} separable layers; the shape
of Zhang et al., arXiv 1711.07128) that hears one second of sound and says which of ten words was
spoken: {", ".join(LABELS[:10])}; or silence, or an unknown word.

- File: `{recipe.name}.tflite`, {len(content):,} bytes, int8 in and out, weights per channel.
{trained}- Input: int8[1][49][10][1] from the front end `hotword.features.toml` (scale 1/32,
  zero point 0).
- Work for one second of sound: {front_end.macs:,} multiplications in the front end,
  {network:,} multiply-adds in the network.
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
{len(data.held_out)} held-out clips in different voices. {speech.cast_summary()} Rates are 110 to
209 words a minute, pitches 20 to 80 of espeak-ng's 0 to 99. Each clip has noise 5 to 30 dB below
the speech (coloured noise, mains hum, or a murmur of words), a level between -38 and -12 dB of full
scale, and the word up to 0.1 s off centre. `hotword.heldout.npz` holds all held-out features;
`hotword.training.npz` {SHIPPED_TRAINING_CLIPS:,} of the training clips, for calibration and for
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
and levels as the training clips, and each holds one word near its middle. Noise, dropout and the
number of epochs were settled after one trial with more noise whose held-out result had been seen.
"""
