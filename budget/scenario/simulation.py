"""Harvest, stored energy and load over time, exact while the powers are constant.

Time is a row of segments with constant power from the source and to the load. Between two
crossings of a threshold (turn-on, brown-out, full, empty, end of the cold start) the stored
energy follows a closed form (`store`), moves one way only, and so is known exactly from the ends of
the piece: a segment without a crossing costs one multiplication, one with crossings is cut where
they are solved for. A load that starts and browns out again and again within one segment repeats
the same cycle, which is counted, not stepped through.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import floor, isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import UsageError
from budget.scenario.store import Array, Store

DAY_S = 86400.0
_LEAST_CAPACITY_RATIO = 0.1


class Phase(IntEnum):
    """What the load and the storage do during a piece."""

    OFF = 0
    ON = 1
    COLD = 2
    """Off, and the converter still starting."""
    FULL = 3
    """On, and what the storage cannot take is lost."""
    EMPTY = 4
    """Off at no energy at all."""
    HELD = 5
    """Off where the cold start ends: it would charge further, the converter itself drains it."""


@dataclass(frozen=True)
class Segments:
    """Powers during consecutive times; all arrays have one entry for each segment.

    Attributes:
        duration_s: above zero.
        charge_w: into the storage while the converter runs.
        cold_w: into it during the cold start.
        load_w: out of the storage while the load is on.
        rate_hz: inferences per second while it is on.
        standing_w: drawn by the converter while it runs.
    """

    duration_s: Array
    charge_w: Array
    cold_w: Array
    load_w: Array
    rate_hz: Array
    standing_w: float = 0.0

    def __post_init__(self) -> None:
        lengths = {
            len(a) for a in (self.duration_s, self.charge_w, self.cold_w, self.load_w, self.rate_hz)
        }
        if len(lengths) != 1 or 0 in lengths:
            raise UsageError("a simulation needs as many powers as times, and at least one")
        if not (np.all(self.duration_s > 0) and np.all(np.isfinite(self.duration_s))):
            raise UsageError("every time of a simulation must be above zero and finite")
        powers = (self.charge_w, self.cold_w, self.load_w, self.rate_hz)
        if not all(np.all((a >= 0) & np.isfinite(a)) for a in powers):
            raise UsageError("powers and rates of a simulation must be finite and not below zero")

    def __len__(self) -> int:
        return len(self.duration_s)

    @classmethod
    def constant(
        cls, duration_s: float, charge_w: float, load_w: float, rate_hz: float = 1.0
    ) -> Segments:
        """One segment."""
        one = [np.array([value], np.float64) for value in (duration_s, charge_w, load_w, rate_hz)]
        return cls(one[0], one[1], np.zeros(1), one[2], one[3])

    def cut(self, at_s: NDArray[Any]) -> Segments:
        """The same powers with further cuts at the times given; those outside are left out."""
        ends = np.cumsum(self.duration_s)
        wanted = np.asarray(at_s)[(np.asarray(at_s) > 0) & (np.asarray(at_s) < ends[-1])]
        # a cut that differs from an end by rounding alone would make a segment of nothing
        near = np.searchsorted(ends, wanted)
        gap = np.minimum(
            np.abs(ends[near] - wanted), np.abs(wanted - np.concatenate([[0.0], ends])[near])
        )
        wanted = wanted[gap > 1e-9 * np.maximum(wanted, 1.0)]
        if not len(wanted):
            return self
        all_ends = np.unique(np.concatenate([ends, wanted]))
        owner = np.minimum(np.searchsorted(ends, all_ends), len(self) - 1)
        starts = np.concatenate([[0.0], ends[:-1]])
        before = np.concatenate([[0.0], all_ends[:-1]])
        # durations of untouched segments stay as they were, to the last bit
        untouched = (all_ends == ends[owner]) & (before == starts[owner])
        duration = np.where(untouched, self.duration_s[owner], all_ends - before)
        return self._take(owner, duration)

    def merged(self) -> Segments:
        """The same with equal neighbours joined, but not across midnight."""
        ends = np.cumsum(self.duration_s)
        day = np.floor((ends - self.duration_s / 2) / DAY_S)
        rows = np.stack([self.charge_w, self.cold_w, self.load_w, self.rate_hz, day])
        first = np.concatenate([[True], np.any(rows[:, 1:] != rows[:, :-1], axis=0)])
        starts = np.flatnonzero(first)
        return self._take(starts, np.add.reduceat(self.duration_s, starts))

    def _take(self, rows: NDArray[np.intp], duration_s: Array) -> Segments:
        return Segments(
            duration_s,
            self.charge_w[rows],
            self.cold_w[rows],
            self.load_w[rows],
            self.rate_hz[rows],
            self.standing_w,
        )


@dataclass(frozen=True)
class Pieces:
    """What happened, cut at every segment's end and every crossing; arrays of equal length.

    Attributes:
        segment: each piece's segment.
        phase: a `Phase`.
        start_j: stored energy at its beginning.
        duration_s: of one repetition.
        repeats: how often it is repeated in turn with its neighbour.
        end_j: stored energy at the very end.
        full_j: capacity at the very end.
        brown_outs: how often the load stopped.
    """

    segment: NDArray[np.intp]
    phase: NDArray[np.int8]
    start_j: Array
    duration_s: Array
    repeats: Array
    end_j: float
    full_j: float
    brown_outs: int


def run(store: Store, segments: Segments, start_j: float, *, on: bool = False) -> Pieces:
    """Simulates a storage and its load through all segments.

    Args:
        store: its dynamics and thresholds.
        segments: powers over time.
        start_j: stored energy at the beginning, between nothing and full.
        on: whether the load runs at the beginning, where `start_j` is between brown-out and
            turn-on; it does above, and does not below.

    Raises:
        UsageError: the beginning is not between empty and full.
    """
    if not 0 <= start_j <= store.full_j:
        raise UsageError(
            f"the storage cannot begin with {start_j:.3g} J: it holds 0 to {store.full_j:.3g} J",
            hint="begin between empty and full",
        )
    return _Engine(store, segments, start_j, on).run()


class _Engine:
    """One run: the state, and the pieces so far."""

    def __init__(self, store: Store, segments: Segments, start_j: float, on: bool) -> None:
        self.store, self.segments = store, segments
        self.energy_j = start_j
        self.full_j = store.full_j
        self.on = start_j >= store.on_j or (on and start_j > store.off_j)
        self.brown_outs = 0
        self.segment: list[int] = []
        self.phase: list[int] = []
        self.start_j: list[float] = []
        self.duration_s: list[float] = []
        self.repeated: dict[int, float] = {}
        # a worn-out battery is followed down to a tenth: beyond, no cycle life tells anything;
        # and it always can start its load
        self.least_full_j = max(store.off_j + _LEAST_CAPACITY_RATIO * store.usable_j, store.on_j)

    def run(self) -> Pieces:
        """All segments: one multiplication each where nothing is crossed."""
        store, segments = self.store, self.segments
        off_net = segments.charge_w - segments.standing_w
        on_net = off_net - segments.load_w
        duration = segments.duration_s
        lost = -np.expm1(-store.loss_per_s * duration)
        seconds = lost / store.loss_per_s if store.loss_per_s else duration
        keep = (1 - lost).tolist()
        gain = {on: (net * seconds).tolist() for on, net in ((True, on_net), (False, off_net))}
        fade = {
            on: (store.fade_ratio * np.minimum(net, 0.0) * duration).tolist()
            for on, net in ((True, on_net), (False, off_net))
        }
        net_on, net_off = on_net.tolist(), off_net.tolist()
        c, after_current = store.loss_w_per_root_j, store.after
        full_phase = int(Phase.FULL)
        add_segment, add_phase = self.segment.append, self.phase.append
        add_start, add_duration = self.start_j.append, self.duration_s.append
        for i, time_s in enumerate(duration.tolist()):
            energy, on = self.energy_j, self.on
            if c:
                # the slope flattens on the way: the first one bounds the whole segment's change
                net = net_on[i] if on else net_off[i]
                after = energy + (net - c * sqrt(energy)) * time_s
            else:
                after = energy * keep[i] + gain[on][i]
            low_j = store.off_j if on else store.cold_j
            high_j = self.full_j if on else store.on_j
            if low_j < after < high_j and energy > low_j:
                add_phase(on)
                self.energy_j = after_current(energy, net, time_s) if c else after
                self.full_j = max(self.full_j + fade[on][i], self.least_full_j)
            elif on and energy == high_j and after >= energy:
                add_phase(full_phase)
            else:
                self._crossed(i, time_s, net_on[i], net_off[i])
                continue
            add_segment(i)
            add_start(energy)
            add_duration(time_s)
        return self._pieces()

    def _pieces(self) -> Pieces:
        repeats = np.ones(len(self.segment))
        for piece, times in self.repeated.items():
            repeats[piece] = times
        return Pieces(
            np.array(self.segment, np.intp),
            np.array(self.phase, np.int8),
            np.array(self.start_j, np.float64),
            np.array(self.duration_s, np.float64),
            repeats,
            self.energy_j,
            self.full_j,
            self.brown_outs,
        )

    def _crossed(self, i: int, left_s: float, net_on: float, net_off: float) -> None:
        """One segment that may cross thresholds: solves for each crossing in turn."""
        while left_s > 0:
            if self.on:
                left_s = self._while_on(i, left_s, net_on, net_off)
            elif self.energy_j < self.store.cold_j or (
                self.energy_j == self.store.cold_j > 0 > net_off - self.store.loss_w(self.energy_j)
            ):
                left_s = self._while_cold(i, left_s, net_off)
            else:
                left_s = self._while_off(i, left_s, net_off)

    def _while_on(self, i: int, left_s: float, net: float, net_off: float) -> float:
        store = self.store
        slope = net - store.loss_w(self.energy_j)
        if slope >= 0 and self.energy_j >= self.full_j:
            return self._emit(i, Phase.FULL, left_s, self.energy_j)
        if slope >= 0:
            return self._move(i, Phase.ON, left_s, net, self.full_j)
        left_s = self._move(i, Phase.ON, left_s, net, store.off_j)
        if self.energy_j <= store.off_j:
            self.on = False
            self.brown_outs += 1
            left_s = self._repeat(i, left_s, net, net_off)
        return left_s

    def _while_off(self, i: int, left_s: float, net: float) -> float:
        store = self.store
        slope = net - store.loss_w(self.energy_j)
        if slope <= 0 and self.energy_j == 0:
            return self._emit(i, Phase.EMPTY, left_s, 0.0)
        if slope == 0:
            return self._emit(i, Phase.OFF, left_s, self.energy_j)
        if slope < 0:
            return self._move(i, Phase.OFF, left_s, net, store.cold_j)
        left_s = self._move(i, Phase.OFF, left_s, net, self.store.on_j)
        self.on = self.energy_j >= self.store.on_j
        return left_s

    def _while_cold(self, i: int, left_s: float, net_off: float) -> float:
        store = self.store
        net = float(self.segments.cold_w[i])
        slope = net - store.loss_w(self.energy_j)
        if slope <= 0 and self.energy_j == 0:
            return self._emit(i, Phase.EMPTY, left_s, 0.0)
        if slope <= 0:
            return self._move(i, Phase.COLD, left_s, net, 0.0)
        if self.energy_j >= store.cold_j:
            return self._emit(i, Phase.HELD, left_s, self.energy_j)
        return self._move(i, Phase.COLD, left_s, net, store.cold_j)

    def _move(self, i: int, phase: Phase, left_s: float, net: float, target_j: float) -> float:
        """To the target, or as far as the segment goes; the time that is left of it."""
        store = self.store
        time_s = store.time_to(self.energy_j, target_j, net)
        if time_s < left_s:
            return left_s - time_s + self._emit(i, phase, time_s, target_j, net)
        low, high = sorted((self.energy_j, target_j))
        after = min(max(store.after(self.energy_j, net, left_s), low), high)
        return self._emit(i, phase, left_s, after, net)

    def _emit(self, i: int, phase: Phase, time_s: float, end_j: float, net: float = 0.0) -> float:
        if time_s > 0:
            self.segment.append(i)
            self.phase.append(int(phase))
            self.start_j.append(self.energy_j)
            self.duration_s.append(time_s)
            self._fade(min(net, 0.0) * time_s)
        self.energy_j = end_j
        return 0.0

    def _fade(self, drawn_j: float) -> None:
        """Wears the battery; what is drawn counts below zero."""
        self.full_j = max(self.full_j + self.store.fade_ratio * drawn_j, self.least_full_j)

    def _repeat(self, i: int, left_s: float, net_on: float, net_off: float) -> float:
        """Counts whole cycles of off and on that fit into what is left of a segment."""
        store = self.store
        off_j, on_j = store.off_j, self.store.on_j
        off_s = store.time_to(off_j, on_j, net_off)
        on_s = store.time_to(on_j, off_j, net_on)
        cycle_s = off_s + on_s
        if not (isfinite(cycle_s) and cycle_s > 0):
            return left_s
        times = floor(left_s / cycle_s)
        if times < 1:
            return left_s
        for phase, start_j, time_s in ((Phase.OFF, off_j, off_s), (Phase.ON, on_j, on_s)):
            self.repeated[len(self.segment)] = times
            self.segment.append(i)
            self.phase.append(int(phase))
            self.start_j.append(start_j)
            self.duration_s.append(time_s)
        drawn_j = min(net_on, 0.0) * on_s + min(net_off, 0.0) * off_s
        self._fade(drawn_j * times)
        self.brown_outs += times
        return max(left_s - times * cycle_s, 0.0)
