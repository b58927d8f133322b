"""Intervals of computed quantities: their algebra, and Monte Carlo as the second witness."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.hardware.figure import Figure, Kind, Quantity, Reference, exact, total

_REFERENCE = Reference("r", "A reference")


def figure(key: str, value: float, low: float, high: float, kind: Kind = Kind.MEASURED) -> Figure:
    return Figure(key, value, low, high, "W", kind, _REFERENCE)


def symmetric(key: str, value: float, spread: float) -> Quantity:
    return figure(key, value, value / spread, value * spread).quantity


values = st.floats(1e-6, 1e6)
spreads = st.floats(1.0, 3.0)


def interval(q: Quantity) -> tuple[float, float, float]:
    return float(q.low), float(q.value), float(q.high)


@given(values, spreads)
def test_one_figure_keeps_its_bounds(value: float, spread: float) -> None:
    q = symmetric("a", value, spread)
    assert interval(q) == pytest.approx((value / spread, value, value * spread))


@given(values, spreads, values, spreads)
def test_independent_factors_add_in_quadrature_of_logarithms(
    a: float, sa: float, b: float, sb: float
) -> None:
    product = symmetric("a", a, sa) * symmetric("b", b, sb)
    reach = math.exp(math.hypot(math.log(sa), math.log(sb)))
    assert interval(product) == pytest.approx((a * b / reach, a * b, a * b * reach))
    quotient = symmetric("a", a, sa) / symmetric("b", b, sb)
    assert float(quotient.high) == pytest.approx(a / b * reach)


@given(values, spreads)
def test_a_figure_used_twice_adds_linearly(value: float, spread: float) -> None:
    q = symmetric("a", value, spread)
    assert float((q * q).high) == pytest.approx((value * spread) ** 2)
    assert interval(q * q) == pytest.approx(interval(q**2))
    assert float((q + q).high) == pytest.approx(2 * value * spread)


@given(values, spreads)
def test_a_quantity_over_itself_is_exactly_one(value: float, spread: float) -> None:
    q = symmetric("a", value, spread)
    assert interval(q / q) == (1.0, 1.0, 1.0)
    assert interval(q - q) == (0.0, 0.0, 0.0)


@given(values, spreads, st.floats(1e-3, 1e3))
def test_exact_numbers_scale_the_whole_interval(value: float, spread: float, by: float) -> None:
    q = symmetric("a", value, spread)
    for scaled in (q * by, by * q, q * exact(by, "")):
        assert interval(scaled) == pytest.approx(tuple(by * x for x in interval(q)))
    inverse = by / q
    assert float(inverse.low) == pytest.approx(by / float(q.high))
    assert float(inverse.high) == pytest.approx(by / float(q.low))


@given(st.lists(st.tuples(values, spreads), min_size=1, max_size=5))
def test_a_sum_never_spreads_more_than_its_widest_part(parts: list[tuple[float, float]]) -> None:
    quantities = [symmetric(f"f{i}", value, spread) for i, (value, spread) in enumerate(parts)]
    result = total(quantities, "W")
    assert float(result.value) == pytest.approx(sum(value for value, _ in parts))
    widest = max(spread for _, spread in parts)
    assert float(result.high) <= float(result.value) * widest * (1 + 1e-9)
    assert float(result.low) >= float(result.value) / widest * (1 - 1e-9)


@given(values, spreads, values, spreads, values)
def test_order_does_not_matter(a: float, sa: float, b: float, sb: float, c: float) -> None:
    x, y = symmetric("a", a, sa), symmetric("b", b, sb)
    assert interval(x + y) == pytest.approx(interval(y + x))
    assert interval((x + y) * c) == pytest.approx(interval(x * c + y * c))
    assert interval((x * y) / y) == pytest.approx(interval(x))


@settings(max_examples=25, deadline=None)
@given(st.floats(1.02, 1.4), st.floats(1.02, 1.4), st.floats(1.02, 1.4), st.integers(0, 2**32 - 1))
def test_monte_carlo_agrees(sa: float, sb: float, sc: float, seed: int) -> None:
    """Lognormal draws of the figures give the percentiles that the algebra claims."""
    draws = np.random.default_rng(seed)

    def sample(value: float, spread: float) -> np.ndarray:
        return value * np.exp(draws.normal(0.0, math.log(spread) / 1.6449, 40_000))

    a, b, c = symmetric("a", 3.0, sa), symmetric("b", 2.0, sb), symmetric("c", 5.0, sc)
    da, db, dc = sample(3.0, sa), sample(2.0, sb), sample(5.0, sc)
    for q, d in (
        (a * b / c, da * db / dc),
        (a * b + c * a, da * db + dc * da),
        ((a + b + c) ** 2, (da + db + dc) ** 2),
        (1 / (a + b), 1 / (da + db)),
    ):
        # the weights are taken at the value: exact for products, to first order for sums
        low, high = np.percentile(d, (5, 95))
        reach = math.log(float(q.high) / float(q.value))
        assert math.log(high / float(q.value)) == pytest.approx(reach, abs=0.02 + 0.12 * reach)
        assert math.log(float(q.value) / low) == pytest.approx(reach, abs=0.02 + 0.12 * reach)


def test_a_skewed_figure_swaps_its_ends_when_it_divides() -> None:
    skewed = figure("a", 10.0, 9.0, 20.0).quantity
    inverse = 1 / skewed
    assert interval(inverse) == pytest.approx((1 / 20, 1 / 10, 1 / 9))


def test_arrays_go_through_the_same_code() -> None:
    a, b = symmetric("a", 2.0, 1.2), symmetric("b", 3.0, 1.5)
    scale = np.array([1.0, 10.0, 0.0])
    together = a * exact(scale, "") + b  # type: ignore[arg-type]
    for i, s in enumerate(scale):
        alone = a * float(s) + b
        assert np.asarray(together.high)[i] == pytest.approx(float(alone.high))
        assert np.asarray(together.low)[i] == pytest.approx(float(alone.low))
    assert together.to_json()["value"] == pytest.approx([5.0, 23.0, 3.0])


def test_kind_and_references_of_a_result() -> None:
    other = Reference("s", "Another reference")
    a = figure("a", 1.0, 1.0, 1.0, Kind.MEASURED).quantity
    b = Figure("b", 1.0, 0.5, 2.0, "s", Kind.RECALLED, other).quantity
    given_by_user = Figure("c", 1.0, 1.0, 1.0, "", Kind.MEASURED).quantity
    result = (a * b * given_by_user).as_unit("J")
    assert result.kind is Kind.RECALLED
    assert [r.id for r in result.references] == ["r", "s"]
    assert result.to_json() == {
        "value": 1.0,
        "low": pytest.approx(0.5),
        "high": pytest.approx(2.0),
        "unit": "J",
        "kind": "recalled",
        "references": ["r", "s"],
    }
    assert exact(3.0, "").kind is Kind.DERIVED


def test_widened_adds_an_independent_factor() -> None:
    q = symmetric("a", 10.0, 1.3).widened("fit", 0.8, 1.4)
    assert float(q.high) == pytest.approx(10 * math.exp(math.hypot(math.log(1.3), math.log(1.4))))
    assert float(q.low) == pytest.approx(10 / math.exp(math.hypot(math.log(1.3), math.log(1.25))))


def test_the_kinds_are_ordered_from_strong_to_weak() -> None:
    names = ["measured", "datasheet", "fitted", "derived", "recalled", "assumed"]
    assert [str(kind) for kind in Kind] == names
    assert sorted(Kind) == list(Kind)
