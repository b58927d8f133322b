"""Small networks trained in a minute each, kept in a folder between runs; with their data.

TensorFlow is imported when one is trained. The folder is BUDGET_TRAINED, or one for temporary
files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from budget.api.models import load, lower
from budget.graph import Graph

ZOO = Path(__file__).resolve().parents[1] / "budget" / "zoo" / "models"
_VERSION = 1


@dataclass(frozen=True)
class Trained:
    """A float network with data.

    Attributes:
        name: of the network.
        path: of its Keras file.
        graph: lowered.
        training: inputs [example][...] that it was trained on.
        held_out: inputs that it was not.
        labels: of the held-out ones; None for an autoencoder.
    """

    name: str
    path: Path
    graph: Graph
    training: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray | None

    def samples(self, inputs: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Inputs as the graph takes them."""
        (name,) = self.graph.inputs
        shape = self.graph.type_of(name).shape
        return [{name: x.reshape(shape).astype(np.float32)} for x in inputs]


def _digits(channels: int, size: int) -> tuple[np.ndarray, ...]:
    parts: list[np.ndarray] = []
    for part in ("training", "heldout"):
        data = np.load(ZOO / f"digits.{part}.npz")
        x = (data["features"].astype(np.float32) + 128) / 255
        x = np.kron(x, np.ones((1, size // 8, size // 8), np.float32))[..., None]
        parts += [np.repeat(x, channels, axis=3), data["labels"]]
    return tuple(parts)


def _clips() -> tuple[np.ndarray, ...]:
    parts: list[np.ndarray] = []
    for part in ("training", "heldout"):
        data = np.load(ZOO / f"hotword.{part}.npz")
        parts += [data["features"].astype(np.float32)[..., None] / 32, data["labels"]]
    return tuple(parts)


def _pixels() -> tuple[np.ndarray, ...]:
    x, labels, held_out, held_out_labels = _digits(1, 8)
    return x.reshape(-1, 64), labels, held_out.reshape(-1, 64), held_out_labels


def _concat() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    for width in (8, 12):
        one = layers.Conv2D(width, 1, activation="relu")(x)
        three = layers.Conv2D(width, 3, padding="same", activation="relu")(
            layers.Conv2D(6, 1, activation="relu")(x)
        )
        pooled = layers.Conv2D(6, 1, activation="relu")(layers.MaxPooling2D(3, 1, "same")(x))
        x = layers.MaxPooling2D(2)(layers.Concatenate()([one, three, pooled]))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def _autoencoder() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((64,))
    x: Any = inputs
    for units in (48, 32, 12, 32, 48):
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(64)(x))


def _network(name: str, **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        from budget.zoo.training import networks

        return getattr(networks, name)(**options)

    return build


# name: data, network, epochs
_RECIPES: dict[str, tuple[Callable[[], tuple[np.ndarray, ...]], Callable[[], Any], int]] = {
    "digits_cnn": (lambda: _digits(1, 8), _network("digits_cnn"), 20),
    "resnet8": (lambda: _digits(3, 8), _network("resnet", size=8, width=8), 15),
    "mobilenet_v1": (
        lambda: _digits(3, 16),
        _network("mobilenet", size=16, widths=(8, 16, 24, 32, 48), classes=10),
        30,
    ),
    "concat": (lambda: _digits(1, 8), _concat, 20),
    "autoencoder": (_pixels, _autoencoder, 40),
    "hotword": (_clips, _network("ds_cnn", width=32, dropout=0.04), 12),
}
NAMES = tuple(_RECIPES)


def trained(name: str) -> Trained:
    """One of `NAMES`, or ``hotword-large``, which ships."""
    if name == "hotword-large":
        x, _, held_out, labels = _clips()
        path = ZOO / "hotword-large.keras"
        return Trained(name, path, lower(load(path)), x, held_out, labels)
    data, build, epochs = _RECIPES[name]
    x, y, held_out, labels = data()
    root = os.environ.get("BUDGET_TRAINED") or Path(tempfile.gettempdir()) / "budget-trained"
    path = Path(root) / f"{name}-{_VERSION}.keras"
    if not path.exists():
        _train(name, build, x, y, epochs, path)
    answers = None if name == "autoencoder" else labels
    return Trained(name, path, lower(load(path)), x, held_out, answers)


def _train(
    name: str, build: Callable[[], Any], x: np.ndarray, y: np.ndarray, epochs: int, path: Path
) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
        keras.utils.set_random_seed(1)
        model = build()
        rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(x) // 32))
        loss = "mse" if name == "autoencoder" else "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.Adam(rate), loss)
        model.fit(x, x if name == "autoencoder" else y, batch_size=32, epochs=epochs, verbose=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{os.getpid()}-{path.name}")
        model.save(partial)
        partial.replace(path)
