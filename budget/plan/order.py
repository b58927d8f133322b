"""In which order to run the nodes so that the fewest bytes are alive at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from budget.plan.ledger import Ledger
from budget.plan.memory import MemoryModel
from budget.plan.order_search import search_part

SEARCH_STATES = 20_000
"""States that the searches of one graph may visit together: a second or less."""


def search_order(model: MemoryModel) -> list[int]:
    """An executable order whose peak is never above that of the graph's own order.

    The graph is cut where every order must pass through the same state, and the parts are
    searched one by one, the fullest first. A part whose own order stays below the peak of one
    that is done need not be searched at all, so large graphs cost little more than one walk.
    """
    order = list(range(len(model.nodes)))
    ledger = Ledger(model)
    before, during = [], []
    for node in order:
        before.append(ledger.live_bytes)
        during.append(ledger.run(node))
    parts = [(max(during[low:high]), low, high) for low, high in _parts(model)]
    # a part of one node is the same in every order
    floor = max((peak for peak, low, high in parts if high - low == 1), default=0)
    states_left = SEARCH_STATES
    for peak, low, high in sorted(parts, key=lambda part: (-part[0], part[1])):
        if peak <= floor:
            break
        found, found_peak, states = search_part(
            model, low, high, before[low], peak, floor, states_left
        )
        states_left = max(0, states_left - states)
        order[low:high] = found
        floor = max(floor, found_peak)
    return order


def _parts(model: MemoryModel) -> list[tuple[int, int]]:
    """Runs [low, high) of the graph's order that no node can leave or enter."""
    borders = sorted(set(_cuts(model)) | {0, len(model.nodes)})
    return list(pairwise(borders))


def _cuts(model: MemoryModel) -> Iterator[int]:
    """Places p such that the first p nodes are the same set in every executable order.

    They lie before and behind each node that every other node either must follow or must precede:
    the only one that is ready when its turn comes, walking forwards and also walking backwards.
    """
    count = len(model.nodes)
    predecessors: list[list[int]] = [[] for _ in range(count)]
    for node, successors in enumerate(model.successors):
        for successor in successors:
            predecessors[successor].append(node)
    forwards = _alone(model.successors, list(model.predecessor_counts), range(count))
    successor_counts = [len(successors) for successors in model.successors]
    backwards = _alone(predecessors, successor_counts, range(count - 1, -1, -1))
    for node in range(count):
        if forwards[node] and backwards[node]:
            yield node
            yield node + 1


def _alone(edges: Sequence[Sequence[int]], missing: list[int], walk: range) -> list[bool]:
    """Per node, whether no other was ready when it ran."""
    alone = [False] * len(edges)
    ready = missing.count(0)
    for node in walk:
        alone[node] = ready == 1
        ready -= 1
        for other in edges[node]:
            missing[other] -= 1
            if not missing[other]:
                ready += 1
    return alone
