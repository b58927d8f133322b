"""Where buffers lie in the arena: dynamic storage allocation with known lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from budget.plan.storage import Span


def align(size_bytes: int, alignment_bytes: int) -> int:
    """The next multiple of the alignment."""
    return -(-size_bytes // alignment_bytes) * alignment_bytes


def lower_bound_bytes(spans: Sequence[Span], alignment_bytes: int = 1) -> int:
    """Most bytes alive at once: no assignment of offsets needs fewer.

    With an alignment every buffer but the topmost is padded, so that the bound at a step is the
    sum of padded sizes less the largest padding.
    """
    events: dict[int, list[tuple[int, int]]] = {}
    for span in spans:
        if not span.size_bytes:
            continue
        padded = align(span.size_bytes, alignment_bytes)
        padding = padded - span.size_bytes
        events.setdefault(span.first_step, []).append((padded, padding))
        events.setdefault(span.last_step + 1, []).append((-padded, padding))
    live = 0
    paddings = [0] * alignment_bytes
    best = 0
    for step in sorted(events):
        for padded, padding in events[step]:
            live += padded
            paddings[padding] += 1 if padded > 0 else -1
        if live:
            largest = next(p for p in range(alignment_bytes - 1, -1, -1) if paddings[p])
            best = max(best, live - largest)
    return best


def arena_bytes(spans: Iterable[Span], offsets: Iterable[int]) -> int:
    """End of the highest buffer."""
    return max((at + span.size_bytes for span, at in zip(spans, offsets)), default=0)


def overlaps(spans: Sequence[Span]) -> list[list[int]]:
    """For each span, the others that are alive at one of its steps."""
    found: list[list[int]] = [[] for _ in spans]
    active: list[int] = []
    for index in sorted(range(len(spans)), key=lambda i: (spans[i].first_step, i)):
        span = spans[index]
        active = [other for other in active if spans[other].last_step >= span.first_step]
        for other in active:
            found[other].append(index)
        found[index].extend(active)
        active.append(index)
    return found


def place_in_order(
    spans: Sequence[Span],
    order: Iterable[int],
    neighbours: Sequence[Sequence[int]],
    alignment_bytes: int,
) -> list[int]:
    """Gives each span in turn the lowest offset that is free during its whole life."""
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
            if stop > at:
                at = align(stop, alignment_bytes)
        offsets[index] = at
    return offsets


def assign_offsets(spans: Sequence[Span], alignment_bytes: int) -> list[int]:
    """Offsets, multiples of the alignment, for spans that must not overlap in space and time."""
    neighbours = overlaps(spans)
    by_size = sorted(
        range(len(spans)), key=lambda i: (-spans[i].size_bytes, spans[i].first_step, i)
    )
    return place_in_order(spans, by_size, neighbours, alignment_bytes)
