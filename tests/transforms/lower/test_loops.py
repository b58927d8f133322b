"""Loops and variables as TensorFlow exports them: recognised, unrolled, kept, refused."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_models
from host import HostModel
from recurrent_files import litert, stream

from budget.analysis.costs import total_cost
from budget.codegen import EmitOptions
from budget.errors import UnsupportedModelError
from budget.graph import Graph
from budget.ops.interpreter import run
from budget.plan import plan
from budget.readers import load
from budget.transforms.lower import lower

pytestmark = pytest.mark.slow  # starts TensorFlow


def tf() -> Any:
    return tensorflow_models.tensorflow()


def forms(call: Any, shape: Sequence[int], folder: Path) -> dict[str, Graph]:
    """A function of one tensor as a frozen graph and as a `.tflite` file, lowered."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = tf().function(call).get_concrete_function(tf().TensorSpec(shape, tf().float32))
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
        (folder / "m.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
        converter = tf().lite.TFLiteConverter.from_concrete_functions([frozen])
        (folder / "m.tflite").write_bytes(converter.convert())
    return {name: lower(load(folder / name)) for name in ("m.pb", "m.tflite")}


def layer(kind: str, **options: Any) -> Any:
    keras = __import__("keras")
    random = np.random.default_rng(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = keras.Sequential([keras.Input((6, 3)), getattr(keras.layers, kind)(4, **options)])
        for weight in made.weights:
            if "seed" not in weight.path:
                weight.assign(random.normal(0, 0.5, weight.shape))
    return made


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize(
    ("kind", "op", "options"),
    [
        ("LSTM", "lstm", {}),
        ("LSTM", "lstm", {"go_backwards": True}),
        ("GRU", "gru", {}),
        ("GRU", "gru", {"reset_after": False}),
        ("SimpleRNN", "simple_rnn", {"activation": "relu"}),
    ],
)
def test_loops_of_keras_are_the_layers_they_were(
    kind: str, op: str, options: dict[str, Any], sequences: bool, tmp_path: Path
) -> None:
    tf()
    model = layer(kind, return_sequences=sequences, **options)
    x = np.random.default_rng(1).normal(size=(1, 6, 3)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.asarray(model(x))
        model.save(tmp_path / "m.keras")
    found = forms(lambda x: model(x, training=False), (1, 6, 3), tmp_path)
    found["m.keras"] = lower(load(tmp_path / "m.keras"))
    for name, graph in found.items():
        assert sum(node.op == op for node in graph.nodes) == 1, name
        assert total_cost(graph).macs == total_cost(found["m.keras"]).macs, name
        y = run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
        np.testing.assert_allclose(y, expected, atol=1e-6)


def test_other_loops_are_unrolled_and_counted(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(0, 0.4, (5, 5)).astype(np.float32)

    def power(x: Any) -> Any:
        def body(i: Any, y: Any) -> Any:
            return i + 1, tf().nn.relu(tf().matmul(y, weights)) + y

        return tf().while_loop(lambda i, y: i < 7, body, (tf().constant(0), x))[1]

    x = np.random.default_rng(1).normal(size=(1, 5)).astype(np.float32)
    expected = x
    for _ in range(7):
        expected = np.maximum(expected @ weights, 0) + expected
    for graph in forms(power, (1, 5), tmp_path).values():
        assert total_cost(graph).macs == 7 * 25
        constants = {
            n for node in graph.nodes for n in node.inputs if graph.constant(n) is not None
        }
        assert sum(graph.type_of(name).element_count for name in constants) <= 26
        y = run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
        np.testing.assert_allclose(y, expected, rtol=1e-5)


def test_a_loop_that_depends_on_the_input_is_refused(tmp_path: Path) -> None:
    def search(x: Any) -> Any:
        return tf().while_loop(
            lambda y: tf().reduce_sum(y) < 100.0, lambda y: (y + tf().abs(y),), (x,)
        )[0]

    with pytest.raises(UnsupportedModelError, match="how often"):
        forms(search, (1, 5), tmp_path)


def streaming(folder: Path, start: float = 0.0) -> Path:
    """Four frames are remembered in a variable; each answer is a product with all of them."""

    class Stream(tf().Module):
        def __init__(self) -> None:
            self.memory = tf().Variable(np.full((1, 4, 3), start, np.float32), name="memory")
            weights = np.random.default_rng(0).normal(size=(12, 5))
            self.weights = tf().constant(weights.astype(np.float32))

        def __call__(self, x: Any) -> Any:
            window = tf().concat([self.memory[:, 1:], x], 1)
            before = self.memory.read_value()
            self.memory.assign(window)
            return tf().matmul(tf().reshape(window + before, (1, 12)), self.weights)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Stream()
        call = (
            tf()
            .function(model.__call__)
            .get_concrete_function(tf().TensorSpec((1, 1, 3), tf().float32))
        )
        tf().saved_model.save(model, str(folder / "saved"), signatures=call)
        converter = tf().lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
        converter.experimental_enable_resource_variables = True
        (folder / "stream.tflite").write_bytes(converter.convert())
    return folder / "stream.tflite"


def test_variables_of_a_streaming_model_are_kept(tmp_path: Path) -> None:
    path = streaming(tmp_path)
    raw = load(path)
    used = {node.op for part in raw.walk() for node in part.nodes}
    assert {"tfl.VAR_HANDLE", "tfl.READ_VARIABLE", "tfl.ASSIGN_VARIABLE"} <= used
    graph = lower(raw)
    random = np.random.default_rng(4)
    xs = [random.normal(size=(1, 1, 3)).astype(np.float32) for _ in range(6)]
    answers = stream(graph, xs)
    for mine, other in zip(answers, litert(path.read_bytes(), xs), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)
    program = plan(graph)
    model = HostModel(program, tmp_path, EmitOptions(name="m", arena="static"))
    for x, expected in zip(xs, answers, strict=True):
        y = model.run({graph.inputs[0]: x})[graph.outputs[0]]
        np.testing.assert_allclose(y, expected, atol=1e-5)


def test_variables_that_start_with_other_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="other than zero"):
        lower(load(streaming(tmp_path, 1.0)))
