"""Makes zoo:digits: a small convolutional network on scikit-learn's handwritten digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from budget.zoo.training import cards, networks, quantize

LABELS = tuple("0123456789")
_EPOCHS = 40


def make(folder: Path, *, seed: int = 1) -> None:
    """Trains, quantises, measures and writes the model, its held-out set and its card."""
    images, labels = load_digits(return_X_y=True)
    pixels = images.reshape(-1, 8, 8, 1)
    train, held_out, train_labels, held_out_labels = train_test_split(
        pixels, labels, test_size=0.25, random_state=seed, stratify=labels
    )
    quantize.seed(seed)
    model = networks.digits_cnn()
    quantize.train(model, _real(_stored(train)), train_labels, epochs=_EPOCHS, batch=32)
    content = quantize.to_int8(model, _real(_stored(train)))
    (folder / "digits.tflite").write_bytes(content)
    (folder / "digits.labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    stored = _stored(held_out)
    sets = {"training": (_stored(train), train_labels), "heldout": (stored, held_out_labels)}
    for name, (features, answers) in sets.items():
        np.savez_compressed(
            folder / f"digits.{name}.npz",
            features=features[..., 0],
            labels=answers.astype(np.uint8),
        )
    float_answers = model.predict(_real(stored), verbose=0).argmax(axis=1)
    int8_answers = quantize.run_int8(content, stored).argmax(axis=1)
    count = len(held_out_labels)
    float_score = cards.Score(int((float_answers == held_out_labels).sum()), count)
    int8_score = cards.Score(int((int8_answers == held_out_labels).sum()), count)
    card = f"""\
# zoo:digits

A small convolutional network that reads one handwritten digit of 8×8 pixels.

- File: `digits.tflite`, {len(content):,} bytes, int8 in and out, weights per channel.
- Input: int8[1][8][8][1], scale 1/255, zero point -128; a pixel p of 0 (paper) to 16 (ink) is
  stored as round(p · 255 / 16) - 128.
- Output: int8[1][10], a probability per digit.

## Accuracy on held-out images

| model | accuracy |
|---|---|
| float | {float_score} |
| int8 | {int8_score} |

Confusion of the int8 model (rows: what was written; columns: what was read):

{cards.confusion(LABELS, held_out_labels, int8_answers)}

## Data

scikit-learn's `load_digits`: 1,797 images of the test part of "Optical Recognition of Handwritten
Digits" (E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998). A quarter of each class,
{count} images, is held out (`digits.heldout.npz`); the rest is in `digits.training.npz`.

## Training

`python -m budget.zoo.training digits`: {_EPOCHS} epochs of Adam with a cosine-decayed rate,
batches of 32, dropout 0.2, seed {seed}; then full integer quantisation by TensorFlow's converter
with the training images. Made with {cards.versions(with_speech=False)}.

## Limits

Writers are not told apart in the data, so the same hands wrote training and held-out images.
Digits that are not centred and scaled to 8×8 as those are will be misread.
"""
    (folder / "digits.md").write_text(card, encoding="utf-8")


def _stored(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> quantize.Bytes:
    return (np.round(pixels * 255 / 16) - 128).astype(np.int8)


def _real(stored: quantize.Bytes) -> quantize.Floats:
    return (stored.astype(np.float32) + np.float32(128)) / np.float32(255)
