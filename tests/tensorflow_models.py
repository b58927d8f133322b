"""Small TensorFlow models for tests, each built once per session.

TensorFlow is imported when a model is asked for.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@cache
def tensorflow() -> Any:
    """The module; skips where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("tensorflow")


def quietly(function: Callable[[], Any]) -> Any:
    """Calls a function whose library warns about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A file cut off somewhere, or with a few of its bits turned."""
    spoilt = bytearray(data)
    if rng.random() < 0.3:
        del spoilt[rng.randrange(len(spoilt)) :]
    else:
        for _ in range(rng.choice((1, 2, 8))):
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def randomize(model: Any, seed: int = 0) -> Any:
    """Gives every weight, statistics included, a value that shows mistakes."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(np.abs(rng.normal(size=weight.shape)) * 0.3 + 0.01)
    return model


def freeze(call: Any, shape: tuple[int | None, ...]) -> bytes:
    """A frozen GraphDef of a function of one tensor."""

    def work() -> bytes:
        tf = tensorflow()
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        function = tf.function(call).get_concrete_function(tf.TensorSpec(shape, tf.float32))
        graph_def = convert_variables_to_constants_v2(function).graph.as_graph_def()
        return bytes(graph_def.SerializeToString())

    return quietly(work)


def _layers() -> Any:
    return quietly(lambda: __import__("keras").layers)


def _sequential(shape: tuple[int, ...], *layers: Any) -> Any:
    keras = __import__("keras")
    return keras.Sequential([keras.Input(shape), *layers])


def _convolutions() -> Any:
    layers = _layers()
    return _sequential(
        (13, 16, 3),
        layers.Conv2D(8, 3, strides=2, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        layers.BatchNormalization(scale=False),
        layers.ReLU(),
        layers.Conv2D(6, (1, 3), use_bias=False, groups=2),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, activation="softmax"),
    )


def _activations() -> Any:
    layers = _layers()
    activations = __import__("keras").activations
    names = ("gelu", "selu", "softplus", "hard_swish", "swish", "elu", "hard_sigmoid", "softsign",
             "tanh", "log_softmax", "exponential", "relu6")  # fmt: skip
    return _sequential(
        (8,),
        layers.Dense(8, activation="gelu"),
        layers.Lambda(lambda x: activations.gelu(x, approximate=True)),
        *(layers.Activation(name) for name in names),
        layers.LeakyReLU(0.1),
        layers.PReLU(),
    )


def _dilated() -> Any:
    layers = _layers()
    return _sequential(
        (12, 15, 4),
        layers.Conv2D(4, 3, dilation_rate=2, padding="same"),
        layers.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
        layers.DepthwiseConv2D(3, dilation_rate=3, padding="valid"),
    )


def _one_dimensional() -> Any:
    layers = _layers()
    return _sequential(
        (20, 3),
        layers.Conv1D(4, 3, dilation_rate=2, padding="causal"),
        layers.Conv1D(4, 3, dilation_rate=2, padding="same", activation="relu"),
        layers.SeparableConv1D(6, 3, padding="same"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(2),
        layers.GlobalMaxPooling1D(),
    )


def _shapes() -> Any:
    keras, layers = __import__("keras"), _layers()
    start = x = keras.Input((10, 10, 4))
    x = layers.Conv2DTranspose(5, 3, strides=2, padding="same")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Cropping2D(2)(x)
    x = layers.LayerNormalization()(x)
    pooled = layers.MaxPooling2D(3, 2, padding="same")(x)
    averaged = layers.AveragePooling2D(3, 2, padding="same")(x)
    x = layers.Concatenate()([pooled, averaged])
    x = x[:, 1:-1:2, ::-1]
    x = layers.Permute((2, 1, 3))(x)
    x = layers.Flatten()(x)
    return keras.Model(start, layers.Dense(4)(x))


def _attention() -> Any:
    keras, layers = __import__("keras"), _layers()
    start = x = keras.Input((6, 8))
    x = layers.Dense(12)(x)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.Add()([x, layers.BatchNormalization()(x)])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(start, layers.UnitNormalization()(x))


def _preprocessed() -> Any:
    keras, layers = __import__("keras"), _layers()
    start = x = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3])(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(max_value=6)(x)
    x = layers.Conv2D(4, 3)(x)
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    scale = layers.Conv2D(4, 1, activation="hard_sigmoid")(scale)
    x = layers.Multiply()([x, scale])
    return keras.Model(start, layers.GlobalMaxPooling2D()(layers.Dropout(0.3)(x)))


MODELS: dict[str, Callable[[], Any]] = {
    "convolutions": _convolutions,
    "activations": _activations,
    "dilated": _dilated,
    "one_dimensional": _one_dimensional,
    "shapes": _shapes,
    "attention": _attention,
    "preprocessed": _preprocessed,
}


@cache
def keras_model(name: str) -> Any:
    """A randomised Keras model of `MODELS`."""
    tensorflow()
    return quietly(lambda: randomize(MODELS[name]()))


@cache
def frozen(name: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Frozen GraphDef of a model with an open batch, an input, and TensorFlow's output for it."""
    model = keras_model(name)
    shape = model.input_shape
    graph_def = freeze(lambda x: model(x, training=False), shape)
    x = np.random.default_rng(1).normal(size=(1, *shape[1:])).astype(np.float32)
    return graph_def, x, quietly(lambda: np.asarray(model(x, training=False)))


@cache
def exported(name: str, folder: Path) -> Path:
    """A SavedModel that Keras exported."""
    model = keras_model(name)
    quietly(lambda: model.export(folder / name, verbose=False))
    return folder / name
