"""The runtimes' fitted figures follow from the published rows, and their intervals hold them."""

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from budget.hardware import library
from budget.hardware.figure import Kind, Quantity

FOLDER = Path(__file__).parent
DATA = FOLDER / "measurements.csv"


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("budget_fit", FOLDER / "fit_runtimes.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # dataclasses look their module up while they are made
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


fit = load()


def predicted(runtime_id: str, row: object) -> Quantity:
    """A row's cycles as the estimator would have them."""
    runtime = library.runtime(runtime_id)
    table = runtime.on(row.core)  # type: ignore[attr-defined]
    *macs, outputs, steps = row.features  # type: ignore[attr-defined]
    cycles = table.step("other", macs=0, outputs=int(outputs), flops=0) + table.inference
    cycles = cycles + table.step("other", macs=0, outputs=0, flops=0) * (steps - 1)
    for kind, count in zip(fit.KINDS, macs):
        if count:
            cycles = cycles + table.mac(kind) * count
    assert runtime.residual_ratio is not None
    return cycles * runtime.residual_ratio.quantity


@pytest.mark.parametrize("runtime_id", fit.PRIOR)
def test_profiles_say_what_the_rows_say(runtime_id: str) -> None:
    rows = [row for row in fit.read_rows(DATA, runtime_id) if row.core not in fit.ALONE]
    result = fit.fit(rows, fit.PRIOR[runtime_id], "cortex-m4")
    runtime = library.runtime(runtime_id)
    for name, bounds in result.coefficients.items():
        figure = getattr(runtime.cycles["cortex-m4"], name)
        assert figure.kind is Kind.FITTED
        assert (figure.value, figure.low, figure.high) == pytest.approx(bounds, rel=0.01)
    for core, bounds in result.ratios.items():
        ratio = runtime.cycles[core].ratio
        assert ratio is not None
        assert (ratio.value, ratio.low, ratio.high) == pytest.approx(bounds, rel=0.01)


@pytest.mark.parametrize("runtime_id", fit.PRIOR)
def test_most_rows_lie_inside_their_interval(runtime_id: str) -> None:
    rows = [row for row in fit.read_rows(DATA, runtime_id) if " layer " not in row.network]
    inside = 0
    for row in rows:
        estimate = predicted(runtime_id, row)
        inside += bool(estimate.low <= row.cycles <= estimate.high)
        # an interval that holds everything would say nothing
        assert float(estimate.high) / float(estimate.low) < 2.6
    assert inside >= 0.9 * len(rows)


def test_a_known_law_is_found_again() -> None:
    """Rows made from chosen coefficients with 2 % of noise give them back."""
    draws = np.random.default_rng(7)
    truth = np.array([2.0, 3.0, 9.0, 4.0, 12.0, 2000.0])
    rows = []
    for i in range(60):
        features = draws.uniform(0.1, 1.0, 6) * np.array([3e6, 3e6, 5e5, 2e5, 1e5, 30.0])
        core, ratio = ("cortex-m4", 1.0) if i % 2 else ("cortex-m7", 0.55)
        cycles = ratio * float(features @ truth) * math.exp(draws.normal(0, 0.02))
        rows.append(fit.Row(core, f"n{i}", cycles, tuple(features), f"s{i}"))
    prior = ((1.5, 1.5, 5.0, 2.0, 20.0, 1500.0), (3, 3, 3, 3, 3, 3))
    result = fit.fit(rows, prior, "cortex-m4")
    for name, expected in zip(fit.NAMES[:3], truth):
        assert result.coefficients[name][0] == pytest.approx(expected, rel=0.1)
    assert result.ratios["cortex-m7"][0] == pytest.approx(0.55, rel=0.02)
    # 5 % is the least spread a fit may claim
    assert 1.05 < result.residual_high < 1.2


def test_the_rows_are_sound() -> None:
    networks: dict[str, set[float]] = {}
    for runtime_id in fit.PRIOR:
        for row in fit.read_rows(DATA, runtime_id):
            macs = sum(row.features[:4])
            assert 0.2 < row.cycles / macs < 400
            assert len(row.source) > 10
            networks.setdefault(row.network, set()).add(macs)
    # the MLPerf Tiny networks, whole: MAC counts that their authors publish
    assert max(networks["kws"]) == 2_656_768
    assert max(networks["ic"]) == 12_501_632
    assert max(networks["ad"]) == 264_192
    assert max(networks["vww"]) == 7_489_664
