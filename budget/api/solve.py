"""The inverse question: what must one thing be, so that the rest holds?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from budget import units
from budget.api.check import Estimate, check_prepared, estimate
from budget.api.models import Model, prepare
from budget.api.question import (
    Question,
    device_of,
    model_of,
    question_of,
    require,
    scenario_of,
)
from budget.errors import UsageError
from budget.estimate.inference import InferenceEstimate
from budget.graph import Graph
from budget.hardware import library
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Quantity, exact
from budget.records import record
from budget.scenario.cycle import Cycle, build_cycle
from budget.scenario.schema import Scenario
from budget.scenario.solve import (
    area_and_storage_for,
    area_for,
    bracketed,
    clock_for,
    energy_per_mac_for,
    macs_for,
    storage_for,
)

ENGINE = "1pJ/MAC"
"""Stands in for the device where the answer does not depend on one."""


@record
class Solution:
    """What the unknown must be.

    Attributes:
        unknown: as asked, such as ``area``.
        values: by name; one, or several that belong together.
        text: the answer in words.
        model: name of the network, or its count of MACs.
        device: name of the hardware.
        notes: limits and assumptions.
    """

    unknown: str
    values: dict[str, Quantity]
    text: str
    model: str
    device: str
    notes: tuple[str, ...] = ()

    @property
    def quantity(self) -> Quantity:
        """The first value."""
        return next(iter(self.values.values()))

    @property
    def found(self) -> bool:
        """Whether there is an answer: finite and above zero."""
        return all(0 < float(q.value) < math.inf for q in self.values.values())

    @property
    def exit_code(self) -> int:
        """0 if there is an answer, 1 if nothing will do."""
        return 0 if self.found else 1

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA, finite_document

        values = {name: finite_document(quantity) for name, quantity in self.values.items()}
        return {
            "schema": SCHEMA,
            "command": "solve",
            "for": self.unknown,
            "model": self.model,
            "device": self.device,
            "found": self.found,
            "solution": next(iter(values.values())) if len(values) == 1 else values,
            "text": self.text,
            "notes": list(self.notes),
        }


def solve(
    model: str | Path | Graph | None = None,
    *,
    unknown: str,
    scenario: str | Path | Scenario | None = None,
    precision: str | None = None,
) -> Solution:
    """Solves a scenario for one unknown.

    Args:
        model: a path, ``zoo:NAME``, a graph, or a count such as ``7.5MMAC``; default: the
            scenario's.
        unknown: one of `UNKNOWNS`; ``area,storage`` for both at once.
        scenario: everything that is known: an id, a TOML file, or a `Scenario`.
        precision: see `check`.

    Raises:
        BudgetError: something needed is missing, or see `check`.
    """
    if unknown not in UNKNOWNS:
        raise UsageError(
            f"'{unknown}' cannot be solved for",
            where="--for",
            hint=f"one of {'  '.join(UNKNOWNS)}",
        )
    life = scenario_of(scenario, Scenario())
    for option, given, example in _NEEDS[unknown]:
        require(given(life), option, example)
    if not life.device and unknown == "energy-per-mac":
        life = replace(life, device=ENGINE)
    require(life.device, "device", "--device efm32pg12 or --device 20pJ/MAC")
    if unknown in {"area", "area,storage"} and life.source.area_m2 is None:
        life = replace(life, source=replace(life.source, area_m2=1e-4))
    problem = _problem(model_of(life, model), life, precision)
    values, text, notes = UNKNOWNS[unknown](problem)
    return Solution(
        unknown,
        values,
        text,
        problem.name,
        "hardware to be found" if problem.device.id == ENGINE else problem.device.name,
        tuple(dict.fromkeys([*notes, *problem.cycle.notes])),
    )


@record
class _Problem:
    """Everything known, loaded and priced."""

    name: str
    macs: int
    device: Device
    question: Question
    cycle: Cycle
    clock_hz: float | None
    model: Model | None
    estimate: Estimate | None

    @property
    def rate_hz(self) -> float:
        assert self.question.rate_hz is not None
        return self.question.rate_hz

    @property
    def deadline_s(self) -> float:
        if self.question.deadline_s is not None:
            return self.question.deadline_s
        return 1.0 / self.rate_hz


def _problem(chosen: str | Path | Graph, life: Scenario, precision: str | None) -> _Problem:
    question = question_of(life)
    device = device_of(life.device)
    text = str(chosen) if not isinstance(chosen, Graph) else ""
    if text[:1].isdigit() and text.endswith(("MAC", "MACs")):
        macs = int(units.parse(text, "macs"))
        if device.engine is None:
            raise UsageError(
                f"a count of MACs does not say how long {device.id} takes",
                where=text,
                hint="give a model, or --device 20pJ/MAC",
            )
        inference = _counted(macs, device)
        chain = question.chain(3.0)
        runtime = library.runtime(life.runtime or "rule-of-thumb")
        cycle = build_cycle(device, runtime, inference, None, chain)
        return _Problem(units.format(macs, "MAC"), macs, device, question, cycle, None, None, None)
    model = prepare(chosen, precision=precision)
    estimated = estimate(model, device, runtime=life.runtime or None, question=question)
    return _Problem(
        model.name,
        estimated.program.cost.macs,
        device,
        question,
        estimated.cycle(question),
        estimated.inference.clock_hz,
        model,
        estimated,
    )


def _counted(macs: int, device: Device) -> InferenceEstimate:
    """An inference of which nothing is known but its multiply-accumulates."""
    none = exact(0.0, "bytes")
    energy = (device.mac_energy_j("conv") * macs).as_unit("J")
    return InferenceEstimate(None, None, None, None, None, energy, device.boundary, none, none, ())


_Answer = tuple[dict[str, Quantity], str, list[str]]


def _area(problem: _Problem) -> _Answer:
    chain = problem.cycle.chain
    source = chain.source
    assert source is not None
    if source.power_density_w_per_m2 is None:
        raise UsageError(
            f"the power of {source.id} does not depend on an area",
            where="--for area",
            hint="solve for rate, or take a source with a power density",
        )
    ledger = problem.cycle.ledger(problem.rate_hz)
    area = area_for(chain, ledger.average)
    return {"area": area}, f"{_said(area)} of {source.name.lower()}", []


def _rate(problem: _Problem) -> _Answer:
    rate = problem.cycle.sustainable_hz()
    text = units.format_rate(float(rate.value))
    fastest = problem.cycle.fastest_hz
    notes = []
    if fastest is not None and float(rate.value) >= float(fastest.value) * (1 - 1e-9):
        notes.append("the processor sets the limit, not the source")
    if float(rate.value) <= 0:
        standing = problem.cycle.standing_w
        text = f"no rate: {_said(standing)} are needed without any inference"
    return {"rate": rate}, text, notes


def _energy_per_mac(problem: _Problem) -> _Answer:
    energy = energy_per_mac_for(problem.cycle, problem.rate_hz, problem.macs)
    text = f"{_said(energy)} at most, for {units.format(problem.macs, 'MAC')}"
    return {"energy_per_mac": energy}, text, []


def _storage(problem: _Problem) -> _Answer:
    question, chain = problem.question, problem.cycle.chain
    if chain.source is None:
        require(question.life_s, "life or source", "--life 1year, or --source with --gap")
        duration: Quantity | None = exact(question.life_s or 0.0, "s")
    else:
        duration = chain.longest_gap_s
    require(duration, "gap", "--gap 14h")
    assert duration is not None
    energy = storage_for(problem.cycle, problem.rate_hz, duration)
    values, text = {"storage": energy}, _storage_text(energy, question)
    return values, f"{text}, for {_said(duration)}", []


def _storage_text(energy: Quantity, question: Question) -> str:
    storage = question.storage
    if not math.isfinite(float(energy.value)):
        return "no storage: it leaks more than it holds"
    text = _said(energy)
    if storage is not None and storage.capacitance_f is not None:
        share = float(energy.value) / float(storage.energy_j.value)
        farads = storage.capacitance_f.value * share
        return f"{text}, {units.format(farads, 'F')} at the voltages of {storage.id}"
    volts = storage.voltage_v.value if storage is not None else 3.0
    return f"{text}, {units.format(float(energy.value) / volts, 'C')} at {volts:g} V"


def _clock(problem: _Problem) -> _Answer:
    """Lowest clock that meets the deadline.

    Latency is cycles over clock, but flash waits more cycles in each band of clocks: the bands
    are tried from the lowest.
    """
    device, highest = problem.device, problem.device.max_hz
    if problem.clock_hz is None or problem.model is None or highest is None:
        raise UsageError(
            f"{device.id} has no clock", where="--for clock", hint="take a microcontroller"
        )
    bands = [row.up_to_hz.value for row in device.flash.wait_states] if device.flash else []
    clock = exact(math.inf, "Hz")
    for top in sorted({min(band, highest) for band in bands} | {highest}):
        found = clock_for(_cycle_at(problem, top), top, problem.deadline_s)
        assert found is not None
        clock = found
        if float(clock.value) <= top:
            break
    notes = []
    least = device.clock.min_hz if device.clock else None
    if float(clock.value) > highest:
        notes.append(f"{device.id} reaches {units.format(highest, 'Hz')} only")
    if least is not None and float(clock.value) < least.value:
        notes.append(f"{device.id} starts at {units.format(least.value, 'Hz')}")
    deadline = units.format(problem.deadline_s, "s")
    return {"clock": clock}, f"{_said(clock)} to decide within {deadline}", notes


def _cycle_at(problem: _Problem, clock_hz: float) -> Cycle:
    assert problem.model is not None and problem.estimate is not None
    question = replace(problem.question, clock_hz=clock_hz)
    runtime = problem.estimate.runtime.id
    found = estimate(problem.model, problem.device, runtime=runtime, question=question)
    return found.cycle(question)


def _macs(problem: _Problem) -> _Answer:
    energy = problem.cycle.chain.source is not None
    macs = macs_for(problem.cycle, problem.rate_hz, problem.macs, problem.deadline_s, energy=energy)
    have = units.format(problem.macs, "MAC")
    return {"macs": macs}, f"{_said(macs)} of the same mix ({problem.name} has {have})", []


def _deadline(problem: _Problem) -> _Answer:
    latency = problem.cycle.latency
    if latency is None:
        raise UsageError(
            f"the profile of {problem.device.id} has no throughput",
            where="--for deadline",
            hint="take a microcontroller, or an engine with macs_per_s",
        )
    return {"deadline": latency}, f"{_said(latency)} from the data to the decision", []


def _voltage(problem: _Problem) -> _Answer:
    """Highest supply voltage at which the source still feeds the device."""
    model, device, question = problem.model, problem.device, problem.question
    supply = device.supply
    if model is None or supply is None or supply.min_v is None or supply.max_v is None:
        raise UsageError(
            f"{device.id} has no range of supply voltages",
            where="--for voltage",
            hint="take a microcontroller whose profile has supply.min_v and supply.max_v",
        )
    runtime = problem.estimate.runtime.id if problem.estimate else None

    def need_over_have(voltage_v: float) -> float:
        asked = replace(question, voltage_v=voltage_v)
        found = check_prepared(model, device, runtime=runtime, question=asked)
        power = next(c for c in found.constraints if c.name == "power")
        assert power.need is not None and power.have is not None
        return float(power.need.value) / float(power.have.value)

    low, high = supply.min_v.value, supply.max_v.value
    if need_over_have(low) > 1:
        text = f"none: even {units.format(low, 'V')} are too much for the source"
        return {"voltage": exact(0.0, "V")}, text, []
    if need_over_have(high) <= 1:
        found, notes = high, ["every voltage of its range will do"]
    else:
        found, notes = bracketed(need_over_have, 1.0, low, high), []
    voltage = exact(found, "V")
    return {"voltage": voltage}, f"{_said(voltage)} at most", notes


def _area_and_storage(problem: _Problem) -> _Answer:
    gap = problem.cycle.chain.longest_gap_s
    require(gap, "gap", "--gap 14h")
    assert gap is not None and problem.cycle.chain.source is not None
    area, storage = area_and_storage_for(problem.cycle, problem.rate_hz, gap)
    text = f"{_said(area)} of {problem.cycle.chain.source.name.lower()} with "
    text += f"{_storage_text(storage, problem.question)}, for gaps of {_said(gap)}"
    notes = []
    if float(problem.question.present_ratio) >= 1:
        notes.append("the gap is an exception here: give --present where it comes every day")
    return {"area": area, "storage": storage}, text, notes


UNKNOWNS: dict[str, Callable[[_Problem], _Answer]] = {
    "area": _area,
    "rate": _rate,
    "energy-per-mac": _energy_per_mac,
    "storage": _storage,
    "clock": _clock,
    "voltage": _voltage,
    "macs": _macs,
    "deadline": _deadline,
    "area,storage": _area_and_storage,
}
"""What can be solved for."""

_Need = tuple[str, Callable[[Scenario], object], str]
_RATE: _Need = ("rate", lambda life: life.rate_hz, "--rate 1/s")
_SOURCE: _Need = ("source", lambda life: life.source.harvester, "--source indoor-light")
_TIME: _Need = (
    "rate or deadline", lambda life: life.deadline_s or life.rate_hz, "--deadline 50ms",
)  # fmt: skip
_NEEDS: dict[str, tuple[_Need, ...]] = {
    "area": (_RATE, _SOURCE),
    "rate": (_SOURCE,),
    "energy-per-mac": (_RATE, _SOURCE),
    "storage": (_RATE,),
    "clock": (_TIME,),
    "voltage": (_RATE, _SOURCE),
    "macs": (_RATE,),
    "deadline": (),
    "area,storage": (_RATE, _SOURCE),
}


def _said(quantity: Quantity) -> str:
    return units.format(float(quantity.value), quantity.unit)
