"""The networks in Keras, as they are trained; budget.zoo.architectures writes the same shapes."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def ds_cnn(width: int, *, blocks: int = 4, dropout: float = 0.2, classes: int = 12) -> keras.Model:
    """Depthwise-separable keyword network over 49×10 features (Zhang et al., arXiv 1711.07128)."""
    inputs = keras.Input((49, 10, 1), batch_size=None)
    x = _normalised(layers.Conv2D(width, (10, 4), 2, "same", use_bias=False)(inputs))
    x = layers.Dropout(dropout)(x)
    for _ in range(blocks):
        x = _normalised(layers.DepthwiseConv2D(3, 1, "same", use_bias=False)(x))
        x = _normalised(layers.Conv2D(width, 1, use_bias=False)(x))
    x = layers.Dropout(2 * dropout)(x)
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def mobilenet(size: int, widths: tuple[int, ...], *, classes: int = 2) -> keras.Model:
    """MobileNet V1's chain: a convolution, then separable ones; every other halves the image."""
    inputs = keras.Input((size, size, 3))
    x = _normalised(layers.Conv2D(widths[0], 3, 2, "same", use_bias=False)(inputs))
    for index, width in enumerate(widths[1:]):
        stride = 1 + index % 2
        x = _normalised(layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x))
        x = _normalised(layers.Conv2D(width, 1, use_bias=False)(x))
    x = layers.Flatten()(layers.AveragePooling2D(x.shape[1])(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def resnet(size: int, width: int, *, classes: int = 10) -> keras.Model:
    """Three residual stacks, the second and third halve the image and double the channels."""
    inputs = keras.Input((size, size, 3))
    x = _normalised(layers.Conv2D(width, 3, padding="same", use_bias=False)(inputs))
    for stack in range(3):
        stride = 1 if stack == 0 else 2
        channels = width << stack
        y = _normalised(layers.Conv2D(channels, 3, stride, "same", use_bias=False)(x))
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(momentum=0.9)(y)
        if stride == 2:
            x = layers.Conv2D(channels, 1, stride, "same")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(x.shape[1])(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def autoencoder(inputs_count: int, width: int, code: int) -> keras.Model:
    """Fully connected: four hidden layers, a narrow code, four hidden layers."""
    inputs = keras.Input((inputs_count,))
    x: Any = inputs
    for units in (width,) * 4 + (code,) + (width,) * 4:
        x = _normalised(layers.Dense(units, use_bias=False)(x))
    return keras.Model(inputs, layers.Dense(inputs_count)(x))


def digits_cnn(*, classes: int = 10) -> keras.Model:
    """Three small convolutions over 8×8 grey images."""
    inputs = keras.Input((8, 8, 1))
    x = _normalised(layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs))
    x = layers.MaxPooling2D(2)(_normalised(layers.Conv2D(16, 3, padding="same", use_bias=False)(x)))
    x = layers.MaxPooling2D(2)(_normalised(layers.Conv2D(24, 3, padding="same", use_bias=False)(x)))
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def _normalised(x: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
