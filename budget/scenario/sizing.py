"""Energy-neutral sizes: the smallest storage and harvester with which a device never browns out.

Kansal's conditions bound a source and a load by straight lines with slack,

    ρ₁·T − σ₂ ≤ ∫ source ≤ ρ₁·T + σ₁        ∫ load ≤ ρ₂·T + σ₃

over every stretch T; then ρ₂ ≤ ρ₁ − leakage and a storage of σ₂ + σ₃ suffice (A. Kansal et al.,
Power Management in Energy Harvesting Sensor Networks, ACM TECS 6(4), 2007). They suffice; the
simulation finds what is also necessary, losses included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from budget.errors import UsageError
from budget.hardware.energy_profiles import Storage
from budget.records import record
from budget.scenario.cycle import Cycle
from budget.scenario.deployment import (
    Supply,
    Thresholds,
    load_w,
    segments_of,
    store_for,
    supply_of,
)
from budget.scenario.simulation import Phase, run
from budget.scenario.store import Array
from budget.scenario.traces import Trace

_TOLERANCE = 1e-6
_LARGEST_RATIO = 1e9
_LARGEST_AREA_M2 = 1e6


@record
class KansalBounds:
    """A source between two straight lines.

    Attributes:
        mean_w: slope of the lines (ρ₁).
        above_j: how far any stretch may lie above its share (σ₁).
        below_j: how far below (σ₂): a storage of so much carries a constant load of `mean_w`.
    """

    mean_w: float
    above_j: float
    below_j: float


def kansal_bounds(duration_s: Array, power_w: Array) -> KansalBounds:
    """The tightest lines around a source; the trace is taken to repeat.

    Args:
        duration_s: of each power; [n].
        power_w: [n].
    """
    mean = float(np.sum(duration_s * power_w) / np.sum(duration_s))
    # two passes: the worst stretch may lie across the end
    steps = np.tile((power_w - mean) * duration_s, 2)
    course = np.concatenate([[0.0], np.cumsum(steps)])
    below = float(np.max(np.maximum.accumulate(course) - course))
    above = float(np.max(course - np.minimum.accumulate(course)))
    return KansalBounds(mean, above, below)


@record
class Sizes:
    """What carries a device through a trace for ever.

    Attributes:
        rate_hz: of cycles.
        area_m2: of the harvester.
        storage_ratio: storages of the kind named, in parallel; infinite where none suffices.
        storage_j: usable energy of so many.
    """

    rate_hz: float
    area_m2: float
    storage_ratio: float
    storage_j: float


@record
class Site:
    """A device's cycle, the kind of storage it has, and the trace it lives on."""

    cycle: Cycle
    storage: Storage
    trace: Trace
    thresholds: Thresholds = Thresholds()

    def supply(self, area_m2: float | None = None) -> Supply:
        """What the source gives in two passes of the trace."""
        cycle = self.cycle
        if area_m2 is not None:
            cycle = replace(cycle, chain=replace(cycle.chain, area_m2=area_m2))
        return supply_of(cycle, self.trace, 2 * self.trace.whole_s)

    def neutral(self, supply: Supply, rate_hz: float, size_ratio: float) -> bool:
        """Whether the device lives for ever: it never browns out, and its storage refills.

        From full, through the trace twice: if the storage is full again in the second pass, what
        follows repeats. A storage so large that its leakage keeps it from being full is refused.
        """
        store = store_for(self.cycle, self.storage, self.thresholds, size_ratio=size_ratio)
        store = replace(store, fade_ratio=0.0)
        pieces = run(store, segments_of(self.cycle, supply, rate_hz), store.full_j)
        if pieces.brown_outs:
            return False
        late = np.cumsum(pieces.duration_s) > self.trace.whole_s
        refilled = (pieces.phase == Phase.FULL) | (pieces.start_j >= store.full_j)
        return bool(np.any(refilled & late) or pieces.end_j >= store.full_j)


def smallest_storage(
    site: Site, rate_hz: float, *, area_m2: float | None = None, supply: Supply | None = None
) -> Sizes:
    """The least storage of the site's kind that keeps the device alive for ever.

    Args:
        site: device, kind of storage, trace.
        rate_hz: of cycles.
        area_m2: default: the chain's own.
        supply: the harvest with that area, if it is known already.
    """
    found = supply or site.supply(area_m2)
    ratio = least(lambda size: site.neutral(found, rate_hz, size), 1e-6, _LARGEST_RATIO)
    usable = math.inf
    if math.isfinite(ratio):
        usable = store_for(site.cycle, site.storage, site.thresholds, size_ratio=ratio).usable_j
    area = site.cycle.chain.area_m2 if area_m2 is None else area_m2
    return Sizes(rate_hz, float(area) if area is not None else math.nan, ratio, usable)


def smallest_area(site: Site, rate_hz: float, *, size_ratio: float = 1.0) -> float:
    """The least area that keeps the device alive for ever; infinite if none does. [m²]"""
    source = site.cycle.chain.source
    if source is None or source.power_density_w_per_m2 is None or site.trace.meaning == "power":
        raise UsageError(
            "the harvester's area is not a choice here",
            where="--size",
            hint="take a source whose power is given for each area, and a trace of light or level",
        )
    return least(
        lambda area_m2: site.neutral(site.supply(area_m2), rate_hz, size_ratio),
        1e-8,
        _LARGEST_AREA_M2,
    )


def pareto_front(
    site: Site, areas_m2: Sequence[float], rates_hz: Sequence[float]
) -> tuple[Sizes, ...]:
    """Area against storage against rate: what no other choice beats in all three.

    Args:
        site: device, kind of storage, trace.
        areas_m2: to try.
        rates_hz: to try.

    Returns:
        By rate, then by area; combinations that no storage saves are left out.
    """
    found = []
    for area_m2 in areas_m2:
        supply = site.supply(area_m2)
        for rate_hz in rates_hz:
            sizes = smallest_storage(site, rate_hz, area_m2=area_m2, supply=supply)
            if math.isfinite(sizes.storage_ratio):
                found.append(sizes)
    front = [sizes for sizes in found if not any(_beats(other, sizes) for other in found)]
    return tuple(sorted(front, key=lambda sizes: (sizes.rate_hz, sizes.area_m2)))


def _beats(one: Sizes, other: Sizes) -> bool:
    ours = (one.area_m2, one.storage_j * (1 - 2 * _TOLERANCE), -one.rate_hz)
    theirs = (other.area_m2, other.storage_j, -other.rate_hz)
    as_good = all(a <= b for a, b in zip(ours, theirs))
    return as_good and (one.area_m2 < other.area_m2 or one.rate_hz > other.rate_hz or
                        one.storage_j < other.storage_j * (1 - 2 * _TOLERANCE))  # fmt: skip


def bounds_of(supply: Supply, whole_s: float) -> KansalBounds:
    """Kansal's lines around what reaches the storage, in the first pass of a supply.

    Args:
        supply: of `Site.supply`.
        whole_s: length of the trace.
    """
    first = np.cumsum(supply.duration_s) <= whole_s * (1 + 1e-9)
    return kansal_bounds(supply.duration_s[first], supply.charge_w[first])


def load_of(site: Site, rate_hz: float) -> float:
    """Average power out of the storage, the converter's own included. [W]"""
    return load_w(site.cycle, rate_hz) + float(site.cycle.chain.quiescent_w.value)


def least(enough: Callable[[float], bool], low: float, high: float) -> float:
    """The least argument that is enough, to a part in a million; infinite if none is.

    Doubles from `low`, then bisects: so a choice that is too large to be enough again (a storage
    that leaks more than it gets) does not hide the ones that are.
    """
    if enough(low):
        return low
    tried = low
    while not enough(tried * 2):
        tried *= 2
        if tried > high:
            return math.inf
    small, large = tried, tried * 2
    while large / small > 1 + _TOLERANCE:
        middle = math.sqrt(small * large)
        small, large = (small, middle) if enough(middle) else (middle, large)
    return large
