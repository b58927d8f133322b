"""Training and conversion steps that all models share."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

Floats = NDArray[np.float32]
Bytes = NDArray[np.int8]


def train(
    model: keras.Model,
    inputs: Floats,
    labels: NDArray[Any],
    *,
    epochs: int,
    batch: int = 128,
    rate: float = 3e-3,
) -> None:
    """Fits a classifier with Adam and a cosine-decayed rate; what `seed` set decides the rest."""
    steps = epochs * -(-len(inputs) // batch)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(inputs, labels, batch_size=batch, epochs=epochs, verbose=2)


def seed(number: int) -> None:
    """Seeds Python, numpy and TensorFlow, and asks for reproducible kernels."""
    keras.utils.set_random_seed(number)
    tf.config.experimental.enable_op_determinism()


def save(model: keras.Model, path: Path) -> None:
    """Writes a .keras file without the optimizer's state or the time of day."""
    bare = keras.models.clone_model(model)
    bare.set_weights(model.get_weights())
    bare.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    members["metadata.json"] = json.dumps({**metadata, "date_saved": "1980-01-01"}).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            # a bare ZipInfo is dated 1980
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def to_int8(model: keras.Model, calibration: Floats) -> bytes:
    """Full integer quantisation by TensorFlow's converter: int8 in and out, per channel.

    Args:
        model: in float.
        calibration: examples whose ranges decide the scales, [example][...].
    """
    shape = (1, *model.input_shape[1:])
    # with the batch left open, the file would compute the shape of every flattening
    single = keras.Input(batch_shape=shape, name="input")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(single, model(single)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]

    def examples() -> Iterator[list[Floats]]:
        for example in calibration:
            yield [example.reshape(shape)]

    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def run_int8(content: bytes, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
    """Outputs of an int8 model with one input and output, by LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for example in inputs:
        interpreter.set_tensor(into["index"], example.reshape(into["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(out["index"])[0].copy())
    return np.stack(outputs)
