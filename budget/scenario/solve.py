"""What an unknown must be for a scenario to hold: closed where it can be, bracketed elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from budget.hardware.figure import Quantity
from budget.scenario.source import Chain

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
