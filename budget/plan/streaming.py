"""Offsets in one sweep over time, for any number of spans."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from budget.plan.spans import Span, arena_bytes

HEIGHTS = 6
"""Arena sizes tried between the lower bound and the best placement known."""


def streaming_placements(spans: Sequence[Span], bound_bytes: int) -> Iterator[list[int]]:
    """Best-fit placements in order of time, forwards and backwards; each takes time n log n.

    An arena of exactly the lower bound is tried first, then one that may grow, then heights
    between the two.
    """
    mirrored = [Span(span.size_bytes, -span.last_step, -span.first_step) for span in spans]
    plans = [(view, _events(view)) for view in (spans, mirrored)]
    best = None
    for height in (bound_bytes, None):
        for view, events in plans:
            offsets = _sweep(view, events, height)
            if offsets is not None:
                top = arena_bytes(spans, offsets)
                best = top if best is None else min(best, top)
                yield offsets
    low, high = bound_bytes, best or bound_bytes
    for _ in range(HEIGHTS):
        middle = (low + high) // 2
        found = (_sweep(view, events, middle) for view, events in plans)
        offsets = next((offsets for offsets in found if offsets is not None), None)
        if offsets is None:
            low = middle
        else:
            high = arena_bytes(spans, offsets)
            yield offsets


def _events(spans: Sequence[Span]) -> list[tuple[int, int, int, int]]:
    """(step, begins, -size, span): ends before beginnings, the largest beginning first."""
    events = [(span.first_step, 1, -span.size_bytes, i) for i, span in enumerate(spans)]
    events += [(span.last_step + 1, 0, 0, i) for i, span in enumerate(spans)]
    return sorted(event for event in events if spans[event[3]].size_bytes)


def _sweep(
    spans: Sequence[Span], events: Sequence[tuple[int, int, int, int]], height: int | None
) -> list[int] | None:
    """Plays an allocator on an arena that is ``height`` bytes high, or that may grow.

    Each span takes the smallest hole that holds it when its life begins. A hole that reaches the
    top is filled from above, all others from below: a chain then alternates between both ends.

    Returns:
        Offsets, or None if some span found no hole.
    """
    offsets = [0] * len(spans)
    holes = _Holes()
    top = height or 0
    if height:
        holes.add(0, height)
    for _, begins, _, index in events:
        size = spans[index].size_bytes
        if not begins:
            holes.free(offsets[index], offsets[index] + size)
            continue
        hole = holes.smallest(size)
        if hole is not None:
            start, end = hole
            holes.drop(start, end)
        elif height is None:  # grow, out of the hole at the top if there is one
            start, end = holes.ending_at(top), top
            if start < end:
                holes.drop(start, end)
            top = end = start + size
        else:
            return None
        if height and end == height and start:
            offsets[index] = end - size
            holes.add(start, end - size)
        else:
            offsets[index] = start
            holes.add(start + size, end)
    return offsets


class _Holes:
    """Free runs of an arena, by size, by start and by end; neighbours are always joined."""

    def __init__(self) -> None:
        self.by_size: list[tuple[int, int]] = []
        self.end_of: dict[int, int] = {}
        self.start_of: dict[int, int] = {}

    def add(self, start: int, end: int) -> None:
        if start < end:
            insort(self.by_size, (end - start, start))
            self.end_of[start], self.start_of[end] = end, start

    def drop(self, start: int, end: int) -> None:
        del self.by_size[bisect_left(self.by_size, (end - start, start))]
        del self.end_of[start], self.start_of[end]

    def free(self, start: int, end: int) -> None:
        if start in self.start_of:
            before = self.start_of[start]
            self.drop(before, start)
            start = before
        if end in self.end_of:
            behind = self.end_of[end]
            self.drop(end, behind)
            end = behind
        self.add(start, end)

    def smallest(self, size: int) -> tuple[int, int] | None:
        position = bisect_left(self.by_size, (size, -1))
        if position == len(self.by_size):
            return None
        start = self.by_size[position][1]
        return start, self.end_of[start]

    def ending_at(self, end: int) -> int:
        return self.start_of.get(end, end)
