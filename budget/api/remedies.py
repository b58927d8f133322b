"""What would change a verdict: for every missed constraint, changes that each alone suffice.

A remedy is computed from the same quantities as the constraint, solved for one unknown, so that
putting it back lands on the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from budget import units
from budget.estimate.inference import InferenceEstimate, estimate_inference
from budget.hardware import library
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Quantity, exact
from budget.hardware.runtime_profiles import Runtime
from budget.plan.program import Program
from budget.scenario.average import AveragePower
from budget.scenario.solve import area_for
from budget.scenario.source import headroom
from budget.verdict import Constraint, Remedy, Status

if TYPE_CHECKING:
    from budget.api.question import Question


def remedies_for(
    constraints: Sequence[Constraint],
    device: Device,
    runtime: Runtime,
    inference: InferenceEstimate,
    power: AveragePower | None,
    question: Question,
    program: Program,
) -> tuple[Remedy, ...]:
    """Remedies for every constraint that is missed or unsure, in the order of the constraints."""
    found: list[Remedy] = []
    for constraint in constraints:
        if constraint.status not in {Status.FAIL, Status.UNSURE}:
            continue
        if constraint.name == "power" and power is not None:
            found += _more_energy(constraint, power, question)
        elif constraint.name == "deadline":
            found += _more_speed(constraint, device, runtime, inference, question, program)
        elif constraint.name in {"flash", "ram"}:
            found += _more_memory(constraint, device, program)
    return tuple(found)


def _more_energy(
    constraint: Constraint, power: AveragePower, question: Question
) -> Iterator[Remedy]:
    have = constraint.have
    source, cycle = question.source, power.cycle
    assert have is not None and constraint.need is not None and source is not None
    if source.power_density_w_per_m2 is not None and not cycle.chain.obstacle:
        area = area_for(cycle.chain, power.average)
        yield Remedy("power", "area", area, f"{_text(area)} of {source.name.lower()}")
    left = headroom(have, power.standing)
    if float(left.value) <= 0:
        if float(have.value) > 0:
            need = (power.standing / have).as_unit("ratio")
            text = f"{_factor(need)} less power asleep: it alone takes more than the source gives"
            yield Remedy("power", "sleep", need, text)
        return
    rate = (left / power.per_inference).as_unit("1/s")
    yield Remedy("power", "rate", rate, units.format_rate(float(rate.value), "inference"))
    factor = (power.per_inference * power.rate_hz / left).as_unit("ratio")
    text = f"{_factor(factor)} less energy per inference"
    yield Remedy("power", "energy", factor, text)


def _more_speed(
    constraint: Constraint,
    device: Device,
    runtime: Runtime,
    inference: InferenceEstimate,
    question: Question,
    program: Program,
) -> Iterator[Remedy]:
    assert constraint.need is not None and constraint.have is not None
    factor = (constraint.need / constraint.have).as_unit("ratio")
    if inference.cycles is not None:
        clock = (inference.cycles / constraint.have).as_unit("Hz")
        limit = ""
        if device.max_hz is not None and float(clock.value) > device.max_hz:
            limit = f" (the {device.id} reaches {units.format(device.max_hz, 'Hz')})"
        yield Remedy("deadline", "clock", clock, f"a clock of {_text(clock)}{limit}")
    yield Remedy("deadline", "macs", factor, f"{_factor(factor)} fewer cycles per inference")
    if question.deadline_s is None:
        rate = (1.0 / constraint.need).as_unit("1/s")
        yield Remedy("deadline", "rate", rate, units.format_rate(float(rate.value), "inference"))
    if device.category != "mcu":
        return
    for id in library.runtimes():
        other = library.runtime(id)
        if id in {runtime.id, "rule-of-thumb"} or not other.supports(device.core):
            continue
        latency = estimate_inference(
            program,
            device,
            other,
            clock_hz=question.clock_hz,
            voltage_v=question.voltage_v,
            supply=question.supply,
        ).latency
        if latency is not None and latency.high <= constraint.have.low:
            yield Remedy("deadline", "runtime", latency, f"the runtime {id} ({_text(latency)})")


def _more_memory(constraint: Constraint, device: Device, program: Program) -> Iterator[Remedy]:
    assert constraint.need is not None and constraint.have is not None
    name = constraint.name
    over = constraint.need - constraint.have
    fixed = program.weight_bytes if name == "flash" else program.arena_bytes
    what = "weights" if name == "flash" else "activations alive at once"
    room = float(constraint.have.value) - (float(constraint.need.value) - fixed)
    if room > 0:
        factor = exact(fixed / room, "ratio")
        text = f"{_factor(factor)} less {what} ({units.format(room, 'bytes')} at most)"
        yield Remedy(name, "weights" if name == "flash" else "arena", factor, text)
    else:
        text = f"a smaller runtime: its own {name} alone passes the {device.id}'s"
        yield Remedy(name, "runtime", over.as_unit("bytes"), text)
    yield Remedy(
        name,
        name,
        constraint.need,
        f"a device with {units.format(float(constraint.need.high), 'bytes')} of "
        f"{'RAM' if name == 'ram' else name}",
    )


def _text(quantity: Quantity) -> str:
    return units.format(float(quantity.value), quantity.unit)


def _factor(quantity: Quantity) -> str:
    return f"{units.format(float(quantity.value), '')}×"
