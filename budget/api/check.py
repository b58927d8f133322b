"""The verdict on one model, one device, one way of life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from budget.api.models import Model, prepare
from budget.api.remedies import remedies_for
from budget.api.removable import Removable, find_removable
from budget.errors import UsageError
from budget.estimate.inference import InferenceEstimate, LayerEstimate, estimate_inference
from budget.graph import Graph
from budget.hardware import library
from budget.hardware.device_profiles import Device
from budget.hardware.energy_profiles import Harvester
from budget.hardware.figure import Figure, Quantity, exact
from budget.hardware.runtime_profiles import Runtime
from budget.plan import plan
from budget.plan.program import Program
from budget.records import record
from budget.scenario.average import AveragePower, average_power
from budget.verdict import Constraint, Remedy, Verdict, conclude, judge, not_judged

DEFAULT_RUNTIME = "tflm-cmsis-nn"


@record
class Question:
    """What was asked beside the model and the device; SI units."""

    clock_hz: float | None = None
    voltage_v: float | None = None
    rate_hz: float | None = None
    deadline_s: float | None = None
    source: Harvester | None = None
    area_m2: float | None = None


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
        harvest: power of the source; None without one.
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
    model: str | Path | Graph,
    *,
    device: str,
    runtime: str | None = None,
    clock_hz: float | None = None,
    voltage_v: float | None = None,
    rate_hz: float | None = None,
    deadline_s: float | None = None,
    source: str | None = None,
    area_m2: float | None = None,
    precision: str | None = None,
    as_is: bool = False,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Check:
    """Decides whether a model fits a device's memory, deadline and energy source.

    Args:
        model: a path, ``zoo:NAME``, or a graph.
        device: a device's id, or a TOML file.
        runtime: default: `DEFAULT_RUNTIME`.
        clock_hz: default: the device's highest clock. [Hz]
        voltage_v: supply; default: the profile's. [V]
        rate_hz: inferences per second; needed where a source is given. [1/s]
        deadline_s: longest latency; default: 1/rate. [s]
        source: a harvester's id, or a TOML file.
        area_m2: of the harvester. [m²]
        precision: ``int8``, ``int16x8`` or ``float32``; default: what the file holds.
        as_is: fold and fuse nothing.
        inputs: see `load`.
        outputs: see `load`.
        input_shapes: see `load`.

    Raises:
        BudgetError: of the kind that says whose problem it is: usage, model, profile, tool.
    """
    chosen_device = library.device(device)
    prepared = prepare(
        model,
        precision=precision,
        as_is=as_is,
        inputs=inputs,
        outputs=outputs,
        input_shapes=input_shapes,
    )
    return check_prepared(
        prepared,
        chosen_device,
        runtime=runtime,
        question=Question(
            clock_hz,
            voltage_v,
            rate_hz,
            deadline_s,
            library.harvester(source) if source else None,
            area_m2,
        ),
    )


def check_prepared(
    model: Model, device: Device, *, runtime: str | None, question: Question
) -> Check:
    """`check` for a model that is loaded already: loops over devices and sources use it."""
    _require_sense(question)
    chosen_runtime = library.runtime(runtime or DEFAULT_RUNTIME)
    program = plan(
        model.graph,
        runtime=chosen_runtime.id,
        precision=model.precision,
        remove_constant_channels=chosen_runtime.removes_constant_channels,
    )
    inference = estimate_inference(
        program,
        device,
        chosen_runtime,
        clock_hz=question.clock_hz,
        voltage_v=question.voltage_v,
    )
    power = None
    if question.rate_hz is not None:
        power = average_power(device, inference, question.rate_hz)
    harvest = question.source.power(question.area_m2) if question.source else None
    constraints = _constraints(device, inference, power, harvest, question)
    notes = [*model.notes, *program.notes, *inference.notes, *(power.notes if power else ())]
    if harvest is not None:
        notes.append("power of the source is before any converter")
    layers = inference.layers
    return Check(
        model,
        device,
        chosen_runtime,
        question,
        program,
        find_removable(model.graph),
        inference,
        power,
        harvest,
        constraints,
        conclude(constraints),
        remedies_for(constraints, device, chosen_runtime, inference, power, question, program),
        max(layers, key=lambda layer: layer.share_ratio, default=None),
        max(layers, key=lambda layer: layer.live_bytes, default=None),
        tuple(dict.fromkeys(notes)),
    )


def _require_sense(question: Question) -> None:
    for name, value in (
        ("--rate", question.rate_hz),
        ("--deadline", question.deadline_s),
        ("--area", question.area_m2),
    ):
        if value is not None and not value > 0:
            raise UsageError(
                f"{value:g} is not above zero", where=name, hint="give a positive value"
            )
    if question.source is not None and question.rate_hz is None:
        raise UsageError(
            "a source is judged against a rate of inferences",
            where="--source",
            hint="add --rate, such as --rate 1/s",
        )
    if question.area_m2 is not None and question.source is None:
        raise UsageError(
            "an area needs a source that it belongs to",
            where="--area",
            hint="add --source ('budget sources' lists them)",
        )


def _constraints(
    device: Device,
    inference: InferenceEstimate,
    power: AveragePower | None,
    harvest: Quantity | None,
    question: Question,
) -> tuple[Constraint, ...]:
    found = []
    for name, need, have in (
        ("flash", inference.flash, device.flash_bytes),
        ("ram", inference.ram, device.ram_bytes),
    ):
        if have is None:
            found.append(not_judged(name, need, f"the profile of {device.id} has no {name}"))
        else:
            found.append(judge(name, need, exact(float(have), "bytes")))
    deadline_s = question.deadline_s
    if deadline_s is None and question.rate_hz is not None:
        deadline_s = 1.0 / question.rate_hz
    if deadline_s is not None:
        if inference.latency is None:
            why = f"the profile of {device.id} has no throughput"
            found.append(not_judged("deadline", None, why))
        else:
            found.append(judge("deadline", inference.latency, exact(deadline_s, "s")))
    if power is not None and harvest is not None:
        found.append(judge("power", power.average, harvest))
    return tuple(found)
