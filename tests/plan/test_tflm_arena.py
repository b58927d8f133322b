"""The planner for TFLM against TFLM itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from budget.plan import Program, plan
from budget.readers import load
from budget.transforms.lower import lower

ON_CORTEX_M4 = {
    # arena_used_bytes() on an emulated Cortex-M4, tflite-micro 90b983c2: reference, CMSIS-NN
    "kws": (22_772, 22_820),
    "vww": (100_660, 100_708),
    "ic": (54_340, 54_996),
    "ad": (2_260, 2_580),
}
WITNESS = """
import sys
from tflite_micro.python.tflite_micro import runtime
with open(sys.argv[1], "rb") as file:
    interpreter = runtime.Interpreter.from_bytes(file.read(), arena_size=1 << 22)
interpreter.print_allocations()
"""


def planned(models: Path, name: str, runtime: str) -> Program:
    return plan(lower(load(models / f"{name}_int8.tflite")), runtime=runtime)


@pytest.mark.parametrize("name", ON_CORTEX_M4)
def test_arena_is_that_of_the_device(models: Path, name: str) -> None:
    for runtime, used in zip(("tflm-reference", "tflm-cmsis-nn"), ON_CORTEX_M4[name]):
        program = planned(models, name, runtime)
        assert program.arena_bytes == pytest.approx(used, rel=0.01), runtime
        assert program.persistent_bytes > 0 and program.alignment_bytes == 16


@pytest.mark.parametrize("name", ON_CORTEX_M4)
def test_activations_are_placed_as_tflm_places_them(models: Path, name: str) -> None:
    pytest.importorskip("tflite_micro")
    run = subprocess.run(
        [sys.executable, "-c", WITNESS, str(models / f"{name}_int8.tflite")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    head = re.search(r"allocation head (\d+) bytes", run.stdout + run.stderr)
    assert head is not None, "the interpreter prints its allocations"
    program = planned(models, name, "tflm-reference")
    assert program.arena_bytes - program.persistent_bytes == int(head[1])


@pytest.mark.parametrize("name", ON_CORTEX_M4)
def test_our_own_plan_reaches_the_lower_bound(models: Path, name: str) -> None:
    program = planned(models, name, "budget-c")
    assert program.arena_bytes == program.lower_bound_bytes
    assert program.arena_bytes <= ON_CORTEX_M4[name][0]
