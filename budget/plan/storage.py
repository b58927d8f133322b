"""From an order of execution to buffers: what is alive when, and which outputs take over inputs."""

from __future__ import annotations

from collections.abc import Sequence

from budget.plan.memory import MemoryModel
from budget.plan.spans import Overlays, Span
from budget.records import record


@record
class Storage:
    """The buffers that an order of execution needs.

    Attributes:
        spans: sizes and lifetimes; one per buffer, scratch not included.
        items: per span, the items of the memory model that occupy it one after the other.
        overlays: (span of a dying input, span of the output that may reach into it) → distance.
    """

    spans: list[Span]
    items: list[list[int]]
    overlays: Overlays


def assign_storage(model: MemoryModel, order: Sequence[int]) -> Storage:
    """Walks the order once and gives every item a buffer, its own or that of a dying input."""
    end = len(order)
    waiting = [len(item.touching) for item in model.items]
    storage_of = [-1] * len(model.items)
    first: list[int] = []
    last: list[int] = []
    members: list[list[int]] = []
    overlays: Overlays = {}

    def open_storage(item: int, step: int) -> None:
        storage_of[item] = len(first)
        first.append(step)
        last.append(end if model.items[item].to_end else step)
        members.append([item])

    for index, candidate in enumerate(model.items):
        if candidate.from_start:
            open_storage(index, -1)
    for step, node in enumerate(order):
        for source, out in model.overwritable[node]:
            dies = waiting[source] == 1 and not model.items[source].to_end
            if dies and storage_of[out] < 0:
                storage_of[out] = storage_of[source]
                members[storage_of[out]].append(out)
                if model.items[out].to_end:
                    last[storage_of[out]] = end
                break
        for source, out, distance in model.overlays[node]:
            if waiting[source] == 1 and not model.items[source].to_end and storage_of[out] < 0:
                open_storage(out, step)
                overlays[storage_of[source], storage_of[out]] = distance
        for item in model.touched[node]:
            waiting[item] -= 1
            if storage_of[item] < 0:
                open_storage(item, step)
            last[storage_of[item]] = max(last[storage_of[item]], step)
    spans = [
        Span(model.items[group[0]].size_bytes, start, stop)
        for group, start, stop in zip(members, first, last)
    ]
    return Storage(spans, members, overlays)
