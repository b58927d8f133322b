"""Emitted C of what our quantiser makes: 16 bits, mixed widths, code books."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host import HostModel, random_inputs

from budget.api.models import load, lower
from budget.codegen import EmitOptions
from budget.ops.interpreter import run
from budget.plan.planner import plan
from budget.shrinking.quantize import random_samples
from budget.shrinking.way import Calibration, parse


@pytest.mark.parametrize(
    "text",
    ["int16x8:ranges=min-max", "mixed:kept=2", "mixed:kept=1,width=float32", "cluster:values=32"],
)
@pytest.mark.parametrize("optimise", ["balanced", "size"])
def test_equals_the_interpreter(text: str, optimise: str, tmp_path: Path) -> None:
    graph = lower(load("zoo:digits_cnn"))
    made = parse(text).apply(graph, Calibration(random_samples(graph, 4))).graph
    program = plan(made, optimise=optimise)
    emitted = HostModel(program, tmp_path, EmitOptions(name="m"))
    for seed in range(3):
        inputs = random_inputs(program, seed)
        wanted = run(made, inputs)
        for name, found in emitted.run(inputs).items():
            if found.dtype == np.float32:
                np.testing.assert_allclose(found, wanted[name], rtol=1e-4, atol=1e-5)
            else:
                np.testing.assert_array_equal(found, wanted[name])
