"""The simulation against closed forms, against an integrator that steps, and against itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.errors import ProfileError, UsageError
from budget.hardware import library
from budget.scenario.outcome import Outcome, run_out_s, simulate_store
from budget.scenario.simulation import DAY_S, Phase, Segments, run
from budget.scenario.source import YEAR_S
from budget.scenario.store import Store, store_of


def rows(*powers: tuple[float, float, float], cold: float = 0.0, standing: float = 0.0) -> Segments:
    """Segments from (seconds, watts in, watts out)."""
    seconds, charge, load = (np.array(column, np.float64) for column in zip(*powers))
    return Segments(seconds, charge, charge * cold, load, np.ones_like(load), standing)


def test_constant_source_and_load_fill_a_battery_on_a_straight_line() -> None:
    store = Store(full_j=10.0, on_j=0.1)
    result = simulate_store(store, Segments.constant(5e4, 150e-6, 50e-6), 2.0)
    assert result.end_j == pytest.approx(2.0 + 100e-6 * 5e4, rel=1e-12)
    full = simulate_store(store, Segments.constant(2e5, 150e-6, 50e-6), 2.0)
    assert full.end_j == 10.0
    assert full.balance.refused_j == pytest.approx(2e5 * 100e-6 - 8.0, rel=1e-12)
    assert full.brown_outs == 0 and full.on_ratio == 1.0


def test_load_beyond_the_source_browns_out_when_the_store_is_used_up() -> None:
    store = Store(full_j=10.0, off_j=1.0, on_j=9.999)
    result = simulate_store(store, Segments.constant(1e5, 0.0, 1e-3), 10.0)
    assert result.done.sum() == pytest.approx(9.0 / 1e-3, rel=1e-12)
    assert result.brown_outs == 1
    assert result.longest_gap_s == pytest.approx(1e5 - 9000.0, rel=1e-12)


def test_capacitor_charges_through_its_leakage_resistance() -> None:
    capacitance_f, resistance_ohm, power_w = 1e-3, 1e5, 1e-4
    store = Store(full_j=1.0, off_j=0.1, on_j=0.9, loss_per_s=2 / (resistance_ohm * capacitance_f))
    # C V dV/dt = P − V²/R  ⇒  V² = P·R·(1 − exp(−2t/RC))
    for time_s in (1.0, 60.0, 500.0):
        end = simulate_store(store, Segments.constant(time_s, power_w, 0.0), 0.0).end_j
        squared = power_w * resistance_ohm * -math.expm1(-2 * time_s / (resistance_ohm * 1e-3))
        assert 2 * end / capacitance_f == pytest.approx(squared, rel=1e-9)


def test_capacitor_discharges_by_a_constant_current_on_a_straight_line() -> None:
    capacitance_f, leak_a = 0.1, 2e-6
    store = replace(
        store_of(library.storage("supercap-7.5f")),
        full_j=capacitance_f * 25 / 2,
        off_j=0.1,
        on_j=0.2,
        loss_per_s=0.0,
        loss_w_per_root_j=leak_a * math.sqrt(2 / capacitance_f),
        capacitance_f=capacitance_f,
    )
    # with nothing else on it, C dV/dt = −I
    time_s = 1e5
    result = simulate_store(store, Segments.constant(time_s, 0.0, 0.0), store.full_j)
    volts = store.voltage_v(np.array([result.end_j]))
    assert volts is not None
    assert volts[0] == pytest.approx(5.0 - leak_a * time_s / capacitance_f, rel=1e-9)
    gone = simulate_store(store, Segments.constant(4e5, 0.0, 0.0), store.full_j)
    assert gone.end_j == 0.0
    assert gone.balance.leaked_j == pytest.approx(store.full_j, rel=1e-9)


def test_square_wave_source_repeats_exactly() -> None:
    store = Store(full_j=5.0, off_j=0.5, on_j=1.0)
    # 8 h of 90 µW, 16 h of nothing, 30 µW of load: in = out over a day
    day = [(8 * 3600.0, 90e-6, 30e-6), (16 * 3600.0, 0.0, 30e-6)]
    result = simulate_store(store, rows(*day * 30), 3.0)
    assert result.end_j == pytest.approx(3.0, rel=1e-9)
    assert result.lowest_j == pytest.approx(3.0, rel=1e-9)
    assert np.max(result.energy_j) == pytest.approx(3.0 + 8 * 3600 * 60e-6, rel=1e-9)
    assert result.on_ratio == 1.0 and len(result.done) == 30
    assert result.done == pytest.approx([DAY_S] * 30)


def test_square_wave_with_too_little_is_off_for_the_time_it_lacks() -> None:
    store = Store(full_j=100.0, off_j=1.0, on_j=1.5)
    # off the load draws nothing, so that in the long run done = in / load
    day = [(8 * 3600.0, 60e-6, 30e-6), (16 * 3600.0, 0.0, 30e-6)]
    result = simulate_store(store, rows(*day * 1000), 1.0)
    charged = 60e-6 * 8 * 3600 * 1000
    assert result.balance.used_j == pytest.approx(charged - result.balance.stored_j, rel=1e-9)
    assert result.on_ratio == pytest.approx(2 / 3, rel=1e-3)


def test_coin_cell_life_with_self_discharge() -> None:
    cell = library.storage("cr2032")
    store = store_of(cell)
    assert cell.capacity_c and cell.self_discharge_per_year_ratio
    load_w = 20e-6
    rate = -math.log(1 - cell.self_discharge_per_year_ratio.value) / YEAR_S
    life = math.log(1 + rate * cell.capacity_c.value * 3.0 / load_w) / rate
    assert run_out_s(store, load_w) == pytest.approx(life, rel=1e-9)
    assert run_out_s(replace(store, loss_per_s=0.0), load_w) == pytest.approx(
        cell.capacity_c.value * 3.0 / load_w, rel=1e-12
    )
    assert run_out_s(store, 0.0) == math.inf


def test_bursts_from_a_capacitor_are_counted_not_stepped() -> None:
    store = Store(full_j=1e-3, off_j=2e-4, on_j=8e-4)
    source_w, load_w, time_s = 10e-6, 10e-3, 30 * DAY_S
    result = simulate_store(store, Segments.constant(time_s, source_w, load_w), 2e-4)
    off_s, on_s = 6e-4 / source_w, 6e-4 / (load_w - source_w)
    assert result.brown_outs == pytest.approx(time_s / (off_s + on_s), abs=30)
    assert result.done.sum() == pytest.approx(time_s * on_s / (off_s + on_s), rel=1e-4)
    assert result.longest_gap_s == pytest.approx(off_s, rel=1e-9)
    assert len(result.time_s) < 200


def test_ageing_takes_a_fifth_after_the_cycle_life() -> None:
    cell = library.storage("lipo-80mah")
    assert cell.cycle_life
    store = replace(store_of(cell), loss_per_s=0.0)
    # half of the capacity out and in each day: two days make a cycle
    power_w = store.full_j / DAY_S
    day = [(DAY_S / 2, 0.0, power_w), (DAY_S / 2, 2 * power_w, power_w)]
    days = int(cell.cycle_life.value) * 2
    result = simulate_store(store, rows(*day * days), store.full_j)
    assert result.capacity_ratio == pytest.approx(0.8, rel=1e-9)
    assert result.cycles == pytest.approx(cell.cycle_life.value, rel=1e-9)
    assert result.battery_life_s == pytest.approx(days * DAY_S, rel=1e-9)
    worn = simulate_store(store, rows(*day * days * 9), store.full_j)
    assert worn.capacity_ratio == pytest.approx(0.1, rel=1e-9)
    assert abs(worn.balance.error_j) < 1e-9 * worn.balance.charged_j


def test_cold_start_is_slow_and_then_over() -> None:
    store = Store(full_j=1.0, cold_j=0.1, off_j=0.2, on_j=0.4)
    segments = rows((1e6, 1e-4, 0.0), cold=0.05)
    result = simulate_store(store, segments, 0.0)
    assert result.first_s == pytest.approx(0.1 / 5e-6 + 0.3 / 1e-4, rel=1e-12)


def test_converter_that_drains_what_it_started_stays_at_the_end_of_the_cold_start() -> None:
    store = Store(full_j=1.0, cold_j=0.1, off_j=0.2, on_j=0.4, loss_per_s=1e-6)
    segments = rows((1e6, 1e-6, 1e-3), cold=0.5, standing=2e-6)
    result = run(store, segments, 0.0)
    assert result.phase.tolist() == [Phase.COLD, Phase.HELD]
    assert result.end_j == 0.1
    outcome = simulate_store(store, segments, 0.0)
    assert abs(outcome.balance.error_j) < 1e-9 * outcome.balance.charged_j


def test_empty_store_wakes_up_again() -> None:
    store = Store(full_j=1.0, off_j=0.0, on_j=0.5)
    segments = rows((1e4, 0.0, 1e-3), (1e4, 0.0, 1e-3), (1e4, 1e-4, 1e-5), standing=1e-6)
    result = simulate_store(store, segments, 0.5)
    assert result.brown_outs == 1
    assert result.first_s == 0.0
    assert result.longest_gap_s == pytest.approx(2e4 - 0.5 / 1.001e-3 + 0.5 / 99e-6, rel=1e-9)


powers = st.sampled_from([0.0, 1e-6, 5e-6, 2e-5, 1e-4, 1e-3])
segment = st.tuples(st.floats(1.0, 1e5), powers, powers)
LOSSES = ({}, {"loss_per_s": 1e-5}, {"loss_w_per_root_j": 1e-5}, {"loss_per_s": 1e-12})


@st.composite
def stores(draw: st.DrawFn) -> Store:
    full = draw(st.sampled_from([1e-3, 0.1, 3.0]))
    losses = draw(st.sampled_from(LOSSES))
    if draw(st.booleans()):
        return Store(full_j=full, off_j=0.2 * full, on_j=0.5 * full, cold_j=0.1 * full, **losses)
    fade = draw(st.sampled_from([0.0, 0.2 / 100]))
    return Store(full_j=full, on_j=0.3 * full, fade_ratio=fade, **losses)


cases = st.tuples(
    stores(),
    st.lists(segment, min_size=1, max_size=12),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.0, 1.5e-6]),
)


def test_a_vanishing_store_feeds_no_converter() -> None:
    """Energy so small that its product with a power is 0 is still used up before it is drawn."""
    store = Store(full_j=3.0, off_j=0.0, on_j=0.9, cold_j=0.0)
    balance = simulate_store(store, rows((1.0, 0.0, 0.0), standing=1.5e-6), 1.5e-323).balance
    assert balance.standing_j < 1e-300


@settings(max_examples=300, deadline=None)
@given(cases)
def test_energy_is_conserved(case: tuple[Store, list, float, float, float]) -> None:
    store, segments, filled, cold, standing = case
    result = simulate_store(
        store, rows(*segments, cold=cold, standing=standing), filled * store.full_j
    )
    balance = result.balance
    whole = balance.charged_j + filled * store.full_j
    assert abs(balance.error_j) <= 1e-9 * whole + 1e-18
    for part in (balance.used_j, balance.standing_j, balance.leaked_j, balance.refused_j):
        assert part >= -1e-9 * whole
    assert np.all(result.energy_j >= 0) and np.all(result.energy_j <= store.full_j)


@settings(max_examples=200, deadline=None)
@given(cases, st.floats(0.05, 0.95))
def test_cutting_every_segment_in_two_changes_nothing(
    case: tuple[Store, list, float, float, float], at: float
) -> None:
    store, segments, filled, cold, standing = case
    whole = rows(*segments, cold=cold, standing=standing)
    ends = np.cumsum(whole.duration_s)
    cut = whole.cut(np.sort(np.concatenate([ends, ends - at * whole.duration_s])))
    start_j = filled * store.full_j
    one = outcome_without_merging(store, whole, start_j)
    two = outcome_without_merging(store, cut, start_j)
    assert len(cut) >= len(whole)
    assert two.end_j == pytest.approx(one.end_j, rel=1e-9, abs=1e-9 * store.full_j)
    assert two.done.sum() == pytest.approx(one.done.sum(), rel=1e-9, abs=1e-6)
    assert two.balance.leaked_j == pytest.approx(one.balance.leaked_j, rel=1e-8, abs=1e-12)
    assert abs(two.brown_outs - one.brown_outs) <= 1


def outcome_without_merging(store: Store, segments: Segments, start_j: float) -> Outcome:
    from budget.scenario.outcome import outcome_of

    midnights = np.arange(1, math.ceil(segments.duration_s.sum() / DAY_S)) * DAY_S
    by_day = segments.cut(midnights)
    return outcome_of(store, by_day, run(store, by_day, start_j), start_j)


@settings(max_examples=100, deadline=None)
@given(cases)
def test_merging_equal_neighbours_changes_nothing(
    case: tuple[Store, list, float, float, float],
) -> None:
    store, segments, filled, cold, standing = case
    both = rows(*(row for row in segments for _ in range(2)), cold=cold, standing=standing)
    one = outcome_without_merging(store, both, filled * store.full_j)
    two = simulate_store(store, both, filled * store.full_j)
    assert two.end_j == pytest.approx(one.end_j, rel=1e-9, abs=1e-9 * store.full_j)


@pytest.mark.parametrize("losses", LOSSES)
@pytest.mark.parametrize("power_w", [-3e-5, 0.0, 2e-6, 4e-5, 1e-3])
def test_solutions_agree_with_a_stepping_integrator(
    losses: dict[str, float], power_w: float
) -> None:
    integrate = pytest.importorskip("scipy.integrate")
    store = Store(full_j=100.0, off_j=0.01, on_j=1.0, **losses)

    def slope(_: float, energy: np.ndarray) -> np.ndarray:
        return power_w - store.loss_per_s * energy - store.loss_w_per_root_j * np.sqrt(energy)

    for start_j, time_s in ((2.0, 2e4), (0.7, 3.0), (0.0, 1e4)):
        if start_j == 0.0 and power_w <= 0:
            continue
        found = integrate.solve_ivp(slope, (0, time_s), [start_j], rtol=1e-12, atol=1e-14)
        end = store.after(start_j, power_w, time_s)
        assert end == pytest.approx(found.y[0, -1], rel=1e-8)
        if abs(end - start_j) > 1e-6 * start_j:
            assert store.time_to(start_j, end, power_w) == pytest.approx(time_s, rel=1e-6)


@pytest.mark.parametrize("size", [1e-4, 1e-2, 1.0, 50.0])
def test_more_of_everything_never_hurts(size: float) -> None:
    rng = np.random.default_rng(5)
    day = [(3600.0, float(rng.uniform(0, 1e-4)) * (8 < h < 18), 2e-5) for h in range(24)] * 5
    store = Store(full_j=size, off_j=0.3 * size, on_j=0.4 * size, loss_per_s=1e-8)
    few = simulate_store(store, rows(*day), size)
    more = simulate_store(store, rows(*((s, 1.3 * p, o) for s, p, o in day)), size)
    assert more.on_ratio >= few.on_ratio - 1e-12


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot start a load") as caught:
        Store(full_j=1.0, off_j=0.5, on_j=0.5)
    assert "brown-out lies below turn-on" in caught.value.hint
    with pytest.raises(UsageError, match="less than nothing"):
        Store(full_j=1.0, on_j=0.5, loss_per_s=-1.0)
    with pytest.raises(UsageError, match="either in proportion"):
        Store(full_j=1.0, on_j=0.5, loss_per_s=1e-9, loss_w_per_root_j=1e-9)
    with pytest.raises(UsageError, match="cannot begin with"):
        run(Store(full_j=1.0, on_j=0.5), Segments.constant(1.0, 0.0, 0.0), 2.0)
    with pytest.raises(UsageError, match="as many powers as times"):
        Segments(np.ones(2), np.ones(1), np.ones(1), np.ones(1), np.ones(1))
    with pytest.raises(UsageError, match="above zero and finite"):
        Segments.constant(0.0, 0.0, 0.0)
    with pytest.raises(UsageError, match="not below zero"):
        Segments.constant(1.0, -1.0, 0.0)


def test_stores_of_profiles() -> None:
    capacitor = library.storage("supercap-7.5f")
    store = store_of(capacitor, cycle_j=1e-3, cold_start_end_v=1.7)
    assert store.full_j == pytest.approx(7.5 * 5.5**2 / 2)
    assert store.off_j == pytest.approx(7.5 * 1.8**2 / 2)
    assert store.cold_j == pytest.approx(7.5 * 1.7**2 / 2)
    # at full voltage both ways of leaking lose what the data sheet says
    for leakage in ("resistance", "current"):
        same = store_of(capacitor, leakage=leakage)  # type: ignore[arg-type]
        assert same.loss_w(same.full_j) == pytest.approx(5.5 * 71.5e-6)
    twice = store_of(capacitor, size_ratio=2.0)
    assert twice.loss_w(twice.full_j) == pytest.approx(2 * store.loss_w(store.full_j))
    assert store_of(capacitor, turn_on_v=3.0, brown_out_v=2.0).on_j == pytest.approx(7.5 * 4.5)
    battery = store_of(library.storage("lipo-80mah"))
    assert battery.full_j == pytest.approx(80 * 3.6 * 3.7)
    assert battery.loss_w(battery.full_j) == pytest.approx(5.3e-6 * 3.7)
    assert battery.voltage_v(np.ones(1)) is None
    with pytest.raises(UsageError, match="is a battery"):
        store_of(library.storage("lipo-80mah"), turn_on_v=3.0)


@pytest.mark.slow
def test_a_year_of_minutes_takes_seconds() -> None:
    import time

    rng = np.random.default_rng(0)
    count = 365 * 1440
    light = np.maximum(0, np.sin(2 * np.pi * (np.arange(count) / 1440 - 0.25)))
    charge = 2e-4 * light * rng.uniform(0.2, 1.2, count)
    segments = Segments(
        np.full(count, 60.0), charge, 0.05 * charge, np.full(count, 5e-5), np.ones(count), 1.5e-6
    )
    store = Store(full_j=20.0, off_j=6.0, on_j=8.0, cold_j=5.0, loss_per_s=1e-8)
    began = time.process_time()
    result = simulate_store(store, segments, 20.0)
    assert time.process_time() - began < 5.0
    assert abs(result.balance.error_j) < 1e-9 * result.balance.charged_j


def test_a_storage_of_nothing_is_refused() -> None:
    bare = replace(library.storage("cr2032"), capacity_c=None)
    with pytest.raises(ProfileError, match="neither a capacity"):
        store_of(bare)
