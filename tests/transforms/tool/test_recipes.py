"""The four recipes, and deploy, on the networks people have, and on graphs of 2016."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_models as models
import tool_graphs as graphs

import budget
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.registry import PRESETS

RNG = np.random.default_rng(4)
# Recipe → largest change of an output over the output's own size. On eight bits it is that of
# TensorFlow's operators of 2016: each brings its 32 bits to eight by a step too low on average, so
# that what a hundred of them lose adds up; how far single ones are off is tested elsewhere
# (test_rewritten_forms.py).
RECIPES = {"deploy": 1e-5, "missing-kernels": 1e-5, "file-size": 0.2, "eight-bit": 0.3}
NETWORKS = {
    "MobileNet": {"input_shape": (64, 64, 3), "alpha": 0.25},
    "MobileNetV2": {"input_shape": (64, 64, 3), "alpha": 0.35},
    "InceptionV3": {"input_shape": (75, 75, 3)},
    "ResNet50": {"input_shape": (32, 32, 3)},
}


def thin(model: Any) -> Any:
    """The same layers with an eighth of the channels, for networks that have no factor for it."""
    from keras import models as keras_models

    def narrow(layer: Any) -> Any:
        config = layer.get_config()
        if "filters" in config:
            config["filters"] //= 8
        return type(layer).from_config(config)

    return keras_models.clone_model(model, clone_function=narrow)


def lively(model: Any, seed: int = 0) -> Any:
    """Weights that keep the size of activations, and statistics that are not those of a start."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, shape))
        elif len(shape) < 2:
            weight.assign(rng.normal(size=shape) * 0.1)
        else:
            weight.assign(rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1])))
    return model


@cache
def network(name: str) -> tuple[Any, bytes, Any, Any]:
    """A network of Keras without its softmax, frozen, an input and its output."""
    models.tensorflow()
    if name == "InceptionV1":
        return inception_v1()
    make = getattr(__import__("keras").applications, name)
    options = NETWORKS[name]

    def work() -> Any:
        made = make(weights=None, classes=10, classifier_activation=None, **options)
        return lively(made if "alpha" in options else thin(made))

    model = models.quietly(work)
    shape = (1, *options["input_shape"])
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    data = models.freeze(lambda x: model(x, training=False), shape)
    return model, data, x, models.quietly(lambda: np.asarray(model(x, training=False)))


def inception_v1() -> tuple[Any, bytes, Any, Any]:
    """The zoo's, as a frozen graph: Keras has none."""
    from budget.writers.tensorflow_graph import write_canonical_graphdef

    graph = budget.load("zoo:inception_v1?resolution=64")
    data, inputs, outputs = write_canonical_graphdef(graph)
    shape = graph.type_of(graph.inputs[0]).shape
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    return graph, data, x, graphs.execute(data, {inputs[0]: x}, list(outputs))[0]


def ends(data: bytes) -> tuple[str, str]:
    """The placeholder, and the node nobody reads."""
    graph = NodeGraph.decode(data, "network.pb")
    return graph.inputs[0], graph.outputs[0]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", [*NETWORKS, "InceptionV1"])
def test_frozen_networks(name: str, recipe: str) -> None:
    """TensorFlow computes after the recipe what Keras computed before it."""
    _, data, x, y = network(name)
    fed, wanted = ends(data)
    after = graphs.apply(graphs.graph_of(data, [fed], [wanted]), recipe)
    (found,) = graphs.execute(after.encode(), {fed: x}, [wanted])
    error = np.max(np.abs(found - y)) / np.max(np.abs(y))
    assert error <= RECIPES[recipe]
    kinds = set(graphs.ops(after))
    if recipe == "deploy":
        assert not {op for op in kinds if "BatchNorm" in op or op in ("Rsqrt", "Identity")} - {
            "Identity"
        }
    if recipe == "eight-bit":
        assert {"QuantizedConv2D", "Requantize"} <= kinds
        assert "Conv2D" not in kinds


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["deploy", "file-size"])
@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "InceptionV3", "ResNet50"])
def test_keras_files(name: str, recipe: str, tmp_path: Path) -> None:
    """A .keras file through a recipe, written as a SavedModel that TensorFlow runs."""
    from budget.api.transform import write_transformation

    model, _, x, y = network(name)
    path = tmp_path / "model.keras"
    models.quietly(lambda: model.save(path))
    result = budget.transform(path, recipe, compare=False, price=False)
    write_transformation(result, tmp_path / "saved")

    def load() -> Any:
        tf = models.tensorflow()
        signature = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
        (fed,) = signature.structured_input_signature[1]
        return np.asarray(next(iter(signature(**{fed: tf.constant(x)}).values())))

    error = np.max(np.abs(models.quietly(load) - y)) / np.max(np.abs(y))
    assert error <= RECIPES[recipe]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ic.h5", "vww.h5", "kws_float32.tflite", "ic_float.tflite",
                                  "ad_float.tflite", "kws_saved_model"])  # fmt: skip
@pytest.mark.parametrize("recipe", RECIPES)
def test_mlperf_tiny(models: Path, name: str, recipe: str, tmp_path: Path) -> None:
    """The benchmark's float models, trained, in the forms they come in."""
    from budget.api.transform import write_transformation

    path = models / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    result = budget.transform(path, recipe, compare=recipe != "eight-bit")
    if recipe != "eight-bit":  # our own lowering does not run TensorFlow's operators of 2016
        change = result.steps[-1].change
        assert change is not None
        assert change.relative is not None
        assert change.relative <= (1e-4 if RECIPES[recipe] < 1e-3 else RECIPES[recipe])
    write_transformation(result, tmp_path / "out.pb")
    start = budget.transform(path, "remove_device", compare=False, price=False)
    x = np.random.default_rng(3).normal(
        size=start.graph.type_of(start.nodes.inputs[0]).shape).astype(np.float32)  # fmt: skip
    outputs = [
        graphs.execute(nodes.encode(), {nodes.inputs[0]: x}, list(nodes.outputs))[0]
        for nodes in (start.nodes, result.nodes)
    ]
    error = np.max(np.abs(outputs[0] - outputs[1])) / np.max(np.abs(outputs[0]))
    assert error <= max(RECIPES[recipe], 1e-4)


def test_the_page_says_how_much_may_change() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "transforms.md"
    text = " ".join(page.read_text().split())
    assert all(f"{share:g} under `{recipe}`" in text or f"{share:g} may change under `{recipe}`"
               in text for recipe, share in RECIPES.items())  # fmt: skip


def old_graph() -> bytes:
    """A graph as it was trained and saved in 2016: queue, JPEG head, moving averages, old norms."""

    def make(tf: Any) -> None:
        raw = models.tensorflow().raw_ops
        queue = raw.FIFOQueueV2(component_types=[tf.string], shapes=[[]])
        contents = tf.placeholder_with_default(
            raw.QueueDequeueV2(handle=queue, component_types=[tf.string])[0], (),
            name="DecodeJpeg/contents")  # fmt: skip
        image = tf.image.decode_jpeg(contents, channels=3, name="DecodeJpeg")
        x = tf.expand_dims(tf.cast(image, tf.float32), 0)
        x = tf.image.resize_bilinear(x, (17, 17), name="ResizeBilinear")
        x = tf.multiply(tf.subtract(x, 128.0), 1 / 128, name="Mul")
        x.set_shape((1, 17, 17, 3))
        for index, count in enumerate((4, 6)):
            weights = tf.constant(RNG.normal(size=(3, 3, int(x.shape[-1]), count)) * 0.3,
                                  tf.float32, name=f"conv{index}/weights")  # fmt: skip
            x = tf.nn.conv2d(x, tf.identity(weights), 2, "SAME", name=f"conv{index}")
            values = [tf.constant(RNG.uniform(0.5, 1.5, count), tf.float32) for _ in range(4)]
            x = raw.FusedBatchNorm(x=x, scale=values[3], offset=values[2], mean=values[0],
                                   variance=values[1], is_training=False,
                                   name=f"conv{index}/batchnorm")[0]  # fmt: skip
            x = tf.debugging.check_numerics(tf.nn.relu(x), "bad")
        keep = tf.constant(1.0)
        x = tf.reshape(tf.nn.avg_pool2d(x, 5, 5, "SAME"), (1, 6), name="pool_3/_reshape")
        mask = tf.floor(tf.random_uniform((1, 6), seed=1) + keep)
        x = tf.divide(x, keep) * mask
        w = tf.constant(RNG.normal(size=(6, 5)), tf.float32)
        logits = tf.nn.bias_add(tf.matmul(x, w), tf.constant(RNG.normal(size=5), tf.float32))
        tf.nn.softmax(logits, name="softmax")
        tf.train.ExponentialMovingAverage(0.9)
        raw.MergeSummary(inputs=[raw.ScalarSummary(tags="t", values=tf.reduce_sum(logits))])

    message = graphs.parse(graphs.build(make))
    message.versions.producer = 8  # such graphs still have the operator that went away at 9
    for node in message.node:
        if node.op == "FusedBatchNorm":
            x, scale, offset, mean, variance = node.input
            node.op = "BatchNormWithGlobalNormalization"
            node.input[:] = [x, mean, variance, offset, scale]
            node.attr.clear()
            node.attr["T"].type = 1
            node.attr["variance_epsilon"].f = 1e-3
            node.attr["scale_after_normalization"].b = True
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("recipe", RECIPES)
def test_graphs_of_2016(recipe: str) -> None:
    """The head up to the normalised image is cut, and nothing of queues and norms is left."""
    data = old_graph()
    graph = graphs.graph_of(data, ["Mul"], ["softmax"])
    text = PRESETS[recipe].replace(
        "strip_unused_nodes ", 'strip_unused_nodes(type=float, shape="1,17,17,3") ', 1
    )
    after = graphs.apply(graph, text)
    x = np.random.default_rng(1).normal(size=(1, 17, 17, 3)).astype(np.float32)
    (y,) = graphs.execute(data, {"Mul": x}, ["softmax"])
    (found,) = graphs.execute(after.encode(), {"Mul": x}, ["softmax"])
    assert np.max(np.abs(found - y)) <= RECIPES[recipe]
    kinds = set(graphs.ops(after))
    assert not {"FIFOQueueV2", "QueueDequeueV2", "DecodeJpeg", "ScalarSummary"} & kinds
    assert "BatchNormWithGlobalNormalization" not in kinds
    if recipe == "deploy":
        assert not {"RandomUniform", "Floor", "CheckNumerics"} & kinds
    assert after.nodes["Mul"].op == "Placeholder"


@pytest.mark.slow
def test_tensorflow_folds_none_of_keras(tmp_path: Path) -> None:
    """Where deploy leaves no arithmetic of a norm, TensorFlow's own tool leaves all of it."""
    _, data, x, y = network("MobileNet")
    fed, wanted = ends(data)

    def work() -> Any:
        from tensorflow.python.tools import optimize_for_inference_lib

        return optimize_for_inference_lib.optimize_for_inference(
            graphs.parse(data), [fed], [wanted], 1
        )

    kinds = ("Mul", "AddV2", "Rsqrt", "Sub")
    before = [node.op for node in graphs.parse(data).node]
    theirs = [node.op for node in models.quietly(work).node]
    after = graphs.apply(graphs.graph_of(data, [fed], [wanted]), "deploy")
    ours = graphs.ops(after)
    assert before.count("Rsqrt") == 27
    # theirs may compute what is constant, but every norm still multiplies and adds
    assert theirs.count("Mul") >= 27
    assert [ours.count(kind) for kind in kinds] == [0, 0, 0, 0]
    (found,) = graphs.execute(after.encode(), {fed: x}, [wanted])
    assert np.max(np.abs(found - y)) <= 1e-5 * max(1, np.max(np.abs(y)))
