"""Where the energy of one cycle goes, entry by entry."""

from __future__ import annotations

from typing import Any

import numpy as np

from budget.hardware.figure import Quantity, Real, total
from budget.records import record


@record
class Entry:
    """One step of the cycle, or one loss that never stops.

    Attributes:
        name: ``sleep``, ``wake``, ``sense``, ``pre-process``, ``infer``, ``decide``, ``transmit`` …
        detail: what does it: a sleep mode, a sensor, a radio.
        energy: in one period, on average over many. [J]
        time: in one period; None where it runs beside the others or the profile has no time. [s]
        always: whether it goes on whatever the rate, so that slowing down does not save it.
        shown: the same energy with an interval of its own, where the one that makes the sum
            right (its dependences are those at the middle) would mislead on the entry alone.
    """

    name: str
    detail: str
    energy: Quantity
    time: Quantity | None = None
    always: bool = False
    shown: Quantity | None = None

    @property
    def interval(self) -> Quantity:
        """The energy as it should be shown. [J]"""
        return self.energy if self.shown is None else self.shown


@record
class Ledger:
    """All entries of one period; their sum is the average power, exactly.

    Attributes:
        rate_hz: periods per second; may be an array, and the entries with it.
        entries: in the order in which they happen.
    """

    rate_hz: Real
    entries: tuple[Entry, ...]

    @property
    def energy(self) -> Quantity:
        """Of one period. [J]"""
        return total((entry.energy for entry in self.entries), "J")

    @property
    def average(self) -> Quantity:
        """Average power out of the storage. [W]"""
        return (self.energy * self.rate_hz).as_unit("W")

    def power(self, entry: Entry) -> Quantity:
        """An entry's part of the average power. [W]"""
        return (entry.energy * self.rate_hz).as_unit("W")

    def share_ratio(self, entry: Entry) -> Real:
        """An entry's part of the whole, from 0 to 1."""
        whole = np.asarray(self.energy.value)
        share = np.divide(entry.energy.value, np.where(whole > 0, whole, 1.0))
        return float(share) if share.ndim == 0 else share

    def entry(self, name: str) -> Entry | None:
        """The entry of a name; None if there is none."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        return {
            "rate_hz": np.asarray(self.rate_hz).tolist(),
            "energy": self.energy.to_json(),
            "average": self.average.to_json(),
            "entries": [
                {
                    "name": entry.name,
                    "detail": entry.detail,
                    "energy": entry.interval.to_json(),
                    "time": entry.time.to_json() if entry.time is not None else None,
                    "share_ratio": self.share_ratio(entry),
                }
                for entry in self.entries
            ],
        }
