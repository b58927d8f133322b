"""The verdict on one model, one device, one way of life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from budget.api.constraints import constraints_of
from budget.api.emitted_code import emitted_code
from budget.api.limits import limits_of
from budget.api.models import Model, prepare
from budget.api.question import (
    Question,
    device_of,
    model_of,
    question_of,
    require,
    require_sense,
    scenario_of,
)
from budget.api.remedies import remedies_for
from budget.api.removable import Removable, find_removable
from budget.estimate.inference import InferenceEstimate, LayerEstimate, estimate_inference
from budget.graph import Graph
from budget.hardware import library
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Figure, Quantity
from budget.hardware.runtime_profiles import Runtime
from budget.plan.fitting import plan_within
from budget.plan.planner import OWN_RUNTIME
from budget.plan.program import Program
from budget.records import record
from budget.scenario.average import AveragePower, average_power
from budget.scenario.cycle import Activity, Cycle, build_cycle
from budget.scenario.schema import Scenario, Source
from budget.verdict import Constraint, Remedy, Verdict, conclude

DEFAULT_RUNTIME = OWN_RUNTIME
DEFAULT_RAIL_V = 3.0  # where neither storage nor device says at what voltage a converter idles


@record
class Check:
    """A verdict with everything it rests on.

    Attributes:
        model: as read and as deployed.
        device: where it is to run.
        runtime: the software assumed; it prices cycles and memory.
        question: the rest of what was asked.
        program: steps and memory plan.
        removable: channels that are the same for every input, whether the runtime removes them
            or not.
        inference: cost of one inference.
        power: average power; None without a rate.
        harvest: power of the source, before any converter; None without one.
        constraints: each with need, have and status.
        verdict: what they add up to.
        remedies: changes, each alone sufficient for the constraint it names.
        binding: the layer that decides latency or energy; None if nothing runs.
        peak: the layer at which most RAM is alive.
        notes: assumptions made.
    """

    model: Model
    device: Device
    runtime: Runtime
    question: Question
    program: Program
    removable: Removable
    inference: InferenceEstimate
    power: AveragePower | None
    harvest: Quantity | None
    constraints: tuple[Constraint, ...]
    verdict: Verdict
    remedies: tuple[Remedy, ...]
    binding: LayerEstimate | None
    peak: LayerEstimate | None
    notes: tuple[str, ...]

    def figures(self) -> tuple[Figure, ...]:
        """Every figure that any shown result rests on, each once."""
        shown = [self.inference.cycles, self.inference.latency, self.inference.energy]
        shown += [self.inference.flash, self.inference.ram, self.harvest]
        shown += [q for c in self.constraints for q in (c.need, c.have)]
        found: dict[str, Figure] = {}
        for quantity in shown:
            found.update(quantity.figures if quantity is not None else {})
        return tuple(found.values())

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import check_document

        return check_document(self)


def check(
    model: str | Path | Graph | None = None,
    *,
    device: str | None = None,
    runtime: str | None = None,
    clock_hz: float | None = None,
    voltage_v: float | None = None,
    rate_hz: float | None = None,
    deadline_s: float | None = None,
    source: str | None = None,
    area_m2: float | None = None,
    scenario: str | Path | Scenario | None = None,
    precision: str | None = None,
    as_is: bool = False,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Check:
    """Decides whether a model fits a device's memory, deadline and energy source.

    Args:
        model: a path, ``zoo:NAME``, or a graph; default: the scenario's.
        device: a device's id, or a TOML file; default: the scenario's.
        runtime: default: the scenario's, else `DEFAULT_RUNTIME`.
        clock_hz: default: the device's highest clock. [Hz]
        voltage_v: supply; default: the profile's. [V]
        rate_hz: inferences per second; needed where a source is given. [1/s]
        deadline_s: longest latency; default: 1/rate. [s]
        source: a harvester's id, or a TOML file.
        area_m2: of the harvester. [m²]
        scenario: the rest of the device's life: an id, a TOML file, or a `Scenario`; what the
            other arguments say wins.
        precision: ``int8``, ``int16x8`` or ``float32``; default: what the file holds.
        as_is: fold and fuse nothing.
        inputs: see `load`.
        outputs: see `load`.
        input_shapes: see `load`.

    Raises:
        BudgetError: of the kind that says whose problem it is: usage, model, profile, tool.
    """
    life = scenario_of(
        scenario,
        Scenario(
            device=device or "",
            runtime=runtime or "",
            clock_hz=clock_hz,
            voltage_v=voltage_v,
            rate_hz=rate_hz,
            deadline_s=deadline_s,
            source=Source(harvester=source or "", area_m2=area_m2),
        ),
    )
    require(life.device, "device", "--device efm32pg12")
    chosen_device = device_of(life.device)
    question = question_of(life)
    prepared = prepare(
        model_of(life, model),
        precision=precision,
        as_is=as_is,
        inputs=inputs,
        outputs=outputs,
        input_shapes=input_shapes,
    )
    return check_prepared(prepared, chosen_device, runtime=life.runtime or None, question=question)


@record
class Estimate:
    """A model on a device, before anything is judged; every source is judged against the same.

    Attributes:
        model: as read and as deployed.
        device: where it is to run.
        runtime: the software assumed.
        program: steps and memory plan.
        removable: channels that are the same for every input.
        inference: cost of one inference.
        second: cost of one inference of the larger network that this one wakes, if any.
        second_program: its steps.
    """

    model: Model
    device: Device
    runtime: Runtime
    program: Program
    removable: Removable
    inference: InferenceEstimate
    second: InferenceEstimate | None = None
    second_program: Program | None = None

    def cycle(self, question: Question) -> Cycle:
        """The device's cycle in a scenario."""
        around, outputs = question.around, self.program.graph.outputs
        activity = Activity(
            around,
            self.second,
            around.second_ratio,
            sum(self.program.types[name].element_count for name in outputs),
        )
        chain = question.chain(self.inference.voltage_v or DEFAULT_RAIL_V)
        return build_cycle(self.device, self.runtime, self.inference, activity, chain)


def estimate(model: Model, device: Device, *, runtime: str | None, question: Question) -> Estimate:
    """Plans and prices a model, and the second one of a cascade, on a device."""
    chosen = library.runtime(runtime or DEFAULT_RUNTIME)
    program, inference = price(model, device, chosen, question)
    removable = find_removable(model.graph)
    second = question.around.second
    second_program, second_inference = (
        (None, None) if second is None else price(second, device, chosen, question)
    )
    return Estimate(
        model, device, chosen, program, removable, inference, second_inference, second_program
    )


def price(
    model: Model, device: Device, runtime: Runtime, question: Question
) -> tuple[Program, InferenceEstimate]:
    """Plans one network on a device and prices an inference of it."""
    program = plan_within(
        model.graph,
        runtime=runtime.plan_id,
        precision=model.precision,
        remove_constant_channels=runtime.removes_constant_channels,
        target=device.core,
        limits=limits_of(device, question.clock_hz),
    )
    inference = estimate_inference(
        program,
        device,
        runtime,
        code=emitted_code(model, program, device),
        clock_hz=question.clock_hz,
        voltage_v=question.voltage_v,
        supply=question.supply,
    )
    return program, inference


def estimate_in(
    life: Scenario,
    question: Question,
    model: str | Path | Graph | None,
    *,
    precision: str | None = None,
) -> Estimate:
    """`estimate` of a model in a scenario, on the scenario's device.

    Args:
        life: the scenario.
        question: what it asks.
        model: a path, ``zoo:NAME``, or a graph; None: the scenario's.
        precision: see `check`.

    Raises:
        BudgetError: no model is named, or it cannot be used.
    """
    return estimate(
        prepare(model_of(life, model), precision=precision),
        device_of(life.device),
        runtime=life.runtime or None,
        question=question,
    )


def check_prepared(
    model: Model, device: Device, *, runtime: str | None, question: Question
) -> Check:
    """`check` for a model that is loaded already: loops over devices and sources use it."""
    require_sense(question)
    return judge_estimate(estimate(model, device, runtime=runtime, question=question), question)


def judge_estimate(estimated: Estimate, question: Question) -> Check:
    """`check` for a model that is planned and priced already: loops over sources use it."""
    model, device, inference = estimated.model, estimated.device, estimated.inference
    program, runtime = estimated.program, estimated.runtime
    cycle = estimated.cycle(question)
    power = average_power(cycle, question.rate_hz) if question.rate_hz is not None else None
    harvest = question.source.power(question.area_m2) if question.source else None
    constraints = constraints_of(estimated, cycle, power, question)
    notes = [*model.notes, *program.notes, *inference.notes, *(cycle.notes if power else ())]
    layers = inference.layers
    return Check(
        model,
        device,
        runtime,
        question,
        program,
        estimated.removable,
        inference,
        power,
        harvest,
        constraints,
        conclude(constraints),
        remedies_for(constraints, device, runtime, inference, power, question, program),
        max(layers, key=lambda layer: layer.share_ratio, default=None),
        max(layers, key=lambda layer: layer.live_bytes, default=None),
        tuple(dict.fromkeys(notes)),
    )
