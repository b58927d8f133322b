"""How the energy in a capacitor or battery changes while power flows at a constant rate.

    dE/dt = p − k·E − c·√E

p: net power into the storage; k: leakage through a resistance (2/RC of a capacitor) or a
battery's self-discharge; c: a constant leakage current (I·√(2/C) of a capacitor). One of k and c
is zero. Then the energy moves one way only while p is constant, both the energy after a time and
the time to an energy have a closed form, and nothing needs to be stepped.

With x = √E and s = −ln((p − c·x)/(p − c·x₀)), the constant current obeys

    x(s) = x₀ + (p − c·x₀)·(1 − e⁻ˢ)/c        t(s) = 2/c²·(p·(s − 1 + e⁻ˢ) + c·x₀·(1 − e⁻ˢ))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from budget.errors import ProfileError, UsageError
from budget.hardware.energy_profiles import Storage
from budget.scenario.source import YEAR_S

Array = NDArray[np.float64]
AGED_RATIO = 0.8
"""Share of its capacity that a battery has left after its cycle life, by definition."""
_SMALL = 1e-3  # of the energy: steps below it need no iteration
_SHORT = 0.5
_LEAST_START_RATIO = 0.1  # of the usable energy, before a load that browned out starts again


@dataclass(frozen=True, kw_only=True)
class Store:
    """A storage as the simulation sees it; energies count from 0 V, or from an empty battery.

    Attributes:
        full_j: energy when full and new.
        off_j: the load browns out here.
        on_j: and starts again here; above `off_j`.
        cold_j: below it the converter charges by its cold start only; at most `off_j`.
        loss_per_s: share of the energy lost each second (k).
        loss_w_per_root_j: loss for each root of the energy (c); zero if `loss_per_s` is not.
        fade_ratio: capacity lost for each joule drawn; zero for what does not age.
        capacitance_f: None for a battery.
        rechargeable: whether a source may charge it.
    """

    full_j: float
    off_j: float = 0.0
    on_j: float
    cold_j: float = 0.0
    loss_per_s: float = 0.0
    loss_w_per_root_j: float = 0.0
    fade_ratio: float = 0.0
    capacitance_f: float | None = None
    rechargeable: bool = True

    def __post_init__(self) -> None:
        ordered = 0 <= self.cold_j <= self.off_j < self.on_j <= self.full_j
        if not (ordered and math.isfinite(self.full_j)):
            raise UsageError(
                f"a storage of {self.full_j:.3g} J cannot start a load at {self.on_j:.3g} J and "
                f"stop it at {self.off_j:.3g} J",
                hint="brown-out lies below turn-on, and turn-on not above full",
            )
        if min(self.loss_per_s, self.loss_w_per_root_j, self.fade_ratio) < 0:
            raise UsageError("a storage loses less than nothing", hint="give losses above zero")
        if self.loss_per_s and self.loss_w_per_root_j:
            raise UsageError(
                "a storage leaks either in proportion to its voltage or at a constant current",
                hint="leave one of the two out",
            )

    @property
    def usable_j(self) -> float:
        """Energy between full and brown-out."""
        return self.full_j - self.off_j

    def loss_w(self, energy_j: float) -> float:
        """Power lost at an energy."""
        return self.loss_per_s * energy_j + self.loss_w_per_root_j * math.sqrt(energy_j)

    def after(self, energy_j: float, power_w: float, time_s: float) -> float:
        """Energy after a time of constant net power, with no limit but zero from below.

        The caller makes sure that zero is not crossed: see `time_to`.
        """
        k, c = self.loss_per_s, self.loss_w_per_root_j
        if c:
            return _after_current(energy_j, power_w, time_s, c)
        if k:
            lost = -math.expm1(-k * time_s)
            return energy_j + (power_w / k - energy_j) * lost
        return energy_j + power_w * time_s

    def time_to(self, energy_j: float, target_j: float, power_w: float) -> float:
        """Time until the energy reaches a target; infinite if it never does. [s]"""
        if target_j == energy_j:
            return 0.0
        slope = power_w - self.loss_w(energy_j)
        slope_there = power_w - self.loss_w(target_j)
        way = target_j - energy_j
        # a constant current does empty a storage, though the power it takes vanishes there
        emptied = target_j == 0 and power_w == 0 and self.loss_w_per_root_j > 0
        # signs, not a product: that of two small numbers is 0
        approaches = all(rate != 0 and (rate > 0) == (way > 0) for rate in (slope, slope_there))
        if not approaches and not emptied:
            return math.inf  # at rest, moving away, or coming to rest before the target
        k, c = self.loss_per_s, self.loss_w_per_root_j
        if c:
            return _time_by_current(math.sqrt(energy_j), math.sqrt(target_j), power_w, c)
        if k:
            return math.log1p(k * way / slope_there) / k
        return way / power_w

    def lost_j(self, start_j: Array, end_j: Array, power_w: Array, time_s: Array) -> Array:
        """Energy lost by the storage itself during pieces of constant net power.

        An integral of its own, not what is missing in the balance: the balance checks it.
        """
        k, c = self.loss_per_s, self.loss_w_per_root_j
        if c:
            return _lost_by_current(np.sqrt(start_j), np.sqrt(end_j), power_w, time_s, c)
        if k:
            share = -np.expm1(-k * time_s)
            return np.asarray(start_j * share + power_w * (time_s - share / k))
        return np.zeros_like(start_j)

    def voltage_v(self, energy_j: Array) -> Array | None:
        """Voltage of a capacitor; None for a battery, whose voltage hardly tells its energy."""
        if self.capacitance_f is None:
            return None
        return np.asarray(np.sqrt(2 * energy_j / self.capacitance_f))


def store_of(
    storage: Storage,
    *,
    size_ratio: float = 1.0,
    cycle_j: float = 0.0,
    turn_on_v: float | None = None,
    brown_out_v: float | None = None,
    cold_start_end_v: float | None = None,
    leakage: Literal["resistance", "current"] = "resistance",
) -> Store:
    """A storage profile as the simulation sees it, at the middle of its figures.

    Args:
        storage: the profile.
        size_ratio: so many of them, in parallel.
        cycle_j: energy of one cycle of the load; a load starts when one cycle and a tenth of
            the usable energy are there, unless `turn_on_v` says otherwise.
        turn_on_v: of a capacitor.
        brown_out_v: of a capacitor; default: the profile's lowest voltage.
        cold_start_end_v: voltage to which the converter charges by its cold start.
        leakage: of a capacitor: through a resistance, or at a constant current.

    Raises:
        ProfileError: neither a capacity nor a capacitance.
        UsageError: thresholds out of order, or voltages for a battery.
    """
    if storage.capacitance_f is not None:
        capacitance = storage.capacitance_f.value * size_ratio
        high_v = (storage.max_v or storage.voltage_v).value
        low_v = storage.min_v.value if storage.min_v else 0.0
        full_j = capacitance * high_v**2 / 2
        off_v = low_v if brown_out_v is None else brown_out_v
        off_j = capacitance * off_v**2 / 2
        on_j = _turn_on_j(full_j, off_j, cycle_j)
        if turn_on_v is not None:
            on_j = capacitance * turn_on_v**2 / 2
        leak_a = storage.leakage_a.value * size_ratio if storage.leakage_a else 0.0
        cold_j = min(capacitance * (cold_start_end_v or 0.0) ** 2 / 2, off_j)
        store = Store(
            full_j=full_j, off_j=off_j, on_j=on_j, cold_j=cold_j, capacitance_f=capacitance
        )
        if leakage == "current":
            return replace(store, loss_w_per_root_j=leak_a * math.sqrt(2 / capacitance))
        return replace(store, loss_per_s=2 * leak_a / (high_v * capacitance))
    if turn_on_v is not None or brown_out_v is not None:
        raise UsageError(
            f"{storage.id} is a battery: its voltage hardly depends on its charge",
            hint="turn-on and brown-out voltages go with a capacitor",
        )
    if storage.capacity_c is None:
        raise ProfileError(
            "neither a capacity nor a capacitance",
            where=storage.id,
            hint="give capacity_c or capacitance_f",
        )
    full_j = storage.capacity_c.value * storage.voltage_v.value * size_ratio
    cycles = storage.cycle_life.value if storage.cycle_life else math.inf
    return Store(
        full_j=full_j,
        on_j=_turn_on_j(full_j, 0.0, cycle_j),
        loss_per_s=_self_discharge_per_s(storage),
        fade_ratio=(1 - AGED_RATIO) / cycles,
        rechargeable=storage.category != "primary",
    )


def _turn_on_j(full_j: float, off_j: float, cycle_j: float) -> float:
    least = off_j + _LEAST_START_RATIO * (full_j - off_j) + cycle_j
    # one cycle may need everything there is: then the load starts when it is full
    return min(least, full_j)


def _self_discharge_per_s(storage: Storage) -> float:
    """A battery's own loss as a share of what it holds; a leakage is meant at full charge."""
    if storage.self_discharge_per_year_ratio is not None:
        return -math.log1p(-storage.self_discharge_per_year_ratio.value) / YEAR_S
    if storage.leakage_a is not None and storage.capacity_c is not None:
        return storage.leakage_a.value / storage.capacity_c.value
    return 0.0


def _excess(u: float) -> float:
    """−u − ln(1 − u) without cancellation near zero: u²/2 + u³/3 + …"""
    if abs(u) > 0.02:
        return -u - math.log1p(-u)
    return u * u * (1 / 2 + u * (1 / 3 + u * (1 / 4 + u * (1 / 5 + u * (1 / 6 + u / 7)))))


def _after_exponential(s: float) -> float:
    """S − 1 + e⁻ˢ without cancellation near zero: s²/2 − s³/6 + …"""
    if abs(s) > 0.02:
        return s + math.expm1(-s)
    return s * s * (1 / 2 - s * (1 / 6 - s * (1 / 24 - s * (1 / 120 - s * (1 / 720 - s / 5040)))))


def _time_by_current(x0: float, x1: float, p: float, c: float) -> float:
    slope = p - c * x0
    step = (x1 - x0) / slope
    u = c * step
    if p == 0:
        return 2 * x0 * step
    if u >= 1:  # where rounding puts the target beyond the energy at which the slope vanishes
        return math.inf
    bend = _excess(u) / (u * u) if u else 0.5
    return 2 * x0 * step + 2 * p * bend * step * step


def _after_current(e0: float, p: float, t: float, c: float) -> float:
    x0 = math.sqrt(e0)
    slope = p - c * x0
    if slope == 0 or t == 0:
        return e0
    if p == 0:
        return max(x0 - c * t / 2, 0.0) ** 2
    if abs(slope) * t < _SMALL * e0 and c * t < _SMALL * x0:
        return e0 + _small_step(x0, slope, t, c)
    guess = math.sqrt(max(e0 + slope * t, 0.0))
    u = c * (guess - x0) / slope
    s = -math.log1p(-u) if u < 1 else 1.0 + c * c * t / (2 * abs(p))
    aim = c * c * t / 2
    for _ in range(60):
        fall = -math.expm1(-s)
        x = x0 + slope * fall / c
        off = p * _after_exponential(s) + c * x0 * fall - aim
        # t(s) bends one way only, so that Newton's method closes in from one side
        step = off / (c * x) if x > 0 else s / 2
        s_next = s - step if step < s else s / 2
        if abs(s_next - s) <= 2e-16 * s:
            break
        s = s_next
    x = max(x0 - slope * math.expm1(-s) / c, 0.0)
    return x * x


def _small_step(x0: float, slope: float, t: float, c: float) -> float:
    """The change of energy by its Taylor series, which four terms end below rounding."""
    first = -c / (2 * x0)
    second = c / (4 * x0**3)
    third = -3 * second / (2 * x0 * x0)
    bends = first * first + slope * second
    last = slope * (slope * third + 4 * first * second) + first**3
    return slope * t * (1 + t / 2 * (first + t / 3 * (bends + t / 4 * last)))


def _lost_by_current(x0: Array, x1: Array, power_w: Array, time_s: Array, c: float) -> Array:
    """∫ c·x dt = c·t · ∫ x² ds / ∫ x ds, where x goes from x₀ to x₁ along 1 − e⁻ˢ."""
    slope = power_w - c * x0
    moving = (slope != 0) & (x1 != x0)
    u = np.where(moving, c * (x1 - x0) / np.where(moving, slope, 1.0), 0.0)
    s = -np.log1p(-np.minimum(u, 1 - 1e-16))
    # close to rest u is nearly 1 and tells s no longer; the time does
    near_rest = (s > _SHORT) & (power_w > 0)
    by_time = u + (c * c * time_s / 2 - c * x0 * u) / np.where(near_rest, power_w, 1.0)
    s = np.where(near_rest, by_time, s)
    # a short way by quadrature, which keeps its digits there; a long one in closed form
    nodes, weights = np.polynomial.legendre.leggauss(8)
    along = np.expm1(-np.outer(s, (nodes + 1) / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        x = x0[:, None] + (x1 - x0)[:, None] * np.where(
            s[:, None] != 0, along / np.expm1(-s)[:, None], (nodes + 1) / 2
        )
        mean = (x**2 @ weights) / (x @ weights)
        a, b = power_w / c, slope / c
        fall = -np.expm1(-s)
        squares = a * a * s - 2 * a * b * fall + b * b * fall * (2 - fall) / 2
        long_mean = squares / (a * s - b * fall)
    mean = np.where(s > _SHORT, long_mean, mean)
    return np.asarray(c * time_s * np.where(moving, mean, x0))
