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
