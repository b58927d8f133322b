"""Searches the order of one part of a graph: constructions, best-first search, beam search."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from budget.plan.memory import MemoryModel
from budget.plan.order_rules import greedy_order, stack_order, tree_order

SEARCHED_NODES = 400
"""Parts with more nodes than this are ordered by constructions only."""


def search_part(
    model: MemoryModel,
    low: int,
    high: int,
    live_bytes: int,
    peak_bytes: int,
    floor_bytes: int,
    state_limit: int,
) -> tuple[list[int], int, int]:
    """The best order found for nodes [low, high).

    Args:
        model: the whole graph.
        low: first node of the part.
        high: one past its last node.
        live_bytes: alive before it.
        peak_bytes: most bytes alive in the graph's own order of the part.
        floor_bytes: a peak below this is worth nothing, because another part needs as much.
        state_limit: states that may be visited.

    Returns:
        Order, its peak (or the floor, if that is higher), and the number of states visited.
    """
    part = _Part(model, low, high, live_bytes)
    best, best_peak = list(range(low, high)), peak_bytes
    for rule in (stack_order, greedy_order, tree_order):
        if best_peak <= floor_bytes:
            break
        order = rule(model, low, high)
        peak = max(part.peak(order), floor_bytes)
        if peak < best_peak:
            best, best_peak = order, peak
    if best_peak <= max(floor_bytes, part.unavoidable_bytes()) or part.count > SEARCHED_NODES:
        return best, best_peak, 0
    found, proven, states = part.best_first(floor_bytes, best_peak, state_limit // 2)
    if found is None and not proven:
        found, more = part.beam(floor_bytes, best_peak, state_limit // 2)
        states += more
    if found is not None:
        best, best_peak = found, max(part.peak(found), floor_bytes)
    return best, best_peak, states


class _Line(NamedTuple):
    """An order being built by the beam search, as its last node and the line before it."""

    peak: int
    live: int
    done: int
    ready: int
    parent: _Line | None
    node: int


class _Part:
    """Nodes [low, high) with their items; sets of nodes are integers with a bit for each."""

    def __init__(self, model: MemoryModel, low: int, high: int, live_bytes: int) -> None:
        self.low = low
        self.count = high - low
        self.live_bytes = live_bytes
        self.scratch = model.scratch_bytes[low:high]
        self.index: dict[int, int] = {}
        self.sizes: list[int] = []
        self.masks: list[int] = []  # nodes of the part that touch the item
        self.enters: list[bool] = []  # alive before the part
        self.dies: list[bool] = []  # nothing behind the part needs it
        for node in range(low, high):
            for item in model.touched[node]:
                if item not in self.index:
                    self._add_item(model, item, low, high)
        self.touched = [[self.index[i] for i in model.touched[n]] for n in range(low, high)]
        self.savings = [
            [(self.index[a], self.index[b], saved) for a, b, saved in model.savings[n]]
            for n in range(low, high)
        ]
        self.successors = [
            [s - low for s in model.successors[n] if s < high] for n in range(low, high)
        ]
        self.before = [0] * self.count
        if self.count <= SEARCHED_NODES:
            for node, successors in enumerate(self.successors):
                for successor in successors:
                    self.before[successor] |= 1 << node

    def _add_item(self, model: MemoryModel, item: int, low: int, high: int) -> None:
        entry = model.items[item]
        self.index[item] = len(self.sizes)
        self.sizes.append(entry.size_bytes)
        inside = entry.touching[
            bisect_left(entry.touching, low) : bisect_left(entry.touching, high)
        ]
        small = high - low <= SEARCHED_NODES
        self.masks.append(sum(1 << (node - low) for node in inside) if small else len(inside))
        self.enters.append(entry.from_start or entry.touching[0] < low)
        self.dies.append(not entry.to_end and entry.touching[-1] < high)

    def peak(self, order: list[int]) -> int:
        """Most bytes alive at once in an order of the part's nodes."""
        small = self.count <= SEARCHED_NODES
        waiting = [mask.bit_count() if small else mask for mask in self.masks]
        alive = list(self.enters)
        live = self.live_bytes
        peak = 0
        for node in order:
            during = live
            freed = 0
            for item in self.touched[node - self.low]:
                if not alive[item]:
                    during += self.sizes[item]
                if waiting[item] == 1 and self.dies[item]:
                    freed += self.sizes[item]
            live = during - freed
            for source, out, saved in self.savings[node - self.low]:
                if waiting[source] == 1 and self.dies[source] and not alive[out]:
                    during -= saved
                    break
            for item in self.touched[node - self.low]:
                alive[item] = True
                waiting[item] -= 1
            peak = max(peak, during + self.scratch[node - self.low])
        return peak

    def unavoidable_bytes(self) -> int:
        """A peak that no order can avoid: what some node itself touches."""
        highest = 0
        for node, items in enumerate(self.touched):
            bytes_here = sum(self.sizes[item] for item in items) + self.scratch[node]
            bytes_here -= max((saved for _, _, saved in self.savings[node]), default=0)
            highest = max(highest, bytes_here)
        # what lives through the whole part without being touched
        touched_at_entry = sum(size for size, enters in zip(self.sizes, self.enters) if enters)
        return highest + self.live_bytes - touched_at_entry

    def _needs(self, node: int, done: int, live: int) -> tuple[int, int]:
        """Bytes alive while ``node`` runs and after it, when the set ``done`` has run."""
        bit = 1 << node
        during = live + self.scratch[node]
        after = live
        for item in self.touched[node]:
            mask = self.masks[item]
            if not (self.enters[item] or mask & done):
                during += self.sizes[item]
                after += self.sizes[item]
            if self.dies[item] and not mask & ~(done | bit):
                after -= self.sizes[item]
        for source, out, saved in self.savings[node]:
            dies = self.dies[source] and not self.masks[source] & ~(done | bit)
            if dies and not (self.enters[out] or self.masks[out] & done):
                during -= saved
                break
        return during, after

    def _moves(self, done: int, ready: int, live: int, peak: int) -> Iterator[tuple[int, int, int]]:
        """(node, new peak, new live bytes) worth trying.

        A node that leaves no more bytes alive than before, within the peak already reached, can
        be run at once: whatever order follows, running it first does not make it worse.
        """
        moves = []
        remaining = ready
        while remaining:
            bit = remaining & -remaining
            remaining ^= bit
            node = bit.bit_length() - 1
            during, after = self._needs(node, done, live)
            if after <= live and during <= peak:
                yield node, peak, after
                return
            moves.append((node, max(peak, during), after))
        yield from moves

    def _ready_after(self, node: int, done: int, ready: int) -> int:
        """The ready set once ``node`` has joined ``done`` (which includes it already)."""
        ready &= ~(1 << node)
        for successor in self.successors[node]:
            if not self.before[successor] & ~done:
                ready |= 1 << successor
        return ready

    def _first_ready(self) -> int:
        return sum(1 << node for node in range(self.count) if not self.before[node])

    def best_first(
        self, floor: int, beat: int, state_limit: int
    ) -> tuple[list[int] | None, bool, int]:
        """Extends the set of nodes that has the lowest peak so far.

        Returns:
            An order below ``beat`` or None; whether the answer is proven best; states visited.
        """
        full = (1 << self.count) - 1
        parents: dict[int, tuple[int, int]] = {}
        best_peak = {0: floor}
        heap = [(floor, 0, 0, self._first_ready(), self.live_bytes)]
        states = 0
        while heap:
            peak, negative_count, done, ready, live = heappop(heap)
            if peak > best_peak[done]:
                continue
            if done == full:
                return self._path(parents, done), True, states
            states += 1
            if states > state_limit:
                return None, False, states
            for node, new_peak, after in self._moves(done, ready, live, peak):
                then = done | 1 << node
                if new_peak < beat and new_peak < best_peak.get(then, beat):
                    best_peak[then] = new_peak
                    parents[then] = (done, node)
                    new_ready = self._ready_after(node, then, ready)
                    heappush(heap, (new_peak, negative_count - 1, then, new_ready, after))
        return None, True, states

    def _path(self, parents: dict[int, tuple[int, int]], done: int) -> list[int]:
        order = []
        while done:
            done, node = parents[done]
            order.append(node + self.low)
        return order[::-1]

    def beam(self, floor: int, beat: int, state_limit: int) -> tuple[list[int] | None, int]:
        """Keeps the few best sets of each size.

        Returns:
            An order below ``beat`` or None, and the number of states visited.
        """
        width = max(2, state_limit // self.count // 4)
        states = 0
        level = [_Line(floor, self.live_bytes, 0, self._first_ready(), None, -1)]
        for _ in range(self.count):
            following: dict[int, _Line] = {}
            for line in level:
                peak, live, done, ready = line[:4]
                states += 1
                for node, new_peak, after in self._moves(done, ready, live, peak):
                    then = done | 1 << node
                    known = following.get(then)
                    if new_peak < beat and (known is None or new_peak < known.peak):
                        new_ready = self._ready_after(node, then, ready)
                        following[then] = _Line(new_peak, after, then, new_ready, line, node)
            level = sorted(following.values(), key=lambda line: line[:3])[:width]
        if not level:
            return None, states
        order = []
        line = level[0]
        while line.parent is not None:
            order.append(line.node + self.low)
            line = line.parent
        return order[::-1], states
