"""The lowering of TensorFlow Lite graphs, against LiteRT tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from budget.graph import Graph, verify
from budget.ops.interpreter import run
from budget.readers.tflite import read_tflite
from budget.transforms.lower import lower


def reference_tensors(
    data: bytes, inputs: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Every tensor that LiteRT's reference kernels compute, by name."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        model_content=data,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    interpreter.invoke()
    found = {}
    for detail in interpreter.get_tensor_details():
        if detail["name"] and detail["index"] >= 0:
            try:
                found[detail["name"]] = interpreter.get_tensor(detail["index"])
            except ValueError:  # not every scratch tensor has data
                continue
    return found, {}


def random_inputs(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = {}
    for name in graph.inputs:
        type = graph.type_of(name)
        if type.dtype.is_float:
            inputs[name] = rng.normal(size=type.shape).astype(np.float32)
        else:
            info = np.iinfo(type.dtype.value)
            inputs[name] = rng.integers(info.min, info.max + 1, type.shape).astype(type.dtype.value)
    return inputs


@pytest.mark.parametrize("model", ["kws_int8", "vww_int8", "ic_int8", "ad_int8"])
def test_every_tensor_of_an_int8_model_equals_the_reference_kernels(
    models: Path, model: str
) -> None:
    data = (models / f"{model}.tflite").read_bytes()
    graph = verify(lower(read_tflite(data, model)))
    inputs = random_inputs(graph, 1)
    expected, _ = reference_tensors(data, inputs)
    actual = run(graph, inputs, keep="all")
    compared = 0
    for node in graph.nodes:
        for name in node.outputs:
            np.testing.assert_array_equal(actual[name], expected[name], err_msg=str(node))
            compared += 1
    assert compared == len(graph.nodes) >= 10


@pytest.mark.parametrize("model", ["ic_float", "ad_float"])
def test_every_tensor_of_a_float_model_is_close_to_the_reference_kernels(
    models: Path, model: str
) -> None:
    data = (models / f"{model}.tflite").read_bytes()
    graph = verify(lower(read_tflite(data, model)))
    inputs = random_inputs(graph, 2)
    expected, _ = reference_tensors(data, inputs)
    actual = run(graph, inputs, keep="all")
    for node in graph.nodes:
        for name in node.outputs:
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, atol=1e-4)
