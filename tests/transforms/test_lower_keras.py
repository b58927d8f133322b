"""Keras itself is the witness: every layer, saved, read, lowered and run, gives Keras's numbers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from budget.formats.keras_settings import ACTIVATIONS
from budget.graph import DType, Graph, verify
from budget.ops.interpreter import run
from budget.readers.keras import read_keras
from budget.transforms.lower.keras import lower_keras

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
pytest.importorskip("tensorflow")
pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")

L = keras.layers
Build = Callable[[], Any]


def image(*layers: Any, shape: tuple[int, ...] = (9, 8, 6)) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


def series(*layers: Any, shape: tuple[int, ...] = (11, 4)) -> Any:
    return image(*layers, shape=shape)


def vector(*layers: Any) -> Any:
    return image(*layers, shape=(7,))


def pair(layer: Any, a: tuple[int, ...] = (5, 4, 3), b: tuple[int, ...] = (5, 4, 3)) -> Any:
    x, y = keras.Input(a), keras.Input(b)
    return keras.Model([x, y], layer([x, y]))


def function(make: Callable[[Any], Any], shape: tuple[int, ...] = (5, 4, 3)) -> Any:
    x = keras.Input(shape)
    return keras.Model(x, make(x))


SMALL: dict[str, Build] = {
    "dense": lambda: vector(L.Dense(5, activation="relu"), L.Dense(3, use_bias=False)),
    "dense-3d": lambda: series(L.Dense(5, activation="tanh")),
    "conv-same": lambda: image(L.Conv2D(4, 3, strides=2, padding="same", activation="relu6")),
    "conv-valid": lambda: image(L.Conv2D(4, (3, 2), use_bias=False, activation="silu")),
    "conv-groups": lambda: image(L.Conv2D(6, 3, groups=3, padding="same")),
    "conv-dilated": lambda: image(L.Conv2D(4, 3, dilation_rate=(2, 1), padding="same")),
    "conv-norm-relu": lambda: image(
        L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU(6.0)
    ),
    "conv1d-same": lambda: series(
        L.Conv1D(6, 3, strides=2, padding="same"), L.BatchNormalization(), L.ReLU()
    ),
    "conv1d-causal": lambda: series(
        L.Conv1D(6, 3, dilation_rate=2, padding="causal", activation="relu"),
        L.Conv1D(3, 2, groups=3),
    ),
    "depthwise": lambda: image(L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)),
    "depthwise1d": lambda: series(L.DepthwiseConv1D(3, padding="same", depth_multiplier=2)),
    "separable": lambda: image(L.SeparableConv2D(5, 3, depth_multiplier=2, activation="relu")),
    "separable1d": lambda: series(L.SeparableConv1D(5, 3, padding="same")),
    "transpose-same": lambda: image(L.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "transpose-valid": lambda: image(L.Conv2DTranspose(4, (2, 3), strides=(1, 3))),
    "transpose-extra": lambda: image(
        L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1)
    ),
    "transpose1d": lambda: series(L.Conv1DTranspose(4, 3, strides=2, padding="same")),
    "norms": lambda: image(
        L.BatchNormalization(scale=False), L.LayerNormalization(), L.UnitNormalization()
    ),
    "norms-axes": lambda: image(
        L.LayerNormalization(axis=[1, 2]),
        L.BatchNormalization(center=False),
        L.LayerNormalization(rms_scaling=True),
        L.UnitNormalization(axis=1),
    ),
    "relu-max": lambda: image(L.ReLU(max_value=1.5, negative_slope=0.1)),
    "relu-threshold": lambda: image(L.ReLU(threshold=0.3, negative_slope=0.1, max_value=2.0)),
    "leaky": lambda: image(L.LeakyReLU(0.3), L.PReLU(shared_axes=[1, 2]), L.PReLU()),
    "elu": lambda: image(L.ELU(0.7), L.ELU()),
    "softmax": lambda: image(L.Softmax(), L.Softmax(axis=1)),
    "dropouts": lambda: image(
        L.Dropout(0.5), L.SpatialDropout2D(0.2), L.GaussianNoise(1.0), L.Conv2D(2, 1)
    ),
    "only-dropout": lambda: image(L.Dropout(0.5)),
    "shapes": lambda: image(
        L.Permute((2, 1, 3)), L.Reshape((12, -1)), L.Flatten(), L.RepeatVector(3)
    ),
    "borders": lambda: image(
        L.ZeroPadding2D(((1, 2), (0, 3))), L.Cropping2D(((0, 1), (2, 1))), L.ZeroPadding2D(1)
    ),
    "borders1d": lambda: series(L.ZeroPadding1D((1, 2)), L.Cropping1D(1), L.ZeroPadding1D()),
    "upsampling": lambda: image(
        L.UpSampling2D(2), L.UpSampling2D((1, 3), interpolation="bilinear")
    ),
    "upsampling1d": lambda: series(L.UpSampling1D(3)),
    "pools": lambda: image(L.MaxPooling2D(3, 2, padding="same"), L.AveragePooling2D((2, 3))),
    "pools-same": lambda: image(L.AveragePooling2D(3, 2, padding="same"), L.MaxPooling2D()),
    "pools1d": lambda: series(L.MaxPooling1D(3, 1, padding="same"), L.AveragePooling1D(2)),
    "global": lambda: image(L.GlobalAveragePooling2D(keepdims=True), L.GlobalMaxPooling2D()),
    "global1d": lambda: series(L.GlobalAveragePooling1D(), L.Dense(2)),
    "global-max1d": lambda: series(L.GlobalMaxPooling1D(keepdims=True)),
    "add": lambda: pair(L.Add()),
    "subtract": lambda: pair(L.Subtract()),
    "multiply": lambda: pair(L.Multiply(), (5, 4, 3), (3,)),
    "average": lambda: pair(L.Average()),
    "maximum": lambda: pair(L.Maximum()),
    "minimum": lambda: pair(L.Minimum()),
    "concatenate": lambda: pair(L.Concatenate(axis=1), (5, 4), (3, 4)),
    "dot": lambda: pair(L.Dot(axes=1), (6,), (6,)),
    "dot-normalised": lambda: pair(L.Dot(axes=(2, 1), normalize=True), (3, 4), (4, 5)),
    "dot-turned": lambda: pair(L.Dot(axes=(1, 2)), (4, 3), (5, 4)),
    "rescaling": lambda: image(L.Rescaling(1 / 127.5, offset=-1.0)),
    "rescaling-channels": lambda: image(L.Rescaling([1.0, 2.0, 3.0, 0.5, 0.1, 1.5])),
    "normalization": lambda: image(L.Normalization()),
    "normalization-given": lambda: image(L.Normalization(mean=0.4, variance=2.0, invert=True)),
    "resizing": lambda: image(L.Resizing(13, 5), L.Resizing(4, 7, interpolation="nearest")),
    "time-distributed": lambda: image(
        L.TimeDistributed(L.Conv1D(4, 3, padding="same", activation="relu")),
        L.TimeDistributed(L.Dense(2)),
        L.TimeDistributed(L.Flatten()),
    ),
    "functions": lambda: function(
        lambda x: keras.ops.relu(2.0 * x - 1.0) / 3.0 + keras.ops.maximum(x, 0.5) - (-x)
    ),
    "functions-unary": lambda: function(
        lambda x: (
            keras.ops.sqrt(keras.ops.exp(keras.ops.sigmoid(x)))
            + keras.ops.gelu(x) * keras.ops.silu(keras.ops.abs(x))
            + keras.ops.square(keras.ops.leaky_relu(x)) * keras.ops.hard_sigmoid(x)
        )
    ),
    "functions-reduce": lambda: function(
        lambda x: (
            keras.ops.mean(x, axis=(1, 2), keepdims=True) + keras.ops.max(x, axis=-1, keepdims=True)
        )
    ),
    "functions-shape": lambda: function(
        lambda x: keras.ops.concatenate(
            [keras.ops.transpose(x, (0, 2, 1, 3)), keras.ops.reshape(x, (-1, 4, 5, 3))], axis=-1
        )
    ),
    "functions-matmul": lambda: function(
        lambda x: keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1))), (4, 3)
    ),
    "functions-index": lambda: function(
        lambda x: keras.ops.concatenate([x[:, 1:, ::-2], x[:, :-1, -2:-1]], axis=-1), (5, 4)
    ),
    "functions-index-ranks": lambda: function(
        lambda x: x[:, -1, None, ..., 1:] * x[..., :1, :][:, :1], (3, 4, 2)
    ),
    "attention": lambda: function(
        lambda x: L.MultiHeadAttention(2, 3, value_dim=5)(x, L.Dense(4)(x)), (6, 4)
    ),
    "attention-keys": lambda: function(
        lambda x: L.MultiHeadAttention(3, 2, use_bias=False, output_shape=7)(
            x, value=x, key=L.Dense(6)(x)
        ),
        (5, 4),
    ),
}


def shared() -> Any:
    """One convolution and one inner model used twice; two inputs, three outputs."""
    a, b = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    conv = L.Conv2D(4, 3, padding="same")

    def inner() -> Any:
        x = keras.Input((8, 8, 4))
        return keras.Model(x, L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 1)(x))))

    again = inner()
    deep = keras.Sequential([inner(), L.DepthwiseConv2D(3), L.BatchNormalization()], name="deep")
    x, y = conv(a), conv(b)
    u, v = deep(again(x)), again(y)
    top = L.GlobalAveragePooling2D()(u)
    return keras.Model([a, b], [top, L.Concatenate()([x, v]), u])


def randomise(model: Any, seed: int = 0) -> Any:
    """Weights away from their start values, so that each one matters."""
    random = np.random.default_rng(seed)
    values = []
    for variable in model.weights:
        value = np.asarray(variable)
        if variable.path.endswith("count"):
            values.append(value)
        elif variable.path.endswith(("variance", "gamma")):
            values.append(random.uniform(0.5, 1.5, value.shape).astype(np.float32))
        else:
            scale = 1 / np.sqrt(max(np.prod(value.shape[:-1]), 1)) if value.ndim > 1 else 0.2
            values.append((scale * random.standard_normal(value.shape)).astype(np.float32))
    model.set_weights(values)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return model


def check(model: Any, path: Path, *, as_is: bool = False, tolerance: float = 1e-4) -> Graph:
    """Saves, reads, lowers and runs a model, and compares with Keras."""
    model.save(path)
    graph = verify(read_keras(path))
    assert sum(t.type.element_count for t in graph.constants if "operand" not in t.name) == (
        model.count_params()
    )
    lowered = lower_keras(graph, as_is=as_is)
    random = np.random.default_rng(1)
    inputs = {}
    for name in lowered.inputs:
        type = lowered.type_of(name)
        values = random.standard_normal(type.shape)
        if type.dtype.is_integer:
            values = random.integers(0, 7, type.shape)
        inputs[name] = values.astype(type.dtype.numpy)
    expected = (
        model([inputs[name] for name in lowered.inputs], training=False)
        if len(inputs) > 1
        else model(inputs[lowered.inputs[0]], training=False)
    )
    if not isinstance(expected, list | tuple):
        expected = [expected]
    found = run(lowered, inputs)
    assert len(lowered.outputs) == len(expected)
    for name, source, value in zip(lowered.outputs, graph.outputs, expected):
        value = np.asarray(value)
        assert found[name].shape == value.shape == graph.type_of(source).shape
        assert found[name].dtype == np.float32
        scale = max(float(np.abs(value).max()), 1e-3)
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance * scale)
    return lowered


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", SMALL)
def test_layer_equals_keras(name: str, suffix: str, tmp_path: Path) -> None:
    keras.utils.clear_session()
    check(randomise(SMALL[name]()), tmp_path / f"m.{suffix}")


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activation_equals_keras(name: str, tmp_path: Path) -> None:
    model = vector(L.Dense(6, activation=name), L.Activation(name))
    check(randomise(model), tmp_path / "m.keras")


@pytest.mark.parametrize("as_is", [False, True])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_shared_layers_and_nested_models(suffix: str, as_is: bool, tmp_path: Path) -> None:
    model = randomise(shared())
    lowered = check(model, tmp_path / f"m.{suffix}", as_is=as_is)
    assert ("batch_norm" in {node.op for node in lowered.nodes}) is as_is
    assert lowered.inputs == ("left", "right")


@pytest.mark.parametrize("frozen", ["inner", "part", "none"])
def test_frozen_inner_models_keep_their_weights_apart(frozen: str, tmp_path: Path) -> None:
    inner = keras.Sequential(
        [keras.Input((6,)), L.Dense(6, name="a"), L.BatchNormalization(), L.Dense(6, name="b")]
    )
    inner.trainable = frozen != "inner"
    inner.layers[0].trainable = frozen == "none"
    model = keras.Sequential([keras.Input((6,)), inner, L.Dense(2)])
    check(randomise(model), tmp_path / "m.h5")


def test_everything_that_is_read_can_be_lowered() -> None:
    from budget.readers.keras_layers import LAYERS
    from budget.readers.keras_operations import OPERATIONS
    from budget.transforms.lower import keras as lowering
    from budget.transforms.lower.keras_functions import FUNCTIONS

    assert not (set(LAYERS) | set(OPERATIONS)) - set(lowering._HANDLERS)
    assert set(FUNCTIONS) | {"linear"} == ACTIVATIONS


def test_embedding(tmp_path: Path) -> None:
    for dtype in ("int32", "float32"):
        model = keras.Sequential(
            [
                keras.Input((5,), dtype=dtype),
                L.Embedding(7, 3),
                L.GlobalAveragePooling1D(),
                L.Dense(2),
            ]
        )
        randomise(model).save(tmp_path / "m.keras")
        lowered = lower_keras(read_keras(tmp_path / "m.keras"))
        x = np.array([[0, 6, 3, 3, 1]], dtype)
        y = run(lowered, {lowered.inputs[0]: x})[lowered.outputs[0]]
        np.testing.assert_allclose(y, model(x), rtol=1e-5, atol=1e-6)


def test_bytes_as_input_become_real_numbers(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((4, 4, 3), dtype="uint8"), L.Rescaling(1 / 255), L.Conv2D(2, 3)]
    )
    lowered = check(randomise(model), tmp_path / "m.keras")
    assert lowered.type_of(lowered.inputs[0]).dtype is DType.UINT8
    assert lowered.nodes[0].op == "cast"


def test_deployed_form_is_folded_and_fused(tmp_path: Path) -> None:
    lowered = check(
        randomise(
            image(
                L.Conv2D(4, 3, padding="same", use_bias=False),
                L.BatchNormalization(),
                L.ReLU(6.0),
                L.DepthwiseConv2D(3, use_bias=False),
                L.BatchNormalization(),
                L.ReLU(),
            )
        ),
        tmp_path / "m.keras",
    )
    assert [node.op for node in lowered.nodes] == ["conv_2d", "depthwise_conv_2d"]
    assert len(lowered.nodes[0].origin) == 3


def test_one_dimensional_layers_stay_next_to_their_activations(tmp_path: Path) -> None:
    block = [L.Conv1D(6, 3, padding="same"), L.BatchNormalization(), L.ReLU()]
    more = [L.Conv1D(5, 3, padding="same"), L.BatchNormalization(), L.ReLU()]
    lowered = check(randomise(series(*block, *more, L.MaxPooling1D())), tmp_path / "m.keras")
    ops = [node.op for node in lowered.nodes]
    assert ops == ["reshape", "conv_2d", "conv_2d", "max_pool_2d", "reshape"]


def test_recurrent_layers_equal_keras(tmp_path: Path) -> None:
    model = series(
        L.LSTM(3, return_sequences=True),
        L.Bidirectional(L.GRU(2, return_sequences=True)),
        L.GRU(3, return_sequences=True, reset_after=False, go_backwards=True),
        L.SimpleRNN(4),
    )
    lowered = check(randomise(model), tmp_path / "m.keras")
    counted = sum(t.type.element_count for t in read_keras(tmp_path / "m.keras").constants)
    assert counted == model.count_params()
    ops = [node.op for node in lowered.nodes if node.op != "strided_slice"]
    assert ops == ["lstm", "gru", "gru", "concat", "gru", "simple_rnn"]


@pytest.mark.parametrize("name", ["ic", "vww"])
def test_models_of_keras_2_load(models: Path, name: str) -> None:
    lowered = lower_keras(read_keras(models / f"{name}.h5"))
    macs = sum(_macs(lowered, node) for node in lowered.nodes)
    assert macs == {"ic": 12_501_632, "vww": 7_489_664}[name]


def _macs(graph: Graph, node: Any) -> int:
    from budget.ops.registry import get

    types = [graph.type_of(name) if name else None for name in node.inputs]
    outputs = [graph.type_of(name) for name in node.outputs]
    return int(get(node.op).cost(node.attributes, types, outputs).macs)


def test_image_classifier_equals_keras_on_its_own_file(models: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = keras.models.load_model(models / "ic.h5", compile=False)
    lowered = lower_keras(read_keras(models / "ic.h5"))
    x = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    y = run(lowered, {lowered.inputs[0]: x})[lowered.outputs[0]]
    np.testing.assert_allclose(y, model(x), atol=1e-4)


APPLICATIONS: dict[str, tuple[int, dict[str, Any]]] = {
    "MobileNet": (64, {"alpha": 0.25}),
    "MobileNetV2": (64, {"alpha": 0.35}),
    "MobileNetV3Small": (64, {}),
    "ResNet50": (64, {}),
    "ResNet50V2": (64, {}),
    "DenseNet121": (64, {}),
    "EfficientNetB0": (64, {}),
    "EfficientNetV2B0": (64, {}),
    "Xception": (96, {}),
    "InceptionV3": (96, {}),
    "InceptionResNetV2": (96, {}),
    "NASNetMobile": (64, {}),
    "VGG16": (48, {}),
    "ConvNeXtTiny": (64, {}),
    "RegNetX002": (64, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_application_equals_keras(name: str, tmp_path: Path) -> None:
    size, options = APPLICATIONS[name]
    if not hasattr(keras.applications, name):
        pytest.skip(f"this Keras has no {name}")
    keras.utils.clear_session()
    make = getattr(keras.applications, name)
    model = make(
        weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None, **options
    )
    check(randomise(model), tmp_path / "m.keras", tolerance=1e-3)
