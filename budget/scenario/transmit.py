"""Compute or transmit: sending raw data by radio against inferring here and sending the result.

    raw   = message(raw bytes)                       every cycle
    local = computing + message(result) · messages   every cycle

Sensing and sleeping cost the same either way and are left out.
"""

from __future__ import annotations

import math
from typing import Any

from budget.hardware.energy_profiles import Radio
from budget.hardware.figure import Quantity
from budget.records import record
from budget.scenario.cycle import Cycle
from budget.scenario.source import headroom

_COMPUTING = frozenset({"pre-process", "infer", "second", "decide"})


@record
class Choice:
    """One radio, both ways.

    Attributes:
        radio: its profile.
        raw_bytes: of the data that one cycle senses.
        raw: energy of sending them. [J]
        raw_time: of sending them; None where the profile does not say. [s]
        result: energy of one message with the result. [J]
        local: energy of computing, and of sending the result as often as asked. [J]
        sends_in_time: whether the raw data of a cycle can be sent within it; None if unknown.
        break_even_ratio: messages for each inference at which both cost the same; above it,
            sending raw data is cheaper; zero where it always is. [ratio]
        break_even_bytes: raw data of this size cost as much to send as to compute; less than
            that is better sent. [bytes]
    """

    radio: Radio
    raw_bytes: int
    raw: Quantity
    raw_time: Quantity | None
    result: Quantity
    local: Quantity
    sends_in_time: bool | None
    break_even_ratio: Quantity
    break_even_bytes: int

    @property
    def better(self) -> str:
        """``infer``, ``send``, or ``close`` where the 90 % intervals overlap."""
        if self.sends_in_time is False or self.local.high <= self.raw.low:
            return "infer"
        return "send" if self.local.low > self.raw.high else "close"

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        transmit = self.radio.transmit_w
        return {
            "radio": self.radio.id,
            "transmit_power": transmit.quantity.to_json() if transmit else None,
            "raw_bytes": self.raw_bytes,
            "raw": self.raw.to_json(),
            "raw_time": self.raw_time.to_json() if self.raw_time else None,
            "result": self.result.to_json(),
            "local": self.local.to_json(),
            "sends_in_time": self.sends_in_time,
            "break_even_ratio": self.break_even_ratio.to_json(),
            "break_even_bytes": self.break_even_bytes,
            "better": self.better,
        }


def compute_or_transmit(
    cycle: Cycle,
    radio: Radio,
    *,
    raw_bytes: int,
    payload_bytes: int,
    message_ratio: float,
    rate_hz: float,
) -> Choice:
    """Prices both ways for one radio.

    Args:
        cycle: its computing steps are what inferring here costs.
        radio: for the raw data and for the result alike.
        raw_bytes: data of one cycle, as the network's front end reads them.
        payload_bytes: of a message with the result.
        message_ratio: messages for each inference.
        rate_hz: cycles per second.
    """
    computing = computing_j(cycle)
    raw, result = radio.message_j(raw_bytes), radio.message_j(payload_bytes)
    local = (computing + result * message_ratio).as_unit("J")
    seconds = radio.message_s(raw_bytes)
    in_time = None if seconds is None else bool(float(seconds.value) * rate_hz <= 1.0)
    break_even = (headroom(raw, computing) / result).as_unit("ratio")
    size = _bytes_for(radio, float(local.value))
    return Choice(radio, raw_bytes, raw, seconds, result, local, in_time, break_even, size)


def computing_j(cycle: Cycle) -> Quantity:
    """Energy of everything that inferring here adds: front end, networks, decision. [J]"""
    steps = [step.energy for step in cycle.steps if step.name in _COMPUTING]
    result = steps[0]
    for step in steps[1:]:
        result = result + step
    return result.as_unit("J")


def _bytes_for(radio: Radio, energy_j: float) -> int:
    """Most bytes whose sending costs no more than so much."""
    low, high = 0, 1
    if float(radio.message_j(0).value) > energy_j:
        return 0
    while float(radio.message_j(high).value) <= energy_j and high < 1 << 60:
        low, high = high, high * 2
    while high - low > 1:
        middle = math.floor((low + high) / 2)
        if float(radio.message_j(middle).value) <= energy_j:
            low = middle
        else:
            high = middle
    return low
