"""The Keras models of the benchmark of forms: small images, random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
from keras import layers

Builder = Callable[[], Any]


def _application(name: str, size: int, **options: Any) -> Any:
    options = {"weights": None, "classes": 10, "input_shape": (size, size, 3), **options}
    return getattr(keras.applications, name)(**options)


def _applications() -> dict[str, Builder]:
    chosen: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("MobileNet", 64, {"alpha": 0.25}),
        ("MobileNet", 64, {"alpha": 0.5}),
        ("MobileNet", 64, {}),
        ("MobileNetV2", 64, {"alpha": 0.35}),
        ("MobileNetV2", 64, {"alpha": 0.5}),
        ("MobileNetV2", 64, {"alpha": 0.75}),
        ("MobileNetV2", 64, {}),
        ("MobileNetV3Small", 64, {}),
        ("MobileNetV3Large", 64, {}),
        ("EfficientNetB0", 64, {}),
        ("EfficientNetB1", 64, {}),
        ("EfficientNetB2", 64, {}),
        ("EfficientNetV2B0", 64, {}),
        ("EfficientNetV2B1", 64, {}),
        ("EfficientNetV2S", 64, {}),
        ("NASNetMobile", 64, {}),
        ("DenseNet121", 64, {}),
        ("DenseNet169", 64, {}),
        ("DenseNet201", 64, {}),
        ("ResNet50", 64, {}),
        ("ResNet50V2", 64, {}),
        ("ResNet101V2", 64, {}),
        ("Xception", 71, {}),
        ("InceptionV3", 75, {}),
        ("InceptionResNetV2", 75, {}),
        ("ConvNeXtTiny", 64, {}),
        ("VGG16", 32, {"include_top": False, "pooling": "avg"}),
    )
    return {
        "-".join([name, *map(str, [v for k, v in options.items() if k == "alpha"])]): partial(
            _application, name, size, **options
        )
        for name, size, options in chosen
    }


def _zoo() -> dict[str, Builder]:
    from budget.zoo.training import networks

    return {
        "zoo keywords": lambda: networks.ds_cnn(64),
        "zoo hotword": lambda: networks.ds_cnn(24, blocks=3),
        "zoo visual wake words": lambda: networks.mobilenet(
            96, (8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
        ),
        "zoo images": lambda: networks.resnet(32, 16),
        "zoo anomalies": lambda: networks.autoencoder(640, 128, 8),
        "zoo digits": networks.digits_cnn,
    }


def _sequence(*parts: Any, shape: tuple[int, ...] = (12, 10)) -> Any:
    return keras.Sequential([keras.Input(shape), *parts, layers.Dense(3)])


def _recurrent() -> dict[str, Builder]:
    lstm, gru = layers.LSTM, layers.GRU
    return {
        "lstm": lambda: _sequence(lstm(8)),
        "lstm stacked": lambda: _sequence(lstm(8, return_sequences=True), lstm(6)),
        "lstm backwards": lambda: _sequence(lstm(8, go_backwards=True)),
        "lstm unrolled": lambda: _sequence(lstm(8, unroll=True)),
        "lstm without bias": lambda: _sequence(lstm(8, use_bias=False)),
        "gru": lambda: _sequence(gru(8)),
        "gru stacked": lambda: _sequence(gru(8, return_sequences=True), gru(5)),
        "gru sequences": lambda: _sequence(gru(8, return_sequences=True)),
        "gru backwards": lambda: _sequence(gru(8, go_backwards=True, return_sequences=True)),
        "gru without bias": lambda: _sequence(gru(8, use_bias=False)),
        "gru reset before": lambda: _sequence(gru(8, reset_after=False)),
        "simple rnn": lambda: _sequence(layers.SimpleRNN(8, return_sequences=True)),
        "simple rnn backwards": lambda: _sequence(layers.SimpleRNN(8, go_backwards=True)),
        "simple rnn with relu": lambda: _sequence(layers.SimpleRNN(8, activation="relu")),
        "bidirectional simple rnn": lambda: _sequence(layers.Bidirectional(layers.SimpleRNN(8))),
        "lstm with relu": lambda: _sequence(lstm(8, activation="relu")),
        "bidirectional lstm": lambda: _sequence(
            layers.Bidirectional(lstm(8, return_sequences=True))
        ),
        "bidirectional lstm multiplied": lambda: _sequence(
            layers.Bidirectional(lstm(6), merge_mode="mul")
        ),
        "bidirectional gru": lambda: _sequence(layers.Bidirectional(gru(8), merge_mode="sum")),
        "convolution and lstm": lambda: _sequence(
            layers.Conv1D(8, 3, padding="same", activation="relu"), layers.MaxPooling1D(2), lstm(8)
        ),
        "dense in time and gru": lambda: _sequence(
            layers.TimeDistributed(layers.Dense(6, activation="relu")), gru(7)
        ),
        "separable convolution and gru": lambda: _sequence(
            layers.SeparableConv1D(8, 3, padding="same"), layers.ReLU(), gru(7)
        ),
        "convolutions in time": lambda: _sequence(
            layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu")),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            gru(6),
            shape=(5, 8, 8, 1),
        ),
    }


def _streaming_cell(kind: str) -> Any:
    """One frame in, one answer out; the application carries the state."""
    frame = keras.Input((1, 10), name="frame")
    count = 2 if kind == "LSTM" else 1
    states = [keras.Input((8,), name=f"state_{index}") for index in range(count)]
    layer = getattr(layers, kind)(8, return_state=True, unroll=True)
    y, *new = layer(frame, initial_state=states if count > 1 else states[0])
    return keras.Model([frame, *states], [layers.Dense(3)(y), *new])


def _streaming_convolution() -> Any:
    """A causal convolution over the frames before, which the application hands back."""
    frame = keras.Input((1, 10), name="frame")
    memory = keras.Input((4, 10), name="memory")
    window = layers.Concatenate(axis=1)([memory, frame])
    x = layers.Conv1D(8, 5, activation="relu")(window)
    y = layers.Dense(3)(layers.Flatten()(x))
    return keras.Model([frame, memory], [y, layers.Cropping1D((1, 0))(window)])


def _streaming() -> dict[str, Builder]:
    return {
        "streaming lstm": lambda: _streaming_cell("LSTM"),
        "streaming simple rnn": lambda: _streaming_cell("SimpleRNN"),
        "streaming gru": lambda: _streaming_cell("GRU"),
        "streaming convolution": _streaming_convolution,
    }


def models() -> Mapping[str, Mapping[str, Builder]]:
    """Builders by family and name, those that take least time first."""
    return {
        "recurrent": _recurrent(),
        "streaming": _streaming(),
        "zoo": _zoo(),
        "keras.applications": _applications(),
    }
