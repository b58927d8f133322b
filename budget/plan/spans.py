"""Runs of bytes during runs of steps: sizes, overlaps, and the least room they need together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A run of bytes during a run of steps, both ends included.

    Sizes are multiples of the alignment; offsets that are sums of sizes then are, too.
    """

    size_bytes: int
    first_step: int
    last_step: int


Overlays = dict[tuple[int, int], int]
"""(input, output) → distance: two spans that share one step, in which the output replaces the
input, may overlap if the output starts that many bytes below the input, or more."""


def overlay_saving_bytes(input_bytes: int, output_bytes: int, distance_bytes: int) -> int:
    """What laying an output over its input saves at best."""
    return max(0, min(output_bytes - distance_bytes, input_bytes))


def align(size_bytes: int, alignment_bytes: int) -> int:
    """The next multiple of the alignment."""
    return -(-size_bytes // alignment_bytes) * alignment_bytes


def arena_bytes(spans: Iterable[Span], offsets: Iterable[int]) -> int:
    """End of the highest buffer."""
    return max((at + span.size_bytes for span, at in zip(spans, offsets)), default=0)


def lower_bound_bytes(spans: Sequence[Span], overlays: Overlays | None = None) -> int:
    """Most bytes alive at once: no assignment of offsets needs fewer."""
    saved: dict[int, int] = {}
    for (source, out), distance in (overlays or {}).items():
        step = spans[out].first_step
        saving = overlay_saving_bytes(spans[source].size_bytes, spans[out].size_bytes, distance)
        saved[step] = saved.get(step, 0) + saving
    changes: dict[int, int] = {}
    for span in spans:
        changes[span.first_step] = changes.get(span.first_step, 0) + span.size_bytes
        changes[span.last_step + 1] = changes.get(span.last_step + 1, 0) - span.size_bytes
    live = best = 0
    for step in sorted(changes):
        live += changes[step]
        best = max(best, live - saved.get(step, 0))
    return _with_drift(spans, overlays, best) if overlays else best


def _with_drift(spans: Sequence[Span], overlays: Overlays, bound_bytes: int) -> int:
    """The bound, raised by what chains of overlays need.

    In an arena that cannot hold an input beside its output, the one must lie over the other, and
    so start lower: along a chain of such steps the distances add up. The smaller the arena, the
    more steps are forced; the answer is the smallest that holds the chains it forces.
    """
    following = {source: (out, distance) for (source, out), distance in overlays.items()}
    by_time = sorted(following, key=lambda source: -spans[source].last_step)
    pairs = {spans[a].size_bytes + spans[b].size_bytes for a, b in overlays}
    heights = [bound_bytes, *sorted(height for height in pairs if height > bound_bytes)]

    def forced_bytes(height: int) -> int:
        drift: dict[int, int] = {}
        for source in by_time:
            out, distance = following[source]
            if spans[source].size_bytes + spans[out].size_bytes > height:
                drift[source] = distance + drift.get(out, 0)
        return max((spans[source].size_bytes + far for source, far in drift.items()), default=0)

    low, high = 0, len(heights) - 1
    while low < high:
        middle = (low + high) // 2
        if forced_bytes(heights[middle]) < heights[middle + 1]:
            high = middle
        else:
            low = middle + 1
    return max(heights[low], forced_bytes(heights[low]))


def count_overlaps(spans: Sequence[Span]) -> int:
    """How many pairs of spans are alive at a common step."""
    ends = sorted(span.last_step for span in spans)
    ended = pairs = 0
    for index, start in enumerate(sorted(span.first_step for span in spans)):
        while ended < len(ends) and ends[ended] < start:
            ended += 1
        pairs += index - ended
    return pairs


def overlaps(spans: Sequence[Span]) -> list[list[int]]:
    """For each span, the others that are alive at one of its steps."""
    found: list[list[int]] = [[] for _ in spans]
    active: list[int] = []
    for index in sorted(range(len(spans)), key=lambda i: (spans[i].first_step, i)):
        first_step = spans[index].first_step
        active = [other for other in active if spans[other].last_step >= first_step]
        for other in active:
            found[other].append(index)
        found[index].extend(active)
        active.append(index)
    return found
