"""Predicted cycles: against the virtual core, and laws that must hold."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import budget.plan
from budget.api.models import prepare
from budget.estimate.inference import estimate_inference, step_cycles
from budget.hardware import library
from budget.plan import plan
from budget.plan.kernel_cycles import load_table, predicted_cycles, table_sha256
from budget.plan.program import Program

NETWORKS = ("hotword", "digits", "tiny-kws", "tiny-vww", "tiny-ad")
CORE = "cortex-m4"


def planned(name: str, mode: str = "balanced") -> Program:
    target = "portable" if mode == "size" else CORE
    graph = prepare(f"zoo:{name}").graph
    return plan(graph, remove_constant_channels=True, target=target, optimise=mode)


def weights_only() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(json.dumps(load_table()))
    for mode in table["modes"].values():
        mode["measured"] = {}
    return table


def cycles(program: Program, mode: str, table: dict[str, Any] | None = None) -> float:
    found = [predicted_cycles(step, program, CORE, mode, table) for step in program.steps]
    return sum(row.cycles if row else float("nan") for row in found)


@pytest.mark.parametrize("mode", ["balanced", "time"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_prediction_is_what_the_virtual_core_takes(name: str, mode: str) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("capstone")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("the table was made with gcc")
    from budget.api.measure import measure

    measured = measure(f"zoo:{name}", core=CORE, compiler="gcc", optimise=mode)
    steps = sum(layer.count.cycles for layer in measured.layers)
    assert measured.count.cycles / steps < 1.03
    program = planned(name, mode)
    assert cycles(program, mode) == pytest.approx(measured.count.cycles, rel=0.03)
    # of digits most is spent in kernels that are left to the compiler
    far = 0.07 if name == "digits" else 0.05
    assert cycles(program, mode, weights_only()) == pytest.approx(steps, rel=far)


@pytest.mark.parametrize(
    ("name", "far"), [("tiny-ad", 0.01), pytest.param("hotword", 0.08, marks=pytest.mark.slow)]
)
def test_code_books_are_predicted(name: str, far: float) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("capstone")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("the table was made with gcc")
    from budget.transforms.cluster import cluster
    from budget.tuning.kernel_table import measure_steps

    program = plan(cluster(prepare(f"zoo:{name}").graph, 16)[0], optimise="size")
    assert any(step.variant == "codebook+b4" for step in program.steps)
    spent = sum(sample.cycles for sample in measure_steps(program, "size"))
    assert cycles(program, "size") == pytest.approx(spent, rel=far)


def test_layers_in_bands_are_predicted() -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("capstone")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("the table was made with gcc")
    from budget.plan.patching import plan_in_patches
    from budget.tuning.kernel_table import measure_steps

    program = plan_in_patches(prepare("zoo:digits").graph)
    assert program.notes and any(step.node.op == "concat" for step in program.steps)
    spent = sum(sample.cycles for sample in measure_steps(program, "size"))
    assert cycles(program, "size") == pytest.approx(spent, rel=0.05)


def test_every_weight_is_of_a_count_that_exists() -> None:
    from budget.plan.kernel_features import Shape, code_features, features_of

    table = load_table()
    seen = set()
    for name in NETWORKS:
        program = planned(name)
        for step in program.steps:
            if not step.kernel:
                continue
            shape = Shape(step.node, program.types, step.cost)
            counts = features_of(shape, step.variant)
            key = f"{step.node.op} int8 {step.variant}".strip()
            weights = table["modes"]["balanced"]["kernels"][key]
            assert set(weights["cycles"]) | set(weights["wait_cycles"]) <= counts.keys()
            assert weights["code"].keys() <= code_features(shape, step.variant, own=True).keys()
            seen.add(key)
    assert len(seen) >= 4


def test_the_tuned_kernels_are_predicted_faster_than_the_shared_ones() -> None:
    for name in ("hotword", "tiny-kws"):
        tuned = cycles(planned(name), "balanced")
        graph = prepare(f"zoo:{name}").graph
        portable = plan(graph, remove_constant_channels=True)
        assert cycles(portable, "balanced") > 4 * tuned


def test_a_core_or_kernel_that_was_not_measured_is_not_guessed() -> None:
    program = planned("digits")
    step = next(step for step in program.steps if step.kernel)
    assert predicted_cycles(step, program, "cortex-m55") is None
    empty = weights_only()
    empty["modes"]["balanced"]["kernels"] = {}
    assert predicted_cycles(step, program, CORE, "balanced", empty) is None


def test_the_hash_is_of_the_file_that_ships() -> None:
    path = Path(budget.plan.__file__).parent / "kernel_cycles.json"
    assert table_sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("device", ["stm32l4r5", "stm32u575", "stm32h7a3"])
def test_our_runtime_is_estimated_from_the_table(device: str) -> None:
    profile, runtime = library.device(device), library.runtime("budget-c")
    program = plan(prepare("zoo:hotword").graph, remove_constant_channels=True, target=profile.core)
    result = estimate_inference(program, profile, runtime, clock_hz=16e6)
    assert result.cycles is not None
    ratio = float(result.cycles.value) / cycles(program, "balanced")
    assert 0.5 < ratio < 2.0
    assert result.cycles.low < result.cycles.value < result.cycles.high
    if device == "stm32l4r5":
        assert ratio == pytest.approx(1.0)  # no wait states at 16 MHz
        fast = estimate_inference(program, profile, runtime)
        assert fast.cycles is not None and fast.cycles.value > result.cycles.value


@pytest.mark.parametrize("name", ["zoo:hotword", "zoo:tiny-ic", "zoo:tiny-ad"])
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m0plus"])
def test_cores_without_dsp_instructions_have_prices_of_their_own(core: str, name: str) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("capstone")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("the prices were found with gcc")
    from budget.api.measure import measure

    prices = library.runtime("budget-c").on(core)
    program = plan(prepare(name).graph, remove_constant_channels=True, target=core)
    assert any(step.variant.startswith("scalar-") for step in program.steps)
    expected = sum(float(step_cycles(step, program, prices).value) for step in program.steps)
    residual = prices.table.residual_ratio
    assert residual is not None and residual.low is not None and residual.high is not None
    found = measure(name, core=core, compiler="gcc")
    assert found.bit_exact
    assert residual.low < found.count.cycles / expected < residual.high
