"""Placement without listing pairs must give what placement with pairs gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from budget.plan.greedy import order_by_size, place_crowded, place_in_order
from budget.plan.spans import Span, overlaps

SPANS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(-1, 40), st.integers(0, 30)).map(
        lambda t: Span(16 * t[0], t[1], t[1] + t[2])
    ),
    max_size=60,
)


@given(SPANS)
def test_crowded_placement_is_lowest_fit(spans: list[Span]) -> None:
    order = order_by_size(spans)
    assert place_crowded(spans, order) == place_in_order(spans, order, overlaps(spans))
