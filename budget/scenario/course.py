"""A simulation's course as points for a picture: between two of them it moves one way only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from budget.scenario.outcome import Outcome
from budget.scenario.simulation import DAY_S
from budget.scenario.store import Array


def deepest_days(outcome: Outcome, days: int = 1) -> tuple[float, float]:
    """The days around the lowest stored energy, as times from midnight to midnight. [s]"""
    lowest_s = float(outcome.time_s[int(np.argmin(outcome.energy_j))])
    last = max(int(np.ceil(outcome.duration_s / DAY_S)) - days, 0)
    first = min(int(lowest_s // DAY_S), last)
    return first * DAY_S, min((first + days) * DAY_S, outcome.duration_s)


def between(outcome: Outcome, begin_s: float, end_s: float) -> Outcome:
    """The same with its course cut to a stretch of time, the ends included."""
    inside = (outcome.time_s > begin_s) & (outcome.time_s < end_s)
    time_s = np.concatenate([[begin_s], outcome.time_s[inside], [end_s]])
    energy = np.interp(time_s, outcome.time_s, outcome.energy_j)
    at = np.clip(np.searchsorted(outcome.time_s, time_s, side="right") - 1, 0, None)
    return replace(outcome, time_s=time_s, energy_j=energy, on=outcome.on[at])


def level(outcome: Outcome) -> tuple[Array, str, float, float]:
    """What a reader wants to see of the store.

    Returns:
        A capacitor's voltage or a battery's share of its new capacity, its label, and the same
        at turn-on and at brown-out.
    """
    store = outcome.store
    volts = store.voltage_v(outcome.energy_j)
    at = store.voltage_v(np.array([store.on_j, store.off_j]))
    if volts is not None and at is not None:
        return volts, "V", float(at[0]), float(at[1])
    share = 100 / store.full_j
    return outcome.energy_j * share, "% of capacity", store.on_j * share, store.off_j * share
