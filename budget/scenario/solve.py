"""What an unknown must be for a scenario to hold: closed where it can be, bracketed elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from budget.hardware.energy_profiles import Storage
from budget.hardware.figure import Quantity, Real, exact
from budget.scenario.cycle import Cycle
from budget.scenario.source import Chain, headroom, smallest, storage_loss_w

_STEPS = 200
_LARGEST_AREA_M2 = 1e12


def area_for(chain: Chain, need_w: Quantity) -> Quantity:
    """Area of the harvester from which it charges so much, infinite if none does. [m²]

    A converter's efficiency rises with its input, so that power grows faster than area: bracketed.
    The power needed is taken as it stands: leakage and quiescent current do not depend on the area.

    Args:
        chain: its source gives a power for each area.
        need_w: average power into the storage.
    """
    assert chain.source is not None and chain.source.power_density_w_per_m2 is not None
    density = chain.source.power_density_w_per_m2.quantity
    need = float(need_w.value)

    def charged(area_m2: float) -> float:
        return float(replace(chain, area_m2=area_m2).charging_w.value)

    area_m2 = bracketed(charged, need, 1e-12, _LARGEST_AREA_M2)
    if not math.isfinite(area_m2):
        return Quantity(math.inf, "m2")
    found = replace(chain, area_m2=area_m2)
    density_w = density * found.charging_ratio * found.present_ratio
    area = (need_w / density_w).as_unit("m2")
    return Quantity(area_m2, "m2", area.terms, area.figures)


def without_inference(cycle: Cycle) -> Cycle:
    """The cycle with an inference that takes neither time nor energy."""
    infer = next(step for step in cycle.steps if step.name == "infer")
    busy = cycle.busy if infer.time is None else (cycle.busy - infer.time).as_unit("s")
    return replace(cycle, steps=tuple(s for s in cycle.steps if s is not infer), busy=busy)


def inference_energy_for(cycle: Cycle, rate_hz: Real, have_w: Quantity | None = None) -> Quantity:
    """Energy that one inference may take, above sleeping through it, at the supply pin. [J]

    Args:
        cycle: everything else as it stands.
        rate_hz: inferences per second.
        have_w: into the storage; default: what the chain charges on average.
    """
    have = cycle.chain.charging_w if have_w is None else have_w
    left = headroom(have, without_inference(cycle).average_w(rate_hz))
    return (left / rate_hz * cycle.chain.output_ratio).as_unit("J")


def energy_per_mac_for(
    cycle: Cycle, rate_hz: Real, macs: float, have_w: Quantity | None = None
) -> Quantity:
    """Energy that one multiply-accumulate may take, of an engine that counts nothing else. [J/MAC]

    Args:
        cycle: its inference is left out.
        rate_hz: inferences per second.
        macs: of one inference.
        have_w: see `inference_energy_for`.
    """
    return (inference_energy_for(cycle, rate_hz, have_w) / macs).as_unit("J/MAC")


def macs_for(
    cycle: Cycle, rate_hz: Real, macs: float, deadline_s: float, *, energy: bool
) -> Quantity:
    """Multiply-accumulates that a network of the same mix may have. [MAC]

    Args:
        cycle: with a network of `macs`.
        rate_hz: inferences per second.
        macs: of the network that was priced.
        deadline_s: from the data to the decision.
        energy: whether the source limits it, too.
    """
    infer = next(step for step in cycle.steps if step.name == "infer")
    limits = []
    if energy:
        own = infer.energy if infer.time is None else infer.energy - cycle.sleep * infer.time
        allowed = inference_energy_for(cycle, rate_hz)
        limits.append((allowed / own * macs).as_unit("MAC"))
    if infer.time is not None and cycle.latency is not None:
        beside = (cycle.latency - infer.time).as_unit("s")
        left = headroom(exact(deadline_s, "s"), beside)
        limits.append((left / infer.time * macs).as_unit("MAC"))
    return smallest(limits) if limits else exact(math.inf, "MAC")


def clock_for(cycle: Cycle, clock_hz: float, deadline_s: float) -> Quantity | None:
    """Lowest core clock that meets a deadline; None where the device has no clock. [Hz]

    As if cycles did not change with the clock: latency · clock is constant.
    """
    if cycle.latency is None:
        return None
    return (cycle.latency * clock_hz / deadline_s).as_unit("Hz")


def storage_for(cycle: Cycle, rate_hz: Real, duration_s: Quantity) -> Quantity:
    """Energy of a storage that carries the device alone for so long, infinite if none does. [J]

    A larger storage of the same make leaks more: E = (load + E · leak) · duration + one cycle.
    """
    load, leak_per_s = _leaking(cycle, rate_hz)
    share = leak_per_s * duration_s
    if float(share.value) >= 1:
        return exact(math.inf, "J")
    return ((load * duration_s + cycle.cycle_j) / (1.0 - share)).as_unit("J")


def area_and_storage_for(cycle: Cycle, rate_hz: Real, gap_s: Quantity) -> tuple[Quantity, Quantity]:
    """The smallest area and storage that together carry the device through every gap.

    The storage must hold a gap's load, its own leakage included; the area must replace on average
    what both take, so it grows with the storage.

    Returns:
        Area [m²] and energy [J]; infinite where there are none.
    """
    storage = storage_for(cycle, rate_hz, gap_s)
    load, leak_per_s = _leaking(cycle, rate_hz)
    if not math.isfinite(float(storage.value)):
        return exact(math.inf, "m2"), storage
    need = (load + storage * leak_per_s).as_unit("W")
    return area_for(replace(cycle.chain, storage=None), need), storage


def _leaking(cycle: Cycle, rate_hz: Real) -> tuple[Quantity, Quantity]:
    """Load without leakage, and the share of its energy that the storage loses a second."""
    storage: Storage | None = cycle.chain.storage
    load = cycle.average_w(rate_hz) - cycle.chain.leakage_w
    if storage is None:
        return load.as_unit("W"), exact(0.0, "1/s")
    return load.as_unit("W"), (storage_loss_w(storage) / storage.energy_j).as_unit("1/s")


def bracketed(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Least argument at which a rising function reaches a target, to a part in 10¹².

    Args:
        rising: never falls from `low` to `high`.
        target: the value wanted.
        low: a positive argument at which it may be too small.
        high: the largest argument tried.

    Returns:
        Infinity where even `high` does not reach it; `low` where that is enough.
    """
    if rising(low) >= target:
        return low
    if rising(high) < target:
        return math.inf
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        if not low < middle < high or high / low < 1 + 1e-13:
            break
        low, high = (low, middle) if rising(middle) >= target else (middle, high)
    return high
