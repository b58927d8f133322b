"""A cycle's energies against sums written out by hand, and one against many at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.api.check import Estimate, estimate
from budget.api.models import prepare
from budget.api.question import Question, question_of
from budget.hardware import library
from budget.scenario.cycle import CYCLES_PER_OPERATION, Cycle
from budget.scenario.schema import (
    Scenario,
    Sense,
    Source,
    Transmit,
    load_scenario,
    merged,
    scenarios,
)

HOTWORD = load_scenario("hotword")


def made(scenario: Scenario) -> tuple[Estimate, Question]:
    question = question_of(scenario)
    model = prepare(scenario.model)
    found = estimate(
        model, library.device(scenario.device), runtime=scenario.runtime or None, question=question
    )
    return found, question


@pytest.fixture(scope="module")
def hotword() -> tuple[Estimate, Question]:
    return made(HOTWORD)


@pytest.fixture(scope="module")
def cycle(hotword: tuple[Estimate, Question]) -> Cycle:
    estimated, question = hotword
    return estimated.cycle(question)


def test_every_entry_against_arithmetic_by_hand(hotword: tuple[Estimate, Question]) -> None:
    estimated, question = hotword
    ledger = estimated.cycle(question).ledger(0.1)
    device, inference = estimated.device, estimated.inference
    run_w = 25e-3  # STM32U575 at 160 MHz and 1.8 V
    front_end = question.around.front_end
    assert front_end is not None and inference.latency is not None
    per_mac = float(estimated.runtime.on(device.core).mac("conv").value)
    pre_s = (front_end.macs * per_mac + front_end.alu * CYCLES_PER_OPERATION.value) / 160e6
    outputs = estimated.program.types[estimated.program.graph.outputs[0]].element_count
    decide_s = outputs * CYCLES_PER_OPERATION.value / 160e6
    infer_s = float(inference.latency.value)
    mode = device.sleep_mode(int(float(inference.ram.value)))
    assert mode is not None
    sleep_w = mode[1].current_a.value * mode[1].voltage_v.value
    wake_s = mode[1].wake_s.value if mode[1].wake_s else 0.0
    asleep_s = 10.0 - (wake_s + pre_s + infer_s + decide_s + 0.005 * 2e-3)
    battery_w = 0.79e-6 * 3.7
    by_hand = {
        "sleep": sleep_w * asleep_s,
        "sensor waits": 20e-6 * 1.8 * 10,
        "sense": (130e-6 - 20e-6) * 1.8 * 1.0,
        "pre-process": run_w * pre_s,
        "infer": run_w * infer_s,
        "decide": run_w * decide_s,
        "transmit": 0.005 * (20e-6 + 8 * 0.19e-6),
        "converter": 500e-9 * 3.7 * 10,
        "leakage": battery_w * 10,
    }
    found = {entry.name: float(entry.energy.value) for entry in ledger.entries}
    assert set(by_hand) <= set(found) <= set(by_hand) | {"wake", "conversion"}
    for name, joules in by_hand.items():
        assert found[name] == pytest.approx(joules, rel=1e-9), name


def test_a_converter_s_loss_is_the_rest_of_its_efficiency() -> None:
    scenario = merged(HOTWORD, Scenario(source=Source(converter="bq25570")))
    estimated, question = made(scenario)
    ledger = estimated.cycle(question).ledger(0.1)
    used = sum(
        float(entry.energy.value)
        for entry in ledger.entries
        if entry.name not in {"conversion", "converter", "leakage"}
    )
    lost = ledger.entry("conversion")
    assert lost is not None
    assert float(lost.energy.value) == pytest.approx(used * (1 / 0.87 - 1), rel=1e-12)
    # from 60 to 92 % of efficiency
    assert lost.interval.low < used * (1 / 0.87 - 1) < lost.interval.high
    assert float(lost.interval.high) < used * (1 / 0.6 - 1) * 1.6


@pytest.mark.parametrize("name", scenarios())
def test_the_ledger_sums_to_the_average_power(name: str) -> None:
    scenario = load_scenario(name)
    estimated, question = made(scenario)
    assert question.rate_hz is not None
    cycle = estimated.cycle(question)
    ledger = cycle.ledger(question.rate_hz)
    parts = 0.0
    for entry in ledger.entries:
        parts += float(entry.energy.value)
    assert float(ledger.energy.value) == parts  # to the last bit
    assert float(ledger.average.value) == parts * question.rate_hz
    assert sum(float(ledger.share_ratio(e)) for e in ledger.entries) == pytest.approx(1.0)
    # the same sum in its other form
    other = cycle.average_w(question.rate_hz)
    assert float(other.value) == pytest.approx(float(ledger.average.value), rel=1e-9)
    assert float(other.high) == pytest.approx(float(ledger.average.high), rel=1e-6)
    assert float(other.low) == pytest.approx(float(ledger.average.low), rel=1e-6)


def test_many_rates_at_once_are_the_same_as_one_after_the_other(cycle: Cycle) -> None:
    rates = np.geomspace(1e-4, 5.0, 23)
    together = cycle.ledger(rates)
    average = np.asarray(together.average.value)
    for i, rate in enumerate(rates):
        alone = cycle.ledger(float(rate)).average
        assert average[i] == alone.value
        assert np.asarray(together.average.low)[i] == pytest.approx(alone.low, rel=1e-12)
        assert np.asarray(together.average.high)[i] == pytest.approx(alone.high, rel=1e-12)


def test_many_areas_at_once_are_the_same_as_one_after_the_other(
    hotword: tuple[Estimate, Question],
) -> None:
    estimated, question = hotword
    question = replace(question, converter=library.converter("bq25570"))
    areas = np.geomspace(1e-5, 1.0, 31)
    cycle = estimated.cycle(question)
    many = replace(cycle, chain=replace(cycle.chain, area_m2=areas)).sustainable_hz()
    for i, area in enumerate(areas):
        one = replace(cycle, chain=replace(cycle.chain, area_m2=float(area))).sustainable_hz()
        assert np.asarray(many.value)[i] == pytest.approx(float(one.value), rel=1e-12)
        if one.value:
            assert np.asarray(many.high)[i] == pytest.approx(float(one.high), rel=1e-9)
            assert np.asarray(many.low)[i] == pytest.approx(float(one.low), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(rate=st.floats(1e-5, 1e-2), factor=st.floats(1.01, 10))
def test_what_always_goes_on_does_not_depend_on_the_rate(
    cycle: Cycle, rate: float, factor: float
) -> None:
    slow, fast = cycle.average_w(rate), cycle.average_w(rate * factor)
    difference = float(fast.value) - float(slow.value)
    assert difference == pytest.approx(float(cycle.cycle_j.value) * rate * (factor - 1), rel=1e-6)


def test_a_cascade_adds_its_share_of_the_larger_network() -> None:
    small = Scenario(model="zoo:tiny-vww", device="stm32u575", rate_hz=1.0)
    alone, question = made(small)
    whole = load_scenario("pest-spotting")
    both, cascade = made(replace(whole, transmit=Transmit(), sense=Sense(), source=Source()))
    assert both.second is not None
    without = float(alone.cycle(question).steps_j.value)
    with_second = float(both.cycle(cascade).steps_j.value)
    share = 0.2 * float(both.second.energy.value)
    assert with_second == pytest.approx(without + share, rel=1e-9)


def test_a_processor_that_runs_while_it_senses_pays_for_it() -> None:
    asleep, question = made(HOTWORD)
    running, _ = made(HOTWORD)
    awake = replace(question, around=replace(question.around, sense_running=True))
    a, b = asleep.cycle(question), running.cycle(awake)
    assert float(b.steps_j.value - a.steps_j.value) == pytest.approx(25e-3 * 1.0, rel=1e-9)
    assert float(b.busy.value - a.busy.value) == pytest.approx(1.0, rel=1e-9)


def test_readings_are_priced_one_by_one() -> None:
    estimated, question = made(load_scenario("person-detection"))
    entry = estimated.cycle(question).ledger(0.5).entry("sense")
    assert entry is not None and entry.time is not None
    assert float(entry.energy.value) == pytest.approx(2 * 37e-6)
    assert float(entry.time.value) == pytest.approx(2 * 33e-3)


def test_an_engine_has_neither_sleep_nor_time() -> None:
    estimated, question = made(Scenario(model="zoo:digits", device="dsp-20pj", rate_hz=1.0))
    cycle = estimated.cycle(question)
    assert cycle.latency is None and cycle.fastest_hz is None
    macs = estimated.program.cost.macs
    assert float(cycle.ledger(1.0).average.value) == pytest.approx(macs * 20e-12)


def test_a_front_end_on_an_engine_costs_its_operations() -> None:
    scenario = merged(HOTWORD, Scenario(device="dsp-20pj"))
    estimated, question = made(scenario)
    entry = estimated.cycle(question).ledger(0.1).entry("pre-process")
    cost = question.around.front_end
    assert entry is not None and cost is not None and entry.time is None
    assert float(entry.energy.value) == pytest.approx((cost.macs + cost.alu) * 20e-12)


def test_a_rate_beyond_what_the_processor_can_do_is_not_sustained(cycle: Cycle) -> None:
    flooded = replace(cycle, chain=replace(cycle.chain, area_m2=1e6))
    fastest = cycle.fastest_hz
    assert fastest is not None
    assert flooded.sustainable_hz().value == fastest.value


def test_an_analog_converter_runs_beside_its_sensor() -> None:
    plain, question = made(HOTWORD)
    more = replace(question, around=replace(question.around, sense_w=1e-4))
    a, b = plain.cycle(question), plain.cycle(more)
    assert float(b.steps_j.value - a.steps_j.value) == pytest.approx(1e-4 * 1.0, rel=1e-9)
