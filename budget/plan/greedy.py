"""Offsets by simple rules: quick, good, and the start of every search."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from budget.plan.spans import Overlays, Span


def place_in_order(
    spans: Sequence[Span],
    order: Iterable[int],
    neighbours: Sequence[Sequence[int]],
    overlays: Overlays | None = None,
) -> list[int]:
    """Gives each span in turn the lowest offset that is free during its whole life."""
    if overlays:
        return _place_with_overlays(spans, order, neighbours, overlays)
    offsets = [-1] * len(spans)
    for index in order:
        size = spans[index].size_bytes
        taken = sorted(
            (offsets[other], offsets[other] + spans[other].size_bytes)
            for other in neighbours[index]
            if offsets[other] >= 0
        )
        at = 0
        for start, stop in taken:
            if at + size <= start:
                break
            at = max(at, stop)
        offsets[index] = at
    return offsets


def place_crowded(spans: Sequence[Span], order: Sequence[int]) -> list[int]:
    """What `place_in_order` answers, where too many spans are alive together to list the pairs.

    Time is cut into blocks about as long as a span lives; each block knows the spans placed in it,
    so that a span meets few others than those it must avoid, and memory stays proportional to the
    number of spans.
    """
    import numpy as np

    sizes = np.array([span.size_bytes for span in spans], np.int64)
    firsts = np.array([span.first_step for span in spans], np.int64)
    lasts = np.array([span.last_step for span in spans], np.int64)
    offsets = np.zeros(len(spans), np.int64)
    origin = int(firsts.min(initial=0))
    width = int((lasts - firsts).mean()) + 1 if spans else 1
    block_ranges = np.stack([(firsts - origin) // width, (lasts - origin) // width + 1], 1).tolist()
    room: dict[int, int] = {}
    for low, high in block_ranges:
        for block in range(low, high):
            room[block] = room.get(block, 0) + 1
    placed = {block: np.empty(count, np.int64) for block, count in room.items()}
    filled = dict.fromkeys(room, 0)
    for index in order:
        low, high = block_ranges[index]
        near = np.concatenate([placed[block][: filled[block]] for block in range(low, high)])
        near = near[(firsts[near] <= lasts[index]) & (lasts[near] >= firsts[index])]
        starts = offsets[near]
        by_start = np.argsort(starts)
        ends = np.maximum.accumulate((starts + sizes[near])[by_start])
        free_from = np.concatenate(([0], ends))
        fits = free_from[:-1] + sizes[index] <= starts[by_start]
        offsets[index] = free_from[int(fits.argmax()) if fits.any() else len(ends)]
        for block in range(low, high):
            placed[block][filled[block]] = index
            filled[block] += 1
    found: list[int] = offsets.tolist()
    return found


def _place_with_overlays(
    spans: Sequence[Span],
    order: Iterable[int],
    neighbours: Sequence[Sequence[int]],
    overlays: Overlays,
) -> list[int]:
    """Likewise; each span that is placed forbids a run of offsets to the others."""
    offsets = [-1] * len(spans)
    for index in order:
        size = spans[index].size_bytes
        forbidden = []
        for other in neighbours[index]:
            start = offsets[other]
            if start < 0:
                continue
            low, high = start - size, start + spans[other].size_bytes
            as_output = overlays.get((other, index))
            if as_output is not None:
                low = max(low, start - as_output)
            as_input = overlays.get((index, other))
            if as_input is not None:
                high = min(high, start + as_input)
            if low < high:
                forbidden.append((low, high))
        at = 0
        for low, high in sorted(forbidden):
            if at <= low:
                break
            at = max(at, high)
        offsets[index] = at
    return offsets


def order_by_size(spans: Sequence[Span]) -> list[int]:
    """Largest first; equal sizes by time."""
    return sorted(range(len(spans)), key=lambda i: (-spans[i].size_bytes, spans[i].first_step, i))


def greedy_orders(spans: Sequence[Span]) -> Iterator[list[int]]:
    """Orders in which lowest-fit placement tends to do well, the commonest rule first."""
    indices = range(len(spans))
    lengths = [span.last_step - span.first_step + 1 for span in spans]
    yield order_by_size(spans)
    yield _order_by_breadth(spans)
    yield sorted(indices, key=lambda i: (-lengths[i] * spans[i].size_bytes, i))
    yield sorted(indices, key=lambda i: (-lengths[i], -spans[i].size_bytes, i))
    yield sorted(indices, key=lambda i: (spans[i].first_step, -lengths[i], i))
    yield sorted(indices, key=lambda i: (-spans[i].last_step, -lengths[i], i))
    yield sorted(indices, key=lambda i: (-spans[i].first_step, -lengths[i], i))


def _order_by_breadth(spans: Sequence[Span]) -> list[int]:
    """Steps by how many bytes are alive, the fullest first; within a step, largest first.

    Each span counts at the fullest step of its life only, which a tournament over the starts of
    spans finds: what is alive changes upwards only there.
    """
    starts = sorted({span.first_step for span in spans})
    place = {step: index for index, step in enumerate(starts)}
    live = [0] * (len(starts) + 1)
    ranges = []
    for span in spans:
        low, high = place[span.first_step], _count_up_to(starts, span.last_step)
        ranges.append((low, high))
        live[low] += span.size_bytes
        live[high] -= span.size_bytes
    for index in range(1, len(live)):
        live[index] += live[index - 1]
    highest = _RangeMaximum(live)
    fullest = [highest(low, high) for low, high in ranges]
    return sorted(
        range(len(spans)), key=lambda i: (-fullest[i], -spans[i].size_bytes, spans[i].first_step, i)
    )


def _count_up_to(starts: Sequence[int], step: int) -> int:
    return bisect_left(starts, step + 1)


class _RangeMaximum:
    """Largest value of any slice, from a table of the maxima of slices of length 2^k."""

    def __init__(self, values: Sequence[int]) -> None:
        self.levels = [list(values)]
        width = 1
        while 2 * width <= len(values):
            below = self.levels[-1]
            self.levels.append([max(a, b) for a, b in zip(below, below[width:])])
            width *= 2

    def __call__(self, low: int, high: int) -> int:
        level = (high - low).bit_length() - 1
        return max(self.levels[level][low], self.levels[level][high - (1 << level)])
