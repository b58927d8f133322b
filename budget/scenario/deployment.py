"""A device's cycle, its source and its storage, put together for the simulation.

The powers are those of the same chain and cycle that the averages come from, at the middle of
their figures, with an array of areas in place of one: a trace of light is a trace of areas.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from budget.errors import UsageError
from budget.hardware.energy_profiles import Storage
from budget.records import record
from budget.scenario.cycle import Cycle
from budget.scenario.outcome import Outcome, simulate_store
from budget.scenario.simulation import Segments
from budget.scenario.source import cold_start
from budget.scenario.store import Array, Store, store_of
from budget.scenario.traces import Trace, harvested_chain


@record
class Thresholds:
    """Of a capacitor: voltages at which the load starts and stops; None: see `store_of`."""

    turn_on_v: float | None = None
    brown_out_v: float | None = None
    leakage: Literal["resistance", "current"] = "resistance"


@record
class Supply:
    """What a trace makes of a source.

    Attributes:
        duration_s: of each value; [n].
        harvested_w: at the harvester's terminals; [n].
        charge_w: into the storage once the converter runs; [n].
        cold_w: into it during the cold start; [n].
        standing_w: drawn by the converter itself while it runs.
    """

    duration_s: Array
    harvested_w: Array
    charge_w: Array
    cold_w: Array
    standing_w: float

    @property
    def harvested_j(self) -> float:
        """Energy at the harvester's terminals."""
        return float(np.sum(self.harvested_w * self.duration_s))


def supply_of(cycle: Cycle, trace: Trace | None, whole_s: float) -> Supply:
    """What the chain makes of a trace; without a source nothing ever comes.

    Args:
        cycle: its chain, with one area.
        trace: repeated for as long as it takes; None where there is no source.
        whole_s: length.

    Raises:
        UsageError: see `harvested_chain`; or a source without a trace.
    """
    if cycle.chain.source is None or trace is None:
        none = np.zeros(1)
        standing = float(cycle.chain.quiescent_w.value)
        return Supply(np.array([whole_s]), none, none, none, standing)
    long = trace.lasting(whole_s)
    # powers of a day repeat: each is priced once
    values, where = np.unique(long.value, return_inverse=True)
    chain = harvested_chain(cycle.chain, replace(long, value=values))
    harvested = np.asarray(chain.harvested_w.value, np.float64)
    charge = np.where(values > 0, np.asarray(chain.charging_now_w.value, np.float64), 0.0)
    converter = chain.converter
    cold = charge
    if converter is not None and converter.cold_start_efficiency_ratio is not None:
        starts = np.ones(len(values), np.bool_)
        for start in cold_start(chain):
            starts &= np.asarray(start.have.value) >= np.asarray(start.need.value)
        cold = np.where(starts, harvested * converter.cold_start_efficiency_ratio.value, 0.0)
    return Supply(
        long.duration_s,
        harvested[where],
        charge[where],
        cold[where],
        float(chain.quiescent_w.value),
    )


def store_for(
    cycle: Cycle, storage: Storage, thresholds: Thresholds, *, size_ratio: float = 1.0
) -> Store:
    """The storage of a chain, with the thresholds of its converter and load."""
    converter = cycle.chain.converter
    end_v = None
    if converter is not None and converter.cold_start_efficiency_ratio is not None:
        end_v = converter.cold_start_end_v.value if converter.cold_start_end_v else None
    return store_of(
        storage,
        size_ratio=size_ratio,
        cycle_j=float(cycle.cycle_j.value),
        turn_on_v=thresholds.turn_on_v,
        brown_out_v=thresholds.brown_out_v,
        cold_start_end_v=end_v,
        leakage=thresholds.leakage,
    )


def load_w(cycle: Cycle, rate_hz: float) -> float:
    """Average power out of the storage while the device lives, without the losses of the chain."""
    whole = cycle.average_w(rate_hz) - cycle.chain.standing_w
    return float(whole.value)


def segments_of(cycle: Cycle, supply: Supply, rate_hz: float) -> Segments:
    """Powers over time for the simulation, at a rate of cycles."""
    ones = np.ones_like(supply.duration_s)
    return Segments(
        supply.duration_s,
        supply.charge_w,
        supply.cold_w,
        ones * load_w(cycle, rate_hz),
        ones * rate_hz,
        supply.standing_w,
    )


def live(
    cycle: Cycle,
    trace: Trace | None,
    *,
    rate_hz: float,
    whole_s: float,
    thresholds: Thresholds | None = None,
    start_ratio: float = 1.0,
) -> tuple[Outcome, Supply]:
    """Simulates a device's life on its source and storage.

    Args:
        cycle: its chain names the storage.
        trace: of the source.
        rate_hz: cycles per second asked for.
        whole_s: how long.
        thresholds: of the load; None: see `store_of`.
        start_ratio: share of a full storage at the beginning.

    Raises:
        UsageError: no storage, a beginning out of range, or see `supply_of`.
    """
    storage = cycle.chain.storage
    if storage is None:
        raise UsageError(
            "time is simulated with a storage",
            where="--storage",
            hint="add --storage supercap-7.5f, lipo-80mah … ('budget storage' lists them)",
        )
    if not 0 <= start_ratio <= 1:
        raise UsageError(
            f"a storage cannot begin {start_ratio:.0%} full", where="--start", hint="0% to 100%"
        )
    supply = supply_of(cycle, trace, whole_s)
    store = store_for(cycle, storage, thresholds or Thresholds())
    segments = segments_of(cycle, supply, rate_hz)
    return simulate_store(store, segments, start_ratio * store.full_j), supply
