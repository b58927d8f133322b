"""Answers to inverse questions, put back into the check, land on the line."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.api.check import Check, Estimate, check, estimate, judge_estimate
from budget.api.models import prepare
from budget.api.question import device_of, question_of
from budget.api.solve import UNKNOWNS, Solution, solve
from budget.errors import UsageError
from budget.hardware import library
from budget.scenario.schema import Scenario, Source, load_scenario, merged, scenarios
from budget.scenario.solve import area_for, bracketed, without_inference
from budget.scenario.source import Chain
from budget.verdict import Status, Verdict


@cache
def priced(model: str, device: str, clock_hz: float | None = None) -> Estimate:
    question = question_of(Scenario(clock_hz=clock_hz))
    return estimate(prepare(model), device_of(device), runtime=None, question=question)


def judged(scenario: Scenario) -> Check:
    found = priced(scenario.model, scenario.device, scenario.clock_hz)
    return judge_estimate(found, question_of(scenario))


def margin(found: Check, name: str) -> float:
    ratio = next(c.margin_ratio for c in found.constraints if c.name == name)
    assert ratio is not None
    return ratio


def life(rate_hz: float, area_m2: float, converter: str = "", storage: str = "") -> Scenario:
    return Scenario(
        model="zoo:hotword",
        device="stm32u575",
        rate_hz=rate_hz,
        storage=storage,
        source=Source(harvester="amorphous-500lx", area_m2=area_m2, converter=converter),
    )


rates = st.floats(1e-3, 3.0)
areas = st.floats(1e-4, 0.1)
converters = st.sampled_from(["", "bq25570", "bq25570-measured", "aem10941", "ltc3588"])
storages = st.sampled_from(["", "lipo-12mah", "supercap-7.5f"])


@settings(max_examples=25, deadline=None)
@given(rate=rates, converter=converters, storage=storages)
def test_the_area_lands_on_the_line(rate: float, converter: str, storage: str) -> None:
    asked = life(rate, 1e-3, converter, storage)
    solution = solve(unknown="area", scenario=asked)
    area = float(solution.quantity.value)
    if not solution.found:
        assert converter == "ltc3588"  # which works from 2.7 V, more than the cell gives
        return
    found = judged(life(rate, area, converter, storage))
    assert margin(found, "power") == pytest.approx(1.0, rel=1e-6)
    power = next(c for c in found.constraints if c.name == "power")
    assert power.status is Status.UNSURE  # on the line, the intervals overlap


@settings(max_examples=25, deadline=None)
@given(area=areas, converter=converters)
def test_the_rate_lands_on_the_line(area: float, converter: str) -> None:
    asked = life(1.0, area, converter)
    solution = solve(unknown="rate", scenario=asked)
    rate = float(solution.quantity.value)
    if not rate:
        return
    found = judged(life(rate, area, converter))
    if margin(found, "power") != pytest.approx(1.0, rel=1e-6):
        # the processor sets the limit; the period is judged where it differs from the latency
        limits = [c.margin_ratio for c in found.constraints if c.name in {"deadline", "period"}]
        assert min(x for x in limits if x is not None) == pytest.approx(1.0, rel=2e-3)


@settings(max_examples=15, deadline=None)
@given(rate=st.floats(0.01, 1.0), area=st.floats(1e-3, 1.0))
def test_the_energy_per_mac_lands_on_the_line(rate: float, area: float) -> None:
    source = Source(harvester="10uW/cm2", area_m2=area)
    asked = Scenario(model="zoo:digits", rate_hz=rate, source=source)
    energy = float(solve(unknown="energy-per-mac", scenario=asked).quantity.value)
    back = replace(asked, device=f"{energy!r}J/MAC")
    found = judged(back)
    assert margin(found, "power") == pytest.approx(1.0, rel=1e-9)
    assert judged(replace(asked, device=f"{energy * 1.001!r}J/MAC")).verdict is Verdict.DOES_NOT_FIT
    assert judged(replace(asked, device=f"{energy * 0.999!r}J/MAC")).verdict is Verdict.FITS


@settings(max_examples=10, deadline=None)
@given(deadline=st.floats(0.03, 1.0))
def test_the_clock_lands_on_the_line(deadline: float) -> None:
    asked = Scenario(model="zoo:hotword", device="stm32u575", deadline_s=deadline)
    solution = solve(unknown="clock", scenario=asked)
    clock = float(solution.quantity.value)
    found = check(scenario=replace(asked, clock_hz=clock))
    assert margin(found, "deadline") == pytest.approx(1.0, rel=1e-3)


def test_a_clock_out_of_reach_is_said() -> None:
    asked = Scenario(model="zoo:hotword", device="efm32pg12", deadline_s=1e-3)
    solution = solve(unknown="clock", scenario=asked)
    assert any("reaches 40 MHz" in note for note in solution.notes)
    slow = Scenario(model="zoo:hotword", device="efm32pg12", deadline_s=60.0)
    assert any("starts at" in note for note in solve(unknown="clock", scenario=slow).notes)


def test_the_deadline_is_the_latency() -> None:
    asked = Scenario(model="zoo:hotword", device="stm32u575")
    deadline = float(solve(unknown="deadline", scenario=asked).quantity.value)
    assert margin(check(scenario=replace(asked, deadline_s=deadline)), "deadline") == 1.0


@settings(max_examples=15, deadline=None)
@given(rate=st.floats(0.01, 10.0), area=st.floats(1e-3, 0.1))
def test_the_macs_scale_the_network_onto_the_line(rate: float, area: float) -> None:
    """A network of so many MACs, of the same mix, takes its share of time and energy."""
    asked = life(rate, area)
    estimated = priced("zoo:hotword", "stm32u575")
    macs = float(solve(unknown="macs", scenario=asked).quantity.value)
    factor = macs / estimated.program.cost.macs
    cycle = estimated.cycle(question_of(asked))
    steps = []
    for step in cycle.steps:
        if step.name == "infer":
            assert step.time is not None
            step = replace(step, energy=step.energy * factor, time=step.time * factor)
        steps.append(step)
    busy = float(without_inference(cycle).busy.value) + float(steps[0].time.value) * 0  # type: ignore[union-attr]
    infer = next(step for step in steps if step.name == "infer")
    assert infer.time is not None
    scaled = replace(cycle, steps=tuple(steps), busy=infer.time + busy)
    have = float(cycle.chain.charging_w.value)
    power = have / float(scaled.average_w(rate).value)
    latency = (1 / rate) / (float(infer.time.value) + _decide_s(steps))
    if factor:
        assert min(power, latency) == pytest.approx(1.0, rel=1e-6)
    else:
        assert have <= float(cycle.standing_w.value) * 1.001


def _decide_s(steps: list) -> float:  # type: ignore[type-arg]
    return sum(float(s.time.value) for s in steps if s.name == "decide" and s.time is not None)


@settings(max_examples=20, deadline=None)
@given(rate=rates, gap=st.floats(60, 3e5), storage=storages)
def test_the_storage_lands_on_the_line(rate: float, gap: float, storage: str) -> None:
    asked = replace(life(rate, 1e-2, "aem10941", storage))
    asked = replace(asked, source=replace(asked.source, gap_s=gap))
    energy = solve(unknown="storage", scenario=asked).quantity
    if not math.isfinite(float(energy.value)):
        return
    # follow the gap by hand: load and a leakage that grows with the storage
    estimated = priced("zoo:hotword", "stm32u575")
    cycle = estimated.cycle(question_of(asked))
    load = float(cycle.average_w(rate).value) - float(cycle.chain.leakage_w.value)
    leak = 0.0
    if storage:
        named = library.storage(storage)
        assert named.leakage_a is not None
        leak = named.leakage_a.value * named.voltage_v.value / float(named.energy_j.value)
    used = (load + leak * float(energy.value)) * gap + float(cycle.cycle_j.value)
    assert used == pytest.approx(float(energy.value), rel=1e-9)


def test_a_storage_given_as_an_energy_lands_on_the_line() -> None:
    asked = life(0.1, 1e-2)
    energy = float(solve(unknown="storage", scenario=asked).quantity.value)
    found = judged(replace(asked, storage=f"{energy!r}J"))
    assert margin(found, "storage") == pytest.approx(1.0, rel=1e-9)


def test_a_life_asks_for_a_storage() -> None:
    asked = Scenario(model="zoo:hotword", device="stm32u575", rate_hz=0.1, life_s=1e7, storage="1J")
    energy = float(solve(unknown="storage", scenario=asked).quantity.value)
    found = judged(replace(asked, storage=f"{energy!r}J"))
    assert margin(found, "life") == pytest.approx(1.0, rel=1e-3)
    assert "mAh" in solve(unknown="storage", scenario=asked).text


def test_area_and_storage_together_carry_the_device_through_every_day() -> None:
    asked = life(0.1, 1e-3, "aem10941", "supercap-7.5f")
    asked = replace(asked, source=replace(asked.source, gap_s=50400.0, present_ratio=10 / 24))
    solution = solve(unknown="area,storage", scenario=asked)
    area, storage = (float(q.value) for q in solution.values.values())
    # a storage of that size, of the same make
    farads = 7.5 * storage / (7.5 * (5.5**2 - 1.8**2) / 2)
    cycle = priced("zoo:hotword", "stm32u575").cycle(
        question_of(replace(asked, source=replace(asked.source, area_m2=area)))
    )
    leak = 71.5e-6 * 5.5 * farads / 7.5
    load = float(cycle.average_w(0.1).value) - float(cycle.chain.leakage_w.value)
    assert float(cycle.chain.charging_w.value) == pytest.approx(load + leak, rel=1e-9)
    once = float(cycle.cycle_j.value)
    assert (load + leak) * 50400 + once == pytest.approx(storage, rel=1e-9)
    assert solution.to_json()["solution"].keys() == {"area", "storage"}


def test_a_storage_that_leaks_faster_than_it_lasts_is_no_answer() -> None:
    asked = life(0.1, 1e-3, "", "tantalum-10uf")
    asked = replace(asked, source=replace(asked.source, gap_s=86400.0))
    for unknown in ("storage", "area,storage"):
        solution = solve(unknown=unknown, scenario=asked)
        assert not solution.found and solution.exit_code == 1
        assert "leaks" in solution.text
        assert None in (solution.to_json()["solution"] or {"x": None}).values()


def test_the_voltage_lands_on_the_line() -> None:
    asked = Scenario(
        model="zoo:hotword",
        device="stm32l4r5",
        supply="ldo",
        rate_hz=0.1,
        source=Source(harvester="1mW"),
    )
    device = library.device("stm32l4r5")
    supply = "ldo" if "ldo" in device.supplies else ""
    asked = replace(asked, supply=supply)
    at_low = check(scenario=replace(asked, voltage_v=1.9))
    power = next(c for c in at_low.constraints if c.name == "power")
    assert power.need is not None
    asked = replace(asked, source=Source(harvester=f"{float(power.need.value) * 1.2!r}W"))
    voltage = solve(unknown="voltage", scenario=asked).quantity
    found = check(scenario=replace(asked, voltage_v=float(voltage.value)))
    ratio = margin(found, "power")
    top = device.supply.max_v.value if device.supply and device.supply.max_v else 0.0
    assert ratio == pytest.approx(1.0, rel=1e-6) or float(voltage.value) == top
    starved = replace(asked, source=Source(harvester="1nW"))
    assert not solve(unknown="voltage", scenario=starved).found
    rich = replace(asked, source=Source(harvester="1W"))
    assert "every voltage" in solve(unknown="voltage", scenario=rich).notes[0]


def test_the_article_s_figures() -> None:
    source = Source(harvester="10uW/cm2", area_m2=1e-3)
    person = solve("7.5MMAC", unknown="energy-per-mac", scenario=Scenario(rate_hz=1, source=source))
    assert float(person.quantity.value) == pytest.approx(13.3e-12, rel=0.01)
    assert "13 pJ/MAC" in person.text
    large = solve("1.5GMAC", unknown="energy-per-mac", scenario=Scenario(rate_hz=1, source=source))
    assert float(large.quantity.value) == pytest.approx(67e-15, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(scenarios()),
    area=st.floats(1e-5, 1.0),
    more=st.floats(1.0, 100.0),
    converter=converters,
)
def test_more_area_never_worsens_a_verdict(
    name: str, area: float, more: float, converter: str
) -> None:
    scenario = merged(load_scenario(name), Scenario(source=Source(converter=converter)))
    found = _whole(name)

    def verdict(area_m2: float) -> Verdict:
        asked = replace(scenario, source=replace(scenario.source, area_m2=area_m2))
        return judge_estimate(found, question_of(asked)).verdict

    order = [Verdict.DOES_NOT_FIT, Verdict.TOO_CLOSE, Verdict.FITS]
    assert order.index(verdict(area * more)) >= order.index(verdict(area))


@cache
def _whole(name: str) -> Estimate:
    scenario = load_scenario(name)
    question = question_of(scenario)
    device = library.device(scenario.device)
    return estimate(prepare(scenario.model), device, runtime=None, question=question)


@given(st.floats(1e-6, 1e6), st.floats(0.2, 3.0))
def test_bracketing_finds_where_a_rising_function_crosses(target: float, power: float) -> None:
    found = bracketed(lambda x: x**power, target, 1e-60, 1e60)
    assert found**power == pytest.approx(target, rel=1e-9)


def test_bracketing_at_the_ends() -> None:
    assert bracketed(lambda x: x, 0.5, 1.0, 2.0) == 1.0
    assert bracketed(lambda x: x, 3.0, 1.0, 2.0) == math.inf


def test_no_area_is_enough_for_a_converter_that_is_blind() -> None:
    chain = Chain(library.harvester("jacket-thermal"), 1e-3, library.converter("bq25570"))
    assert area_for(chain, library.harvester("beeby-vibration").power()).value == math.inf


REFUSED = {
    "unknown": ("colour", Scenario(), "cannot be solved for"),
    "no rate": ("area", Scenario(device="stm32u575", model="zoo:digits"), "no rate"),
    "no source": ("rate", Scenario(device="stm32u575", model="zoo:digits"), "no source"),
    "no clock": (
        "clock",
        Scenario(device="dsp-20pj", model="zoo:digits", rate_hz=1.0),
        "has no clock",
    ),
    "no throughput": (
        "deadline",
        Scenario(device="dsp-20pj", model="zoo:digits"),
        "no throughput",
    ),
    "no voltages": (
        "voltage",
        Scenario(
            device="dsp-20pj", model="zoo:digits", rate_hz=1.0, source=Source(harvester="1mW")
        ),
        "supply voltages",
    ),
    "fixed power": (
        "area",
        Scenario(
            device="stm32u575", model="zoo:digits", rate_hz=1.0, source=Source(harvester="1mW")
        ),
        "does not depend on an area",
    ),
    "count without an engine": (
        "macs",
        Scenario(device="stm32u575", model="7MMAC", rate_hz=1.0),
        "how long",
    ),
    "no gap": (
        "storage",
        Scenario(
            device="stm32u575", model="zoo:digits", rate_hz=1.0, source=Source(harvester="1mW")
        ),
        "no gap",
    ),
}


@pytest.mark.parametrize(("unknown", "scenario", "what"), REFUSED.values(), ids=REFUSED.keys())
def test_questions_that_cannot_be_answered(unknown: str, scenario: Scenario, what: str) -> None:
    with pytest.raises(UsageError, match=what) as error:
        solve(unknown=unknown, scenario=scenario)
    assert error.value.hint


def test_starvation_is_told() -> None:
    asked = Scenario(
        device="stm32u575", model="zoo:digits", source=Source(harvester="1nW"), rate_hz=1.0
    )
    solution = solve(unknown="rate", scenario=asked)
    assert not solution.found and "without any inference" in solution.text
    assert isinstance(solution, Solution) and set(UNKNOWNS) >= {"area", "rate"}
    assert Path(__file__).exists()
