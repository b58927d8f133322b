"""Searches for smaller arenas: branch and bound, and hill climbing on the order of placement."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from budget.plan.greedy import order_by_size, place_in_order
from budget.plan.spans import Overlays, Span, arena_bytes


def search_offsets(
    spans: Sequence[Span],
    bound_bytes: int,
    arena_bytes: int,
    node_limit: int,
) -> list[int] | None:
    """Offsets that need less than ``arena_bytes``, by branch and bound.

    Some best placement has every buffer on the floor or directly on another one that lives at the
    same time. Buffers are therefore dropped one after another from above, in order of the offset
    at which they come to rest; whatever lies below the last offset and is still free stays free,
    and that makes the bound at each step sharp.

    Args:
        spans: what to place.
        bound_bytes: stop when an arena of this size is found.
        arena_bytes: what must be beaten.
        node_limit: partial placements to look at; if it is not reached, the result is optimal.

    Returns:
        The best found, or None if nothing better was.
    """
    search = _Search(spans)
    # the target first: a search for nothing but a perfect fit cuts off most branches
    search.run(bound_bytes + 1, bound_bytes, node_limit // 2)
    if search.best is None:
        search.run(arena_bytes, bound_bytes, node_limit)
    return search.best


class _Search:
    """State of one branch and bound; times are reduced to the starts of spans."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.limit_bytes = 0
        self.nodes_left = 0
        self.best: list[int] | None = None
        self.sizes = [span.size_bytes for span in spans]
        starts = sorted({span.first_step for span in spans})
        self.times = [
            range(bisect_left(starts, span.first_step), bisect_right(starts, span.last_step))
            for span in spans
        ]
        self.skyline = [0] * len(starts)
        self.waiting = [0] * len(starts)
        for index, times in enumerate(self.times):
            for t in times:
                self.waiting[t] += self.sizes[index]
        self.offsets = [0] * len(spans)

    def run(self, beat_bytes: int, bound_bytes: int, node_limit: int) -> None:
        """Searches from an empty arena for less than ``beat_bytes``; leaves it in ``best``."""
        self.limit_bytes, self.bound_bytes = beat_bytes, bound_bytes
        self.nodes_left = node_limit
        order = sorted(range(len(self.sizes)), key=lambda i: (-self.sizes[i], i))
        self._descend([i for i in order if self.sizes[i]], 0, -1)

    def _descend(self, unplaced: list[int], floor: int, previous: int) -> None:
        if not unplaced:
            self.limit_bytes = max(self.skyline, default=0)
            self.best = list(self.offsets)
            return
        if self.nodes_left <= 0:
            return
        self.nodes_left -= 1
        skyline = self.skyline
        rests = []
        for index in unplaced:
            at = max([skyline[t] for t in self.times[index]])
            if (at, index) > (floor, previous):
                rests.append((at, index))
        # stable: at equal offsets the larger buffer comes first
        for at, index in sorted(rests, key=_offset_of):
            if self._reach(at) >= self.limit_bytes:
                break  # and so would all that rest higher
            self._place(unplaced, at, index)
            if self.limit_bytes <= self.bound_bytes:
                return

    def _place(self, unplaced: list[int], at: int, index: int) -> None:
        end = at + self.sizes[index]
        if end >= self.limit_bytes:
            return
        times = self.times[index]
        before = [self.skyline[t] for t in times]
        for t in times:
            self.skyline[t] = end
            self.waiting[t] -= self.sizes[index]
        self.offsets[index] = at
        if self._reach(at) < self.limit_bytes:
            self._descend([other for other in unplaced if other != index], at, index)
        for t, height in zip(times, before):
            self.skyline[t] = height
            self.waiting[t] += self.sizes[index]

    def _reach(self, floor: int) -> int:
        """Bytes that the waiting buffers need at least, if none of them may lie below the floor."""
        return max(
            (
                (height if height > floor else floor) + waiting
                for height, waiting in zip(self.skyline, self.waiting)
                if waiting
            ),
            default=0,
        )


def _offset_of(rest: tuple[int, int]) -> int:
    return rest[0]


def climb_offsets(
    spans: Sequence[Span],
    neighbours: Sequence[Sequence[int]],
    offer: Callable[[list[int]], bool],
    rounds: int,
    overlays: Overlays | None = None,
) -> None:
    """Swaps buffers in the order of placement while the arena does not grow.

    The swap brings forward what ends at the top of the arena, or what carries it.

    Args:
        spans: what to place.
        neighbours: per span, the spans that live at a common step.
        offer: told of every placement; True means that nothing better can exist.
        rounds: placements to try.
        overlays: outputs that may reach into inputs that die.
    """
    from random import Random  # costs more to import than most plans take

    random = Random(len(spans))
    order = order_by_size(spans)
    offsets = place_in_order(spans, order, neighbours, overlays)
    top = arena_bytes(spans, offsets)
    for _ in range(rounds):
        candidate = _swap(spans, neighbours, order, offsets, top, random.randrange)
        new_offsets = place_in_order(spans, candidate, neighbours, overlays)
        new_top = arena_bytes(spans, new_offsets)
        if offer(new_offsets):
            return
        if new_top <= top or random.random() < 0.02:
            order, offsets, top = candidate, new_offsets, new_top


def _swap(
    spans: Sequence[Span],
    neighbours: Sequence[Sequence[int]],
    order: Sequence[int],
    offsets: Sequence[int],
    top: int,
    below: Callable[[int], int],
) -> list[int]:
    highest = [i for i, span in enumerate(spans) if offsets[i] + span.size_bytes == top]
    index = highest[below(len(highest))]
    while below(3) and offsets[index]:  # sometimes a carrier, or a carrier's carrier
        carriers = [i for i in neighbours[index] if offsets[i] < offsets[index]]
        if not carriers:  # it lies at the distance of an overlay
            break
        index = carriers[below(len(carriers))]
    position = {i: place for place, i in enumerate(order)}
    earlier = [i for i in neighbours[index] if position[i] < position[index]]
    changed = list(order)
    if earlier:
        other = earlier[below(len(earlier))]
        a, b = position[index], position[other]
        if below(2):
            changed[a], changed[b] = changed[b], changed[a]
        else:  # bring forward, keep the rest in order
            changed.insert(b, changed.pop(a))
    return changed
