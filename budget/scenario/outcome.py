"""What a simulation comes to: the balance of energy, the work done, the gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget import units
from budget.scenario.simulation import DAY_S, Phase, Pieces, Segments, run
from budget.scenario.source import YEAR_S
from budget.scenario.store import AGED_RATIO, Array, Store


@dataclass(frozen=True)
class Balance:
    """Where the energy went; `charged_j` = the sum of all the others.

    Attributes:
        charged_j: into the storage and what hangs on it.
        used_j: by the load.
        standing_j: by the converter itself.
        leaked_j: in the storage: leakage or self-discharge.
        refused_j: what a full storage could not take.
        stored_j: at the end more than at the beginning.
    """

    charged_j: float
    used_j: float
    standing_j: float
    leaked_j: float
    refused_j: float
    stored_j: float

    @property
    def error_j(self) -> float:
        """What is missing: rounding alone."""
        spent = self.used_j + self.standing_j + self.leaked_j + self.refused_j
        return self.charged_j - spent - self.stored_j


@dataclass(frozen=True)
class Outcome:
    """One simulated stretch of time.

    Attributes:
        store: what was simulated.
        duration_s: whole length.
        balance: of energy.
        done: inferences made, day by day (the last day may be a part of one).
        missed: inferences asked for while the load was off, likewise.
        brown_outs: how often the load stopped.
        longest_gap_s: longest time in one piece with the load off.
        first_s: from the beginning until the load runs; infinite if it never does.
        lowest_j: least stored energy once the load has run.
        deepest_ratio: depth of discharge there, of the usable energy.
        drawn_j: taken out of the storage net of what came in, for ageing.
        capacity_ratio: what is left of the capacity at the end.
        end_j: stored energy at the end.
        time_s: times at which `energy_j` is given: every segment's end and every crossing.
        energy_j: stored energy then; it moves one way only in between.
        on: whether the load runs from there on.
    """

    store: Store
    duration_s: float
    balance: Balance
    done: NDArray[Any]
    missed: NDArray[Any]
    brown_outs: int
    longest_gap_s: float
    first_s: float
    lowest_j: float
    deepest_ratio: float
    drawn_j: float
    capacity_ratio: float
    end_j: float
    time_s: Array
    energy_j: Array
    on: NDArray[np.bool_]

    @property
    def on_ratio(self) -> float:
        """Share of the inferences asked for that were made; 1 if none were asked for."""
        asked = float(np.sum(self.done) + np.sum(self.missed))
        return float(np.sum(self.done)) / asked if asked else 1.0

    @property
    def cycles(self) -> float:
        """Full charge cycles."""
        return self.drawn_j / self.store.full_j

    @property
    def battery_life_s(self) -> float:
        """Until a battery has aged to 80 %, were it used on as in this stretch; else infinite."""
        worn = self.store.fade_ratio * self.drawn_j / (self.store.full_j * (1 - AGED_RATIO))
        return self.duration_s / worn if worn > 0 else float("inf")

    def without_course(self) -> Outcome:
        """The same without energies over time, which are most of its size."""
        none = np.empty(0)
        return replace(self, time_s=none, energy_j=none, on=np.empty(0, np.bool_))

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints; what never comes is null."""
        return {
            "duration_s": self.duration_s,
            "inferences_done": float(np.sum(self.done)),
            "inferences_missed": float(np.sum(self.missed)),
            "done_ratio": self.on_ratio,
            "done_per_day": self.done.tolist(),
            "missed_per_day": self.missed.tolist(),
            "brown_outs": self.brown_outs,
            "longest_gap_s": self.longest_gap_s,
            "first_inference_s": units.finite(self.first_s),
            "deepest_discharge_ratio": self.deepest_ratio,
            "charge_cycles": self.cycles,
            "capacity_left_ratio": self.capacity_ratio,
            "battery_life_s": units.finite(self.battery_life_s),
            "energy": {
                "charged_j": self.balance.charged_j,
                "used_j": self.balance.used_j,
                "standing_j": self.balance.standing_j,
                "leaked_j": self.balance.leaked_j,
                "refused_j": self.balance.refused_j,
                "stored_j": self.balance.stored_j,
            },
        }


def simulate_store(
    store: Store, segments: Segments, start_j: float, *, on: bool = False
) -> Outcome:
    """Simulates a storage and its load; see `run` for arguments and errors."""
    whole_s = float(np.sum(segments.duration_s))
    midnights = np.arange(1, int(np.ceil(whole_s / DAY_S))) * DAY_S
    by_day = segments.cut(midnights).merged()
    return outcome_of(store, by_day, run(store, by_day, start_j, on=on), start_j)


def outcome_of(store: Store, segments: Segments, pieces: Pieces, start_j: float) -> Outcome:
    """Sums up the pieces of a run of segments that end at midnight, at the latest."""
    phase, seconds = pieces.phase, pieces.duration_s * pieces.repeats
    running = (phase == Phase.ON) | (phase == Phase.FULL)
    balance = _balance(store, segments, pieces, start_j)
    ends = np.cumsum(segments.duration_s)
    day = np.floor((ends - segments.duration_s / 2) / DAY_S).astype(np.intp)
    asked = segments.rate_hz[pieces.segment] * seconds
    days = int(day[-1]) + 1
    of_day = day[pieces.segment]
    done = np.bincount(of_day, weights=asked * running, minlength=days)
    missed = np.bincount(of_day, weights=asked * ~running, minlength=days)
    # every piece with the load on ends a gap; a repeated gap is as long as one of them
    gaps = np.bincount(np.cumsum(running), weights=pieces.duration_s * ~running)
    starts = np.concatenate([[0.0], np.cumsum(seconds)])
    begun = np.flatnonzero(running)
    energies = np.append(pieces.start_j, pieces.end_j)
    lowest = float(np.min(energies[begun[0] :])) if len(begun) else start_j
    net = _net_w(segments, pieces)
    drawn = float(-np.sum(np.minimum(net, 0.0) * seconds))
    return Outcome(
        store,
        float(ends[-1]),
        balance,
        done,
        missed,
        pieces.brown_outs,
        float(np.max(gaps)),
        float(starts[begun[0]]) if len(begun) else float("inf"),
        lowest,
        min((store.full_j - lowest) / store.usable_j, 1.0),
        drawn,
        pieces.full_j / store.full_j,
        pieces.end_j,
        starts,
        energies,
        np.append(running, running[-1]),
    )


def run_out_s(store: Store, load_w: float, *, longest_s: float = 100 * YEAR_S) -> float:
    """How long a full storage carries a constant load without a source. [s]

    Args:
        store: begins full.
        load_w: out of the storage.
        longest_s: beyond it the answer is infinite.
    """
    segments = Segments.constant(longest_s, 0.0, load_w)
    pieces = run(store, segments, store.full_j, on=True)
    off = np.flatnonzero(pieces.phase != Phase.ON)
    return float(np.sum(pieces.duration_s[: off[0]])) if len(off) else float("inf")


def _net_w(segments: Segments, pieces: Pieces) -> Array:
    """Power into the storage before its own loss; zero where it is held at a limit."""
    i, phase = pieces.segment, pieces.phase
    net = segments.charge_w[i] - segments.standing_w
    net = np.where(phase == Phase.ON, net - segments.load_w[i], net)
    net = np.where(phase == Phase.COLD, segments.cold_w[i], net)
    still = (phase == Phase.FULL) | (phase == Phase.EMPTY) | (phase == Phase.HELD)
    return np.asarray(np.where(still, 0.0, net))


def _balance(store: Store, segments: Segments, pieces: Pieces, start_j: float) -> Balance:
    i, phase = pieces.segment, pieces.phase
    seconds = pieces.duration_s * pieces.repeats
    full, empty, held = (phase == p for p in (Phase.FULL, Phase.EMPTY, Phase.HELD))
    running = (phase == Phase.ON) | full
    k, c = store.loss_per_s, store.loss_w_per_root_j
    still_loss = k * pieces.start_j + c * np.sqrt(pieces.start_j)
    moving = ~(full | empty | held)
    leaked = still_loss * seconds
    leaked[moving] = (
        store.lost_j(
            pieces.start_j[moving],
            np.append(pieces.start_j[1:], pieces.end_j)[moving],
            _net_w(segments, pieces)[moving],
            pieces.duration_s[moving],
        )
        * pieces.repeats[moving]
    )
    offered = segments.charge_w[i]
    # an empty converter runs on whatever comes; a held one takes what the storage loses
    charge = np.where(phase == Phase.COLD, segments.cold_w[i], offered)
    charge = np.where(held, still_loss, charge)
    standing = np.where((phase == Phase.COLD) | held, 0.0, segments.standing_w)
    standing = np.where(empty, charge, standing)
    load = np.where(running, segments.load_w[i], 0.0)
    refused = np.where(full, charge - standing - load - still_loss, 0.0)
    return Balance(
        charged_j=float(np.sum(charge * seconds)),
        used_j=float(np.sum(load * seconds)),
        standing_j=float(np.sum(standing * seconds)),
        leaked_j=float(np.sum(leaked)),
        refused_j=float(np.sum(refused * seconds)),
        stored_j=pieces.end_j - start_j,
    )
