"""From harvester to device: against closed forms, small integrations, and refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.api.question import harvester_of, storage_of
from budget.errors import UsageError
from budget.hardware import library
from budget.hardware.figure import Figure, Kind, Quantity, exact
from budget.scenario.source import (
    Chain,
    at_least_zero,
    cold_start,
    gap_energy_j,
    headroom,
    smallest,
    storage_loss_w,
    time_to_first_s,
)

INDOOR = library.harvester("indoor-light")


def uncertain(value: float, low: float, high: float, key: str) -> Quantity:
    return Figure(key, value, low, high, "W", Kind.MEASURED).quantity


def test_without_a_converter_everything_harvested_is_stored() -> None:
    chain = Chain(INDOOR, 1e-3)
    assert float(chain.charging_w.value) == pytest.approx(100e-6)
    assert float(chain.standing_w.value) == 0
    assert any("no converter" in note for note in chain.notes)


def test_a_converter_takes_what_its_curve_and_its_tracking_take() -> None:
    source = library.harvester("amorphous-200lx")
    converter = library.converter("bq25570")
    chain = Chain(source, 1e-3, converter)
    assert source.voltage_v is not None
    volts = source.voltage_v.value
    curve = min(converter.curves, key=lambda c: abs(math.log(c.input_v.value / volts)))
    amperes = 44e-6 / volts
    by_hand = np.interp(math.log(amperes), np.log(curve.input_a), curve.efficiency_ratio)
    assert float(chain.charging_w.value) == pytest.approx(44e-6 * by_hand * 0.95, rel=1e-9)
    assert float(chain.quiescent_w.value) == pytest.approx(488e-9 * 3.0)
    half = replace(chain, present_ratio=0.5)
    assert float(half.charging_w.value) == pytest.approx(float(chain.charging_w.value) / 2)
    assert half.charging_now_w.value == chain.charging_now_w.value


def test_below_the_first_point_of_a_curve_the_loss_stays() -> None:
    curve = library.converter("bq25570").curves[1]
    lost = curve.input_a[0] * (1 - curve.efficiency_ratio[0])
    twice = curve.input_a[0] * 0.9
    assert float(curve.at(twice)) == pytest.approx(1 - lost / twice)
    assert float(curve.at(lost * 0.5)) == 0
    assert float(curve.at(0.0)) == 0
    many = np.array([0.0, lost, 15e-6, 1.0])
    assert np.allclose(curve.at(many), [float(curve.at(float(x))) for x in many])


def test_a_converter_is_blind_to_a_voltage_out_of_its_range() -> None:
    chain = Chain(library.harvester("jacket-thermal"), 1e-3, library.converter("bq25570"))
    assert "needs more" in chain.obstacle
    assert float(chain.charging_w.value) == 0
    assert time_to_first_s(chain, exact(1e-3, "J")).value == math.inf
    low = replace(
        library.converter("bq25570"), input_max_v=library.converter("bq25570").input_min_v
    )
    loud = Chain(library.harvester("silicon-200lx"), 1e-3, low)
    assert "bears less" in loud.obstacle


@pytest.mark.parametrize("name", library.storages())
def test_what_a_storage_loses(name: str) -> None:
    storage = library.storage(name)
    lost = float(storage_loss_w(storage).value)
    if storage.leakage_a is not None:
        assert lost == pytest.approx(storage.leakage_a.value * storage.voltage_v.value)
    elif storage.self_discharge_per_year_ratio is not None:
        year = float(storage.energy_j.value) * storage.self_discharge_per_year_ratio.value
        assert lost * 365.25 * 86400 == pytest.approx(year)
    else:
        assert lost == 0


def test_time_to_first_is_an_integral() -> None:
    """Charging a capacitor in small steps takes as long as the closed form says."""
    converter = library.converter("bq25570")
    storage = library.storage("supercap-7.5f")
    source = library.harvester("outdoor-light")
    chain = Chain(source, 1e-3, converter, storage)
    cycle_j = exact(0.5, "J")
    found = float(time_to_first_s(chain, cycle_j).value)
    assert storage.capacitance_f and converter.cold_start_end_v
    assert converter.cold_start_efficiency_ratio and storage.min_v
    farads = storage.capacitance_f.value
    target = farads * storage.min_v.value**2 / 2 + 0.5
    energy, seconds, step = 0.0, 0.0, 0.05
    while energy < target:
        cold = energy < farads * converter.cold_start_end_v.value**2 / 2
        watts = 0.1 * converter.cold_start_efficiency_ratio.value
        if not cold:
            watts = float(chain.charging_now_w.value) - float(chain.standing_w.value)
        energy, seconds = energy + watts * step, seconds + step
    assert found == pytest.approx(seconds, rel=1e-3)


def test_a_cycle_larger_than_the_capacitor_never_comes() -> None:
    chain = Chain(INDOOR, 1e-3, None, storage_of("10uF:3.3V:1.8V"))
    fits = 10e-6 * (3.3**2 - 1.8**2) / 2
    assert math.isfinite(float(time_to_first_s(chain, exact(fits * 0.999, "J")).value))
    assert time_to_first_s(chain, exact(fits * 1.001, "J")).value == math.inf


def test_an_ideal_storage_collects_one_cycle() -> None:
    chain = Chain(INDOOR, 1e-3)
    assert float(time_to_first_s(chain, exact(1e-3, "J")).value) == pytest.approx(10.0)


def test_cold_start_compares_voltage_and_power() -> None:
    chain = Chain(library.harvester("silicon-200lx"), 1e-5, library.converter("bq25570"))
    found = {start.what: start for start in cold_start(chain)}
    assert float(found["voltage"].need.value) == 0.33
    assert float(found["power"].have.value) == pytest.approx(0.46e-6)
    assert time_to_first_s(chain, exact(1e-6, "J")).value == math.inf
    assert cold_start(Chain(INDOOR, 1e-3)) == ()


def test_energy_for_a_gap() -> None:
    chain = Chain(INDOOR, 1e-3, gap_s=3600.0)
    need = gap_energy_j(chain, exact(1e-3, "W"), exact(0.1, "J"))
    assert need is not None
    assert float(need.value) == pytest.approx(3.7)
    assert gap_energy_j(Chain(library.harvester("gsm-rf"), 1.0), need, need) is None
    assert float(Chain(INDOOR, 1e-3).longest_gap_s.value) == 14 * 3600  # type: ignore[union-attr]


def test_numbers_stand_for_sources_and_storages() -> None:
    assert float(harvester_of("10uW/cm2").power(1e-3).value) == pytest.approx(100e-6)
    assert float(harvester_of("1mW").power().value) == 1e-3
    assert float(storage_of("50J").energy_j.value) == 50
    capacitor = storage_of("470uF:3.3V:1.8V")
    assert float(capacitor.energy_j.value) == pytest.approx(470e-6 * (3.3**2 - 1.8**2) / 2)
    with pytest.raises(UsageError, match="not a storage"):
        storage_of("470uF:3.3V")
    with pytest.raises(UsageError, match="empty before"):
        storage_of("470uF:1.8V:3.3V")


def test_a_primary_cell_cannot_be_charged() -> None:
    with pytest.raises(UsageError, match="primary cell") as error:
        Chain(INDOOR, 1e-3, None, library.storage("cr2032"))
    assert "rechargeable" in error.value.hint


def test_a_converter_needs_a_source() -> None:
    with pytest.raises(UsageError, match="needs a source"):
        Chain(converter=library.converter("bq25570"))


positive = st.floats(1e-9, 1e3)


@given(positive, positive, st.floats(1.0, 3.0), st.floats(1.0, 3.0))
def test_headroom_bounds_lie_within_those_of_intervals(
    have: float, need: float, have_spread: float, need_spread: float
) -> None:
    a = uncertain(have, have / have_spread, have * have_spread, "a")
    b = uncertain(need, need / need_spread, need * need_spread, "b")
    left = headroom(a, b)
    assert float(left.value) == max(0.0, have - need)
    worst, best = have / have_spread - need * need_spread, have * have_spread - need / need_spread
    if float(left.value) > 0:
        assert float(left.low) >= max(0.0, worst) * (1 - 1e-9)
        assert float(left.low) <= float(left.value) <= float(left.high)
        assert float(left.high) <= best * (1 + 1e-9)


def test_headroom_of_exact_numbers_is_exact() -> None:
    left = headroom(exact(3.0, "W"), exact(1.0, "W"))
    assert left.value == left.low == left.high == 2.0


def test_smallest_keeps_the_interval_of_the_one_chosen() -> None:
    a, b = uncertain(2.0, 1.0, 4.0, "a"), exact(3.0, "W")
    assert smallest((a, b)).high == pytest.approx(4.0)
    assert smallest((b, exact(1.0, "W"))).high == 1.0
    many = smallest((a * np.array([1.0, 2.0]), b * np.array([1.0, 1.0])))
    assert np.allclose(many.value, [2.0, 3.0])
    assert np.allclose(many.high, [4.0, 3.0])


def test_at_least_zero() -> None:
    assert at_least_zero(exact(-1.0, "J")).value == 0
    assert np.array_equal(np.asarray(at_least_zero(Quantity(np.array([-1.0, 2.0]))).value), [0, 2])
