"""Where buffers lie in the arena: dynamic storage allocation with known lifetimes."""

from __future__ import annotations

from collections.abc import Sequence

from budget.plan.greedy import greedy_orders, place_in_order
from budget.plan.offset_search import climb_offsets, search_offsets
from budget.plan.spans import (
    Overlays,
    Span,
    arena_bytes,
    count_overlaps,
    lower_bound_bytes,
    overlaps,
)
from budget.plan.streaming import streaming_placements

PAIR_LIMIT = 1_000_000
"""Pairs of spans that are alive together, above which only streaming constructions are tried."""
EXACT_SPANS = 12
"""Up to so many spans the result is proven smallest."""
EXACT_NODES = 5_000_000
SEARCHED_SPANS = 300
"""Above so many spans branch and bound is not tried."""
SEARCH_WORK = 1_000_000
"""Elementary steps that each search may take beyond that: about a tenth of a second."""
OVERLAID_WORK = 10_000
"""The same where outputs lie over inputs: the bound is rarely tight, and more is seldom gained."""
PATIENCE = 5
"""How many times as long spans few enough to be searched are worth where the bound is not met."""


def assign_offsets(
    spans: Sequence[Span], overlays: Overlays | None = None, *, thorough: bool = False
) -> list[int]:
    """Offsets for spans that must not overlap in both space and time, but for the overlays.

    Cheap constructions come first and the search stops as soon as the lower bound is reached.
    Above `PAIR_LIMIT` overlapping pairs only constructions that need no pairs are tried, so that
    time stays proportional to the number of spans. The same spans always get the same offsets.

    Args:
        spans: what lies in the arena when.
        overlays: pairs that may share bytes.
        thorough: search on among overlaid spans, too, for what few bytes there may be to gain.
    """
    bound = lower_bound_bytes(spans, overlays)
    best = _Best(spans, bound)
    for offsets in streaming_placements(spans, bound):
        if best.offer(offsets):
            return best.offsets
    if count_overlaps(spans) > PAIR_LIMIT:
        return best.offsets
    neighbours = overlaps(spans)
    pairs = sum(map(len, neighbours))
    for order in greedy_orders(spans):
        if best.offer(place_in_order(spans, order, neighbours, overlays)):
            return best.offsets
        if pairs > SEARCH_WORK // 4:
            return best.offsets
    small = len(spans) <= EXACT_SPANS
    if len(spans) <= SEARCHED_SPANS and not overlays:
        limit = EXACT_NODES if small else PATIENCE * SEARCH_WORK // (8 * len(spans))
        found = search_offsets(spans, bound, best.arena_bytes, limit)
        if best.offer(found) or small:
            return best.offsets
    if overlays:
        work = SEARCH_WORK if thorough else OVERLAID_WORK
    else:
        work = PATIENCE * SEARCH_WORK if len(spans) <= SEARCHED_SPANS else SEARCH_WORK
    rounds = work // (len(spans) + pairs)
    climb_offsets(spans, neighbours, best.offer, rounds, overlays)
    return best.offsets


class _Best:
    """The best offsets so far; `offer` says whether nothing better can exist."""

    def __init__(self, spans: Sequence[Span], bound_bytes: int) -> None:
        self.spans = spans
        self.bound_bytes = bound_bytes
        self.arena_bytes = 1 << 62
        self.offsets: list[int] = []

    def offer(self, offsets: list[int] | None) -> bool:
        if offsets is not None:
            size = arena_bytes(self.spans, offsets)
            if size < self.arena_bytes:
                self.arena_bytes, self.offsets = size, offsets
        return self.arena_bytes <= self.bound_bytes
