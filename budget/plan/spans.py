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


def align(size_bytes: int, alignment_bytes: int) -> int:
    """The next multiple of the alignment."""
    return -(-size_bytes // alignment_bytes) * alignment_bytes


def arena_bytes(spans: Iterable[Span], offsets: Iterable[int]) -> int:
    """End of the highest buffer."""
    return max((at + span.size_bytes for span, at in zip(spans, offsets)), default=0)


def lower_bound_bytes(spans: Sequence[Span]) -> int:
    """Most bytes alive at once: no assignment of offsets needs fewer."""
    changes: dict[int, int] = {}
    for span in spans:
        changes[span.first_step] = changes.get(span.first_step, 0) + span.size_bytes
        changes[span.last_step + 1] = changes.get(span.last_step + 1, 0) - span.size_bytes
    live = best = 0
    for step in sorted(changes):
        live += changes[step]
        best = max(best, live)
    return best


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
