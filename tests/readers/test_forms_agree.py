"""MLPerf Tiny's reference models say the same in whatever form they come."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from budget.analysis.costs import count_parameters, total_cost
from budget.graph import Graph
from budget.ops.interpreter import run
from budget.readers import load
from budget.transforms.lower import lower

FORMS = {
    "kws": ("kws_int8.tflite", "kws_float32.tflite", "kws_saved_model"),
    "vww": ("vww_int8.tflite", "vww.h5"),
    "ic": ("ic_int8.tflite", "ic_float.tflite", "ic.h5"),
    "ad": ("ad_int8.tflite", "ad_float.tflite"),
}
COUNTS = {
    "kws": (2_656_768, 22_604),
    "vww": (7_489_664, 210_850),
    "ic": (12_501_632, 77_706),
    "ad": (264_192, 265_864),
}


@cache
def lowered(path: Path) -> Graph:
    return lower(load(path))


def outputs(graph: Graph, seed: int) -> np.ndarray:
    """Of one input; forms differ in whether a batch or channel of one is written."""
    type = graph.type_of(graph.inputs[0])
    x = np.random.default_rng(seed).normal(0, 2, type.element_count).astype(np.float32)
    return run(graph, {graph.inputs[0]: x.reshape(type.shape)})[graph.outputs[0]].ravel()


@pytest.mark.parametrize("name", FORMS)
def test_counts_are_the_same_in_every_form(models: Path, name: str) -> None:
    for form in FORMS[name]:
        raw, graph = load(models / form), lowered(models / form)
        parameters = count_parameters(raw, graph, graph).deployed
        assert (total_cost(graph).macs, parameters) == COUNTS[name], form


@pytest.mark.parametrize("seed", range(3))
def test_float_outputs_are_the_same(models: Path, seed: int) -> None:
    first, second = (lowered(models / form) for form in FORMS["ic"][1:])
    np.testing.assert_allclose(outputs(first, seed), outputs(second, seed), atol=1e-5)


def kernels(graph: Graph) -> list[np.ndarray]:
    """Real kernels of all layers, one row for each channel."""
    found = []
    for node in graph.nodes:
        if node.op not in ("conv_2d", "depthwise_conv_2d", "fully_connected"):
            continue
        data, type = graph.constant(node.inputs[1]), graph.type_of(node.inputs[1])
        assert data is not None
        axis = data.ndim - 1 if node.op == "depthwise_conv_2d" else 0
        rows = np.moveaxis(data.astype(np.float64), axis, 0).reshape(data.shape[axis], -1)
        found.append(rows if type.quant is None else rows * type.quant.scale.reshape(-1, 1))
    return found


def likeness(a: Graph, b: Graph) -> list[float]:
    """For each layer, the mean cosine between its channels in two models."""
    return [
        float(np.mean((x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))))
        for x, y in zip(kernels(a), kernels(b), strict=True)
    ]


def test_keyword_files_hold_two_trainings(models: Path) -> None:
    """Both `.tflite` files hold one training, the SavedModel another, so outputs must differ.

    `kws_float32.tflite` is a hybrid: its pointwise kernels are int8 with one scale for each
    tensor, activations and depthwise kernels are float32.
    """
    integer, hybrid, saved = (lowered(models / form) for form in FORMS["kws"])
    assert min(likeness(integer, hybrid)) > 0.999
    assert max(map(abs, likeness(hybrid, saved))) < 0.2
    stored = load(models / "kws_float32.tflite").constants
    assert {t.type.dtype.value for t in stored} == {"float32", "int8", "int32"}
    assert np.abs(outputs(hybrid, 0) - outputs(saved, 0)).max() > 1e-3


@pytest.mark.slow
def test_keyword_saved_model_equals_tensorflow(models: Path) -> None:
    """The graph that is read, given to TensorFlow, and our own arithmetic on it."""
    tf = pytest.importorskip("tensorflow")
    from budget.writers.graphdef import write_graphdef

    raw = load(models / "kws_saved_model")
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(write_graphdef(raw))
    x = np.random.default_rng(5).normal(size=(1, 49, 10, 1)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            names = [raw.inputs[0], raw.outputs[0]]
            fed, wanted = (name if ":" in name else f"{name}:0" for name in names)
            expected = session.run(wanted, {fed: x})
    mine = lowered(models / "kws_saved_model")
    y = run(mine, {mine.inputs[0]: x})[mine.outputs[0]]
    np.testing.assert_allclose(y, expected, atol=1e-5)
