"""Emitted C of real models equals the integer meaning of their graphs, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host import HostModel, random_inputs

from budget.api.models import lower
from budget.codegen import EmitOptions
from budget.ops.interpreter import run
from budget.plan import plan
from budget.readers import load


@pytest.mark.parametrize("model", ["kws", "vww", "ic", "ad"])
def test_int8_models(models: Path, tmp_path: Path, model: str) -> None:
    graph = lower(load(str(models / f"{model}_int8.tflite")))
    program = plan(graph)
    emitted = HostModel(program, tmp_path, EmitOptions(name=model))
    for seed in range(3):
        inputs = random_inputs(program, seed)
        expected = run(graph, inputs)
        for name, values in emitted.run(inputs).items():
            np.testing.assert_array_equal(values, expected[name])


def reference(path: Path, inputs: dict) -> list[np.ndarray]:
    """What LiteRT's reference kernels answer."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    made = litert.Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    made.allocate_tensors()
    for detail, value in zip(made.get_input_details(), inputs.values(), strict=True):
        made.set_tensor(detail["index"], value)
    made.invoke()
    return [made.get_tensor(detail["index"]) for detail in made.get_output_details()]


@pytest.mark.parametrize("model", ["ic", "ad"])
def test_float_models_equal_the_reference_without_contraction(
    models: Path, tmp_path: Path, model: str
) -> None:
    path = models / f"{model}_float.tflite"
    program = plan(lower(load(str(path))))
    emitted = HostModel(
        program, tmp_path, EmitOptions(name=model), ("-O1", "-ffp-contract=off", "-mno-fma")
    )
    for seed in range(3):
        inputs = random_inputs(program, seed)
        found = emitted.run(inputs).values()
        for values, expected in zip(found, reference(path, inputs), strict=True):
            np.testing.assert_array_equal(values, expected)


def test_contraction_changes_a_float_layer_by_no_more_than_rounding(
    models: Path, tmp_path: Path
) -> None:
    """|difference| of the first layer <= K · eps · Σ|x·w|, K products summed."""
    if "fma" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no fused multiply-add")
    graph = lower(load(str(models / "ad_float.tflite")))
    first = graph.nodes[0]
    graph = graph.replace(nodes=(first,), outputs=first.outputs)
    program = plan(graph)
    fused = HostModel(
        program, tmp_path, EmitOptions(name="ad"), ("-O2", "-mfma", "-ffp-contract=fast")
    )
    weights = graph.constant(first.inputs[1])
    assert weights is not None
    for seed in range(3):
        inputs = random_inputs(program, seed)
        x = next(iter(inputs.values())).astype(np.float64)
        bias = np.asarray(graph.constant(first.inputs[2]), np.float64)
        exact = np.maximum(x @ weights.T.astype(np.float64) + bias, 0)
        scale = np.abs(x) @ np.abs(weights.T.astype(np.float64)) + np.abs(bias)
        bound = (weights.shape[1] + 1) * np.finfo(np.float32).eps * scale
        (values,) = fused.run(inputs).values()
        assert (np.abs(values - exact) <= bound).all()
