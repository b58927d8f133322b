"""Average power of a device that sleeps, wakes at a steady rate, infers and sleeps again."""

from __future__ import annotations

from budget.hardware.figure import Quantity, Real
from budget.records import record
from budget.scenario.cycle import Cycle
from budget.scenario.ledger import Ledger


@record
class AveragePower:
    """A cycle at a rate.

    Attributes:
        rate_hz: cycles, and so inferences, per second; may be an array.
        cycle: its steps, priced.
        ledger: the same, spread over a period.
    """

    rate_hz: Real
    cycle: Cycle
    ledger: Ledger

    @property
    def average(self) -> Quantity:
        """Average power out of the storage: the ledger's sum. [W]"""
        return self.ledger.average

    @property
    def standing(self) -> Quantity:
        """Power without any inference: asleep, and what waits or leaks beside. [W]"""
        return self.cycle.standing_w

    @property
    def per_inference(self) -> Quantity:
        """Energy that one more cycle takes, above sleeping through it. [J]"""
        return self.cycle.cycle_j

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return self.cycle.notes


def average_power(cycle: Cycle, rate_hz: Real) -> AveragePower:
    """Average power at a rate of cycles."""
    return AveragePower(rate_hz, cycle, cycle.ledger(rate_hz))
