"""The table of kernels: fits, and what must not enter it."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest

from budget.tuning import kernel_table
from budget.tuning.kernel_table import Sample, fit, make_table, measure_steps

pytest.importorskip("scipy")


def samples(seed: int, noise: float = 0.0) -> list[Sample]:
    random = np.random.default_rng(seed)
    found = []
    for number in range(40):
        counts = {"products": float(random.integers(1, 5000)), "never": 0.0, "one": 1.0}
        cycles = 15 * counts["products"] + 200
        cycles *= 1 + noise * random.uniform(-1, 1)
        found.append(Sample("conv", str(number), counts, round(cycles), 3 * counts["products"]))
    return found


def test_a_fit_finds_the_weights_that_samples_were_made_with() -> None:
    found = fit(samples(1))
    assert found["cycles"] == pytest.approx({"products": 15, "one": 200}, rel=1e-3)
    assert found["wait_cycles"]["products"] == pytest.approx(3, rel=1e-3)
    assert found["cycles_error_ratio"] < 1e-3
    assert 0.01 < fit(samples(1, 0.1))["cycles_error_ratio"] < 0.12


def test_weights_are_never_negative() -> None:
    rows = [
        Sample("k", str(n), {"a": float(n), "b": float(n + 1)}, 10 * n + 1, 0.0) for n in range(9)
    ]
    assert all(weight > 0 for weight in fit(rows)["cycles"].values())


def small() -> Any:
    from budget.api.models import prepare
    from budget.plan import plan

    return plan(prepare("zoo:tiny-ad").graph, target="cortex-m4")


@pytest.fixture
def tools() -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("capstone")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc")


@pytest.mark.usefixtures("tools")
def test_steps_are_measured_and_kept_by_their_shape() -> None:
    program = small()
    rows = measure_steps(program, "balanced")
    assert len(rows) == sum(1 for step in program.steps if step.kernel)
    assert all(row.cycles > 0 and row.wait_cycles >= 0 for row in rows)
    table = make_table({"balanced": rows}, {"balanced": rows})
    measured = table["modes"]["balanced"]["measured"]
    assert sum(len(shapes) for shapes in measured.values()) == len({r.signature for r in rows})


@pytest.mark.usefixtures("tools")
def test_a_wrong_kernel_does_not_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    run = kernel_table.run

    def other(graph: Any, inputs: Any) -> Any:
        return {name: values ^ 1 for name, values in run(graph, inputs).items()}

    monkeypatch.setattr(kernel_table, "run", other)
    with pytest.raises(kernel_table.FirmwareError, match="a kernel is wrong"):
        measure_steps(small(), "balanced")
