"""Keras models that were quantised: weights stored as int8, and wrappers that simulate it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("h5py")

import h5py
from keras_by_hand import dense, layer, refuse, sequential, source, write_keras

from budget.errors import UnsupportedModelError
from budget.graph import Graph
from budget.ops.interpreter import run
from budget.readers.keras import read_keras
from budget.transforms.lower import lower

STORED = np.array([[127, -3], [5, 90], [-127, 127]], np.int8)
SCALE = np.array([50.0, 200.0], np.float32)
BIAS = np.array([0.5, -0.25], np.float32)
INT8 = {
    "module": "keras.dtype_policies",
    "class_name": "QuantizedDTypePolicy",
    "config": {"mode": "int8", "source_name": "float32"},
}


def computed(graph: Graph, x: np.ndarray) -> np.ndarray:
    lowered = lower(graph)
    return run(lowered, {lowered.inputs[0]: x})[lowered.outputs[0]]


@pytest.mark.parametrize("policy", [INT8, "int8_from_float32"])
def test_weights_stored_as_int8_become_real_again(policy: Any, tmp_path: Path) -> None:
    config = sequential(source([3]), dense(dtype=policy, quantization_config={"class_name": "X"}))
    arrays = {"layers/dense/vars/0": STORED, "layers/dense/vars/1": BIAS}
    path = write_keras(tmp_path / "m.keras", config, arrays | {"layers/dense/vars/2": SCALE})
    graph = read_keras(path)
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    np.testing.assert_allclose(computed(graph, x), x @ (STORED / SCALE) + BIAS, rtol=1e-6)
    assert "weights of 1 layers as int8" in graph.source.notes[-1]
    path = write_keras(tmp_path / "m.keras", config, arrays)
    refuse(path, "no int8 weights with scales")
    path = write_keras(
        tmp_path / "m.keras", config, arrays | {"layers/dense/vars/2": np.zeros(2, np.float32)}
    )
    refuse(path, "no int8 weights with scales")


def test_rows_of_an_embedding_have_a_scale_each(tmp_path: Path) -> None:
    table = layer("Embedding", "embedding", input_dim=3, output_dim=2, dtype=INT8)
    config = sequential(source([4], dtype="int32"), table)
    scales = np.array([10.0, 20.0, 40.0], np.float32)
    arrays = {"layers/embedding/vars/0": STORED, "layers/embedding/vars/1": scales}
    graph = read_keras(write_keras(tmp_path / "m.keras", config, arrays))
    (weights,) = [tensor.data for tensor in graph.constants]
    np.testing.assert_allclose(weights, STORED / scales[:, None])


def test_other_quantisations_are_refused_by_name(tmp_path: Path) -> None:
    policy = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int4"}}
    config = sequential(
        source([3]), dense(dtype=policy, quantization_config={"class_name": "Int4"})
    )
    refuse(write_keras(tmp_path / "m.keras", config), "quantization_config",
           kind=UnsupportedModelError)  # fmt: skip


def wrapped(inner: dict[str, Any], **config: Any) -> dict[str, Any]:
    name = "quant_" + inner["config"]["name"]
    return {
        "class_name": "QuantizeWrapperV2",
        "config": {
            "name": name, "trainable": True, "dtype": "float32",
            "layer": {"class_name": inner["class_name"], "config": inner["config"]},
            "quantize_config": {"class_name": "Default8BitQuantizeConfig", "config": {}},
            **config,
        },
    }  # fmt: skip


def trained_with_wrappers(inner: dict[str, Any]) -> dict[str, Any]:
    entrance = {
        "class_name": "QuantizeLayer",
        "config": {"name": "quantize_layer", "quantizer": {"class_name": "AllValuesQuantizer"}},
    }
    shaped = {"name": "x", "batch_input_shape": [None, 3], "dtype": "float32"}
    first = {"class_name": "InputLayer", "config": shaped}
    return sequential(first, entrance, wrapped(inner))


def test_wrappers_of_quantisation_aware_training_are_left_out(tmp_path: Path) -> None:
    simulated = {"class_name": "QuantizeAwareActivation", "config": {"activation": "relu"}}
    config = trained_with_wrappers(dense(activation=simulated))
    kernel = np.arange(6, dtype=np.float32).reshape(3, 2)
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        for group, names in (
            ("quantize_layer", ["quantize_layer/min", "quantize_layer/max"]),
            ("quant_dense", ["quant_dense/optimizer_step", "dense/bias", "dense/kernel_min",
                             "dense/kernel", "dense/post_activation_max"]),
        ):  # fmt: skip
            place = file.create_group(f"model_weights/{group}")
            place.attrs["weight_names"] = [f"{name}:0".encode() for name in names]
            for name in names:
                values = {"dense/kernel": kernel, "dense/bias": BIAS}
                place[f"{name}:0"] = values.get(name, np.float32(0))
    graph = read_keras(path)
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    expected = np.maximum(x @ kernel + BIAS, 0)
    np.testing.assert_allclose(computed(graph, x), expected, rtol=1e-6)
    assert "2 quantisers of quantisation-aware training" in " ".join(graph.source.notes)
    with h5py.File(path, "a") as file:
        file["model_weights/quant_dense"].attrs["weight_names"] = [b"dense/bias:0", b"dense/x:0"]
    refuse(path, "no kernel in the file")


def test_an_archive_has_the_layer_inside_its_wrapper(tmp_path: Path) -> None:
    config = trained_with_wrappers(dense())
    prefix = "layers/quantize_wrapper_v2/layer/vars"
    kernel = np.arange(6, dtype=np.float32).reshape(3, 2)
    arrays = {f"{prefix}/0": kernel, f"{prefix}/1": BIAS}
    graph = read_keras(write_keras(tmp_path / "m.keras", config, arrays))
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    np.testing.assert_allclose(computed(graph, x), x @ kernel + BIAS, rtol=1e-6)


def test_a_wrapper_around_a_model_is_refused(tmp_path: Path) -> None:
    inner = sequential(source([3]), dense())
    config = sequential(source([3]), wrapped(inner | {"config": inner["config"]}))
    refuse(write_keras(tmp_path / "m.keras", config), "holds more than one layer",
           kind=UnsupportedModelError)  # fmt: skip


@pytest.mark.slow
def test_what_keras_quantised_computes_nearly_the_same(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(4, use_bias=False),
        ]
    )
    before = model.get_weights()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an InputLayer has nothing to quantise
        model.quantize("int8")
        model.save(tmp_path / "m.keras")
    graph = read_keras(tmp_path / "m.keras")
    stored = [tensor.data for tensor in graph.constants]
    for ours, theirs in zip(stored, before, strict=True):
        assert ours is not None
        assert np.abs(ours - theirs).max() <= np.abs(theirs).max() / 127
    x = np.random.default_rng(3).standard_normal((1, 8)).astype(np.float32)
    np.testing.assert_allclose(computed(graph, x), np.asarray(model(x)), atol=0.03)
