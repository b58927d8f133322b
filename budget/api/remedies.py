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
        elif constraint.name in {"storage", "life"} and power is not None:
            found += _keep_going(constraint, power, question)
        elif constraint.name.startswith("cold-start-"):
            found += _start_from_empty(constraint)
        elif constraint.name in {"period", "peak-current"}:
            found += _other_limits(constraint)
    return tuple(found)


def _more_energy(
    constraint: Constraint, power: AveragePower, question: Question
) -> Iterator[Remedy]:
    have = constraint.have
    source, cycle = question.source, power.cycle
    assert have is not None and constraint.need is not None and source is not None
    if constraint.status is Status.UNSURE:
        yield from _surely_enough(constraint.need, have, power, question)
        return
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


def _surely_enough(
    need: Quantity, have: Quantity, power: AveragePower, question: Question
) -> Iterator[Remedy]:
    """Where the intervals overlap: what parts them, the most needed from the least there."""
    least, most = float(have.low), float(need.high)
    source = question.source
    assert source is not None
    if source.power_density_w_per_m2 is not None and question.area_m2 is not None and least > 0:
        # efficiency does not fall with the input, so power grows at least as the area
        area = exact(question.area_m2 * most / least, "m2")
        yield Remedy("power", "area", area, f"{_text(area)} of {source.name.lower()} to be sure")
    left = least - float(power.standing.high)
    if left <= 0:
        return
    per_inference = float(power.per_inference.high)
    rate = exact(left / per_inference, "1/s")
    text = f"{units.format_rate(float(rate.value), 'inference')} to be sure"
    yield Remedy("power", "rate", rate, text)


def _keep_going(
    constraint: Constraint, power: AveragePower, question: Question
) -> Iterator[Remedy]:
    """A storage that is too small for a gap, or for a life."""
    assert constraint.need is not None and constraint.have is not None
    storage = question.storage
    assert storage is not None
    if constraint.name == "storage":
        yield Remedy(
            "storage", "storage", constraint.need, f"a storage of {_text(constraint.need)}"
        )
        return
    factor = (constraint.need / constraint.have).as_unit("ratio")
    energy = (storage.energy_j * factor).as_unit("J")
    yield Remedy("life", "storage", energy, f"a storage of {_text(energy)}")
    assert question.life_s is not None
    left = headroom((storage.energy_j / question.life_s).as_unit("W"), power.standing)
    if float(left.value) > 0:
        rate = (left / power.per_inference).as_unit("1/s")
        yield Remedy("life", "rate", rate, units.format_rate(float(rate.value), "inference"))


def _start_from_empty(constraint: Constraint) -> Iterator[Remedy]:
    assert constraint.need is not None
    what = constraint.name.removeprefix("cold-start-")
    text = f"a source of {_text(constraint.need)}, or a storage that is never empty"
    yield Remedy(constraint.name, what, constraint.need, text)


def _other_limits(constraint: Constraint) -> Iterator[Remedy]:
    assert constraint.need is not None
    if constraint.name == "period":
        rate = (1.0 / constraint.need).as_unit("1/s")
        yield Remedy("period", "rate", rate, units.format_rate(float(rate.value), "cycle"))
    else:
        text = f"a storage that gives {_text(constraint.need)}, or a capacitor beside it"
        yield Remedy("peak-current", "storage", constraint.need, text)


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
