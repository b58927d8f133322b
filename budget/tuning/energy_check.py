"""Published energies against power × predicted latency.

The power is that of the other submissions with the same part at the same supply voltage, the row's
own submission left out; where there is no other, the device profile's. The latency is that of a fit
without the row's architecture on its (runtime, core). Both ends are the microcontroller's supply
rail (boundary ``core``), so no board or datapath figure enters.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from budget.hardware import library
from budget.tuning.cross_validation import Z90, HeldOut
from budget.tuning.measurements import Measurement

_SAME_SUPPLY_V = 0.2


@dataclass(frozen=True)
class HeldOutEnergy:
    """One published energy and what is said of it unseen.

    Attributes:
        row: the measurement.
        energy_j: predicted.
        sigma: of its logarithm.
    """

    row: Measurement
    energy_j: float
    sigma: float

    @property
    def log_error(self) -> float:
        """Logarithm of measured over predicted."""
        return math.log((self.row.energy_j or math.nan) / self.energy_j)

    @property
    def error_ratio(self) -> float:
        """How far the prediction is off, relative to the measurement."""
        return abs(self.energy_j / (self.row.energy_j or math.nan) - 1.0)

    @property
    def is_inside(self) -> bool:
        """Whether the measurement lies in the 90 % interval."""
        return abs(self.log_error) <= Z90 * self.sigma


def left_out_energies(rows: Sequence[Measurement], held: Sequence[HeldOut]) -> list[HeldOutEnergy]:
    """Each published energy that a left-out latency is known for.

    Args:
        rows: distinct energy rows.
        held: latencies predicted without the row's architecture.
    """
    latency = {(h.row.runtime, h.row.core, h.row.board, h.row.network): h for h in held}
    found = []
    for row in rows:
        item = latency.get((row.runtime, row.core, row.board, row.network))
        if item is None or row.energy_j is None:
            continue
        power_w, power_sigma = power_of_others(row, rows)
        sigma = math.hypot(item.sigma * item.widening, power_sigma)
        found.append(HeldOutEnergy(row, power_w * item.cycles / row.clock_hz, sigma))
    return found


def power_of_others(row: Measurement, rows: Sequence[Measurement]) -> tuple[float, float]:
    """Power of a part while networks run, in watts, and the sigma of its logarithm."""
    device = library.device(row.device)
    profile = device.power_w(min(row.clock_hz, device.max_hz or row.clock_hz), row.supply_v)
    low, high = float(profile.low), float(profile.high)
    sigma = math.log(high / low) / (2 * Z90)
    powers = [
        (other.energy_j or 0.0) / other.latency_s * (row.clock_hz / other.clock_hz)
        for other in rows
        if other.device == row.device
        and other.source != row.source
        and other.latency_s
        and abs((other.supply_v or 0.0) - (row.supply_v or 0.0)) <= _SAME_SUPPLY_V
    ]
    if len(powers) < 2:
        return float(profile.value), sigma
    return statistics.median(powers), sigma
