"""Constraints pass, fail or stay open by their intervals; the verdict follows from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.hardware.figure import Figure, Kind, Quantity, exact
from budget.verdict import Constraint, Status, Verdict, conclude, judge, not_judged


def between(low: float, value: float, high: float) -> Quantity:
    return Figure("test/x", value, low, high, "W", Kind.MEASURED).quantity


values = st.floats(1e-6, 1e6)


@given(values, values)
def test_exact_quantities_are_never_unsure(need: float, have: float) -> None:
    status = judge("power", exact(need, "W"), exact(have, "W")).status
    assert status is (Status.PASS if need <= have else Status.FAIL)


@given(st.tuples(values, values, values), values)
def test_status_follows_the_interval(bounds: tuple[float, float, float], have: float) -> None:
    low, value, high = sorted(bounds)
    need = between(low, value, high)
    status = judge("power", need, exact(have, "W")).status
    if status is Status.PASS:
        assert high <= have * (1 + 1e-9)
    elif status is Status.FAIL:
        assert low > have * (1 - 1e-9)
    else:
        assert low <= have * (1 + 1e-9) and high > have * (1 - 1e-9)


def test_a_middle_that_fits_is_not_a_yes() -> None:
    assert judge("power", between(0.5, 0.9, 1.5), exact(1.0, "W")).status is Status.UNSURE


@pytest.mark.parametrize(
    ("statuses", "verdict", "code"),
    [
        ((Status.PASS, Status.PASS), Verdict.FITS, 0),
        ((Status.PASS, Status.NOT_JUDGED), Verdict.FITS, 0),
        ((Status.PASS, Status.UNSURE), Verdict.TOO_CLOSE, 6),
        ((Status.UNSURE, Status.FAIL), Verdict.DOES_NOT_FIT, 1),
    ],
)
def test_conclude(statuses: tuple[Status, ...], verdict: Verdict, code: int) -> None:
    found = conclude(Constraint("x", None, None, status) for status in statuses)
    assert found is verdict
    assert found.exit_code == code


def test_margin_is_have_over_need() -> None:
    assert judge("ram", exact(50, "bytes"), exact(200, "bytes")).margin_ratio == 4.0
    assert not_judged("ram", exact(50, "bytes"), "a DSP has none").margin_ratio is None
    assert judge("ram", exact(0, "bytes"), exact(200, "bytes")).margin_ratio is None
