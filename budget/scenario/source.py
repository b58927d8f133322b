"""From the surroundings to the device: harvester, converter, storage, and what each loses.

    charging  = harvested · present · tracking · efficiency(harvested)      into the storage
    standing  = storage voltage · (quiescent + leakage)                     out of it, always
    load      = device / output efficiency                                  out of it

Every function works on arrays: a scalar is an array of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from budget.errors import UsageError
from budget.hardware.energy_profiles import Converter, Harvester, Storage
from budget.hardware.figure import Figure, Quantity, Real, exact, total
from budget.records import record

YEAR_S = 31557600.0
_NEVER = float("inf")
_LEAST_RATIO = 1e-9


@record
class Chain:
    """Everything between the surroundings and the device's supply pin.

    Attributes:
        source: the harvester; None: the device lives on its storage.
        area_m2: of the harvester; may be an array.
        converter: None: a wire without losses.
        storage: None: an ideal one, large enough and without leakage.
        present_ratio: share of the time in which the source gives its power; may be an array.
        gap_s: longest time without it; None: what the harvester's profile expects.
        rail_v: voltage at which the converter's own current is drawn where no storage says.
    """

    source: Harvester | None = None
    area_m2: Real | None = None
    converter: Converter | None = None
    storage: Storage | None = None
    present_ratio: Real = 1.0
    gap_s: Real | None = None
    rail_v: float = 3.0

    def __post_init__(self) -> None:
        storage = self.storage
        if self.source is not None and storage is not None and storage.category == "primary":
            raise UsageError(
                f"a source cannot charge {storage.id}: it is a primary cell",
                where="--storage",
                hint="take a rechargeable cell or a capacitor, or leave the source out",
            )
        if self.converter is not None and self.source is None:
            raise UsageError(
                "a converter needs a source to convert from",
                where="--converter",
                hint="add --source ('budget sources' lists them)",
            )

    @property
    def harvested_w(self) -> Quantity:
        """Power at the harvester's terminals while the source is there; zero without one. [W]"""
        if self.source is None:
            return exact(0.0, "W")
        return self.source.power(self.area_m2)

    @property
    def charging_ratio(self) -> Quantity:
        """Share of the harvested power that reaches the storage; zero where it cannot."""
        if self.converter is None or self.source is None:
            return exact(1.0, "ratio")
        if self.obstacle:
            return exact(0.0, "ratio")
        harvested = self.harvested_w
        volts = self.source.voltage_v.value if self.source.voltage_v else None
        ratio = self.converter.efficiency(harvested.value, volts)
        if self.converter.tracking_ratio is not None:
            ratio = ratio * self.converter.tracking_ratio.quantity
        return ratio.as_unit("ratio")

    @property
    def charging_now_w(self) -> Quantity:
        """Power into the storage while the source is there. [W]"""
        return (self.harvested_w * self.charging_ratio).as_unit("W")

    @property
    def charging_w(self) -> Quantity:
        """Power into the storage, averaged over times with and without the source. [W]"""
        return (self.charging_now_w * self.present_ratio).as_unit("W")

    @property
    def obstacle(self) -> str:
        """Why the converter cannot use this source at all; empty where it can, or may."""
        source, converter = self.source, self.converter
        if source is None or converter is None or source.voltage_v is None:
            return ""
        volts = source.voltage_v.value
        if converter.input_min_v is not None and volts < converter.input_min_v.low:
            return f"{source.id} gives {volts:g} V, {converter.id} needs more"
        if converter.input_max_v is not None and volts > converter.input_max_v.high:
            return f"{source.id} gives {volts:g} V, {converter.id} bears less"
        return ""

    @property
    def storage_v(self) -> float:
        """Voltage at which losses are counted: the storage's nominal one. [V]"""
        return self.storage.voltage_v.value if self.storage else self.rail_v

    @property
    def quiescent_w(self) -> Quantity:
        """What the converter itself draws from the storage. [W]"""
        if self.converter is None or self.converter.quiescent_a is None:
            return exact(0.0, "W")
        return (self.converter.quiescent_a.quantity * self.storage_v).as_unit("W")

    @property
    def leakage_w(self) -> Quantity:
        """What the storage loses by itself: leakage, or a battery's self-discharge. [W]"""
        return exact(0.0, "W") if self.storage is None else storage_loss_w(self.storage)

    @property
    def standing_w(self) -> Quantity:
        """Converter and storage together. [W]"""
        return total((self.quiescent_w, self.leakage_w), "W")

    @property
    def output_ratio(self) -> Quantity:
        """Share of what leaves the storage that reaches the device."""
        figure = self.converter.output_efficiency_ratio if self.converter else None
        return exact(1.0, "ratio") if figure is None else figure.quantity

    @property
    def longest_gap_s(self) -> Quantity | None:
        """Longest time without the source; None where nobody says. [s]"""
        if self.gap_s is not None:
            return Quantity(self.gap_s, "s")
        if self.source is None or self.source.gap_s is None:
            return None
        return self.source.gap_s.quantity

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the result must know."""
        found = []
        if self.source is not None and self.converter is None:
            found.append(
                "no converter is named: its losses are not counted, and nothing starts cold"
            )
        if self.obstacle:
            found.append(self.obstacle)
        return tuple(found)


def storage_loss_w(storage: Storage) -> Quantity:
    """What a storage loses by itself, at its nominal voltage. [W]

    A leakage current where the profile has one, else the self-discharge of a year spread over it.
    """
    if storage.leakage_a is not None:
        return (storage.leakage_a.quantity * storage.voltage_v.value).as_unit("W")
    if storage.self_discharge_per_year_ratio is not None:
        yearly = storage.self_discharge_per_year_ratio.quantity * storage.energy_j
        return (yearly / YEAR_S).as_unit("W")
    return exact(0.0, "W")


@record
class ColdStart:
    """Whether a converter starts with an empty storage.

    Attributes:
        what: ``voltage`` or ``power``: whichever is judged; each has its own constraint.
        need: of the converter.
        have: of the harvester.
    """

    what: Literal["voltage", "power"]
    need: Quantity
    have: Quantity


def cold_start(chain: Chain) -> tuple[ColdStart, ...]:
    """What a start from empty asks of the harvester; nothing without a converter that says so."""
    source, converter = chain.source, chain.converter
    if source is None or converter is None:
        return ()
    found = []
    if converter.cold_start_v is not None and source.voltage_v is not None:
        have = source.voltage_v.quantity
        found.append(ColdStart("voltage", converter.cold_start_v.quantity, have))
    if converter.cold_start_w is not None:
        found.append(ColdStart("power", converter.cold_start_w.quantity, chain.harvested_w))
    return tuple(found)


def time_to_first_s(chain: Chain, cycle_j: Quantity) -> Quantity:
    """Time from an empty storage until it holds one cycle; infinite if it never does. [s]

    The device draws nothing until the storage holds one cycle. A capacitor charges from 0 V:
    through the converter's cold start where it has one, then to the voltage from which one cycle
    fits above the lowest; a battery and an ideal storage start from their lowest voltage.

    Args:
        chain: its source must be there.
        cycle_j: energy of one cycle, out of the storage.
    """
    if any(np.all(start.have.high < start.need.low) for start in cold_start(chain)):
        return exact(_NEVER, "s")
    net = headroom(chain.charging_now_w, chain.standing_w)
    storage = chain.storage
    if storage is None or storage.capacitance_f is None:
        return _divide_time(cycle_j, net)
    capacitance = storage.capacitance_f.quantity
    low_v = storage.min_v.value if storage.min_v else 0.0
    high_v = storage.max_v.value if storage.max_v else storage.voltage_v.value
    turn_on_squared = cycle_j * 2 / capacitance + low_v**2
    cold, cold_v = exact(0.0, "s"), 0.0
    converter = chain.converter
    if converter and converter.cold_start_efficiency_ratio and converter.cold_start_end_v:
        cold_v = converter.cold_start_end_v.value
        power = chain.harvested_w * converter.cold_start_efficiency_ratio.quantity
        cold = _divide_time(capacitance * (cold_v**2 / 2), power)
    rest = capacitance * (turn_on_squared - cold_v**2) / 2
    whole = cold + _divide_time(at_least_zero(rest), net)
    never = np.asarray(turn_on_squared.value) > high_v**2
    return Quantity(plain(np.where(never, _NEVER, whole.value)), "s", whole.terms, whole.figures)


def gap_energy_j(chain: Chain, load_w: Quantity, cycle_j: Quantity) -> Quantity | None:
    """Energy a storage must hold to carry the device through the longest gap. [J]

    Args:
        chain: gives the gap and the standing losses.
        load_w: average power out of the storage, without the standing losses.
        cycle_j: at least one cycle is held.

    Returns:
        None where nobody says how long the source may be away.
    """
    gap = chain.longest_gap_s
    if gap is None:
        return None
    return ((load_w + chain.standing_w) * gap + cycle_j).as_unit("J")


def headroom(have: Quantity, need: Quantity) -> Quantity:
    """What is left of `have` after `need`; zero where nothing is.

    Differences of uncertain numbers are not log-normal near zero: the bounds combine in
    quadrature of the absolute reaches, and the lower one stops at (nearly) nothing.
    """
    value = np.asarray(have.value) - np.asarray(need.value)
    down = np.hypot(have.value - have.low, need.high - need.value)
    up = np.hypot(have.high - have.value, need.value - need.low)
    left = np.where(value > 0, value, 1.0)
    low = np.log(np.maximum(left - down, _LEAST_RATIO * left) / left)
    high = np.log1p(up / left)
    terms: dict[str, tuple[Real, Real, Real]] = {}
    if np.any(down > 0) or np.any(up > 0):
        terms = {"what is left": (1.0, plain(low), plain(high))}
    figures: dict[str, Figure] = {**have.figures, **need.figures}
    return Quantity(plain(np.maximum(value, 0.0)), have.unit or need.unit, terms, figures)


def at_least_zero(quantity: Quantity) -> Quantity:
    """The same with negative values set to zero."""
    return Quantity(
        plain(np.maximum(quantity.value, 0.0)), quantity.unit, quantity.terms, quantity.figures
    )


def smallest(quantities: Iterable[Quantity]) -> Quantity:
    """Whichever is least, element by element; the interval is that of the one chosen."""
    first, *others = quantities
    for other in others:
        if np.ndim(first.value) == 0 and np.ndim(other.value) == 0:
            first = first if float(first.value) <= float(other.value) else other
            continue
        take = np.asarray(first.value) <= np.asarray(other.value)
        terms: dict[str, tuple[Real, Real, Real]] = {}
        for chosen, mask in ((first, take), (other, ~take)):
            for key, (weight, low, high) in chosen.terms.items():
                before = terms.get(key, (0.0, low, high))[0]
                terms[key] = (before + np.where(mask, weight, 0.0), low, high)
        value = np.minimum(first.value, other.value)
        first = Quantity(value, first.unit, terms, {**first.figures, **other.figures})
    return first


def plain(value: NDArray[Any] | float) -> Real:
    """A float of what has no dimension, an array of the rest."""
    return float(value) if np.ndim(value) == 0 else np.asarray(value, np.float64)


def _divide_time(energy: Quantity, power: Quantity) -> Quantity:
    """Energy over power; infinite where there is no power."""
    value = np.asarray(power.value)
    safe = Quantity(plain(np.where(value > 0, value, 1.0)), "W", power.terms, power.figures)
    result = energy / safe
    seconds = np.where(value > 0, result.value, _NEVER)
    return Quantity(plain(seconds), "s", result.terms, result.figures)
