"""What a model on a device must keep to, each constraint with what is needed and what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budget.api.question import Question
from budget.hardware.figure import Quantity, exact, total
from budget.scenario.average import AveragePower
from budget.scenario.cycle import Cycle
from budget.scenario.source import cold_start, gap_energy_j
from budget.verdict import Constraint, Status, judge, not_judged

if TYPE_CHECKING:
    from budget.api.check import Estimate
    from budget.features import FeatureSpec


def constraints_of(
    estimated: Estimate, cycle: Cycle, power: AveragePower | None, question: Question
) -> tuple[Constraint, ...]:
    """Memory, time, then energy; only what the question gives occasion to judge."""
    return (
        *memory_constraints(estimated, question.around.specification),
        *_time(estimated, cycle, question),
        *_energy(cycle, power, question),
        *_peak_current(estimated, question),
    )


def memory_constraints(
    estimated: Estimate, front_end: FeatureSpec | None = None
) -> list[Constraint]:
    """Flash and RAM; not judged where the device's profile does not say."""
    device, inference = estimated.device, estimated.inference
    flash, ram = inference.flash, inference.ram
    if estimated.second is not None and estimated.second_program is not None:
        # both networks lie in flash under one runtime; only one of them runs at a time
        flash = total(
            (flash, exact(float(estimated.second_program.weight_bytes), "bytes")), "bytes"
        )
        ram = max((ram, estimated.second.ram), key=lambda q: float(q.value))
    if front_end is not None:
        # its stack is not deeper than the network's, and they do not run at once
        from budget.features.cycles import predict_front_end

        code = predict_front_end(front_end).code_bytes
        flash = total((flash, exact(float(front_end.constant_bytes + code), "bytes")), "bytes")
        ram = total((ram, exact(float(front_end.state_bytes), "bytes")), "bytes")
    found = []
    for name, need, have in (("flash", flash, device.flash_bytes), ("ram", ram, device.ram_bytes)):
        if have is None:
            found.append(not_judged(name, need, f"the profile of {device.id} has no {name}"))
        else:
            found.append(judge(name, need, exact(float(have), "bytes")))
    return found


def _time(estimated: Estimate, cycle: Cycle, question: Question) -> list[Constraint]:
    found = []
    deadline_s = question.deadline_s
    if deadline_s is None and question.rate_hz is not None:
        deadline_s = 1.0 / question.rate_hz
    if deadline_s is not None:
        if cycle.latency is None:
            why = f"the profile of {estimated.device.id} has no throughput"
            found.append(not_judged("deadline", None, why))
        else:
            found.append(judge("deadline", cycle.latency, exact(deadline_s, "s")))
    latency_s = 0.0 if cycle.latency is None else float(cycle.latency.value)
    more = float(cycle.busy.value) > latency_s * 1.001 or question.deadline_s is not None
    if question.rate_hz is not None and cycle.latency is not None and more:
        found.append(judge("period", cycle.busy, exact(1.0 / question.rate_hz, "s")))
    return found


def _energy(cycle: Cycle, power: AveragePower | None, question: Question) -> list[Constraint]:
    if power is None:
        return []
    chain, storage = cycle.chain, question.storage
    found = []
    if chain.source is not None:
        found.append(judge("power", power.average, chain.charging_w, chain.obstacle))
        found += [
            judge(f"cold-start-{start.what}", start.need, start.have) for start in cold_start(chain)
        ]
        if storage is not None:
            load = power.average - chain.standing_w
            need = gap_energy_j(chain, load, cycle.cycle_j)
            need = cycle.cycle_j if need is None else need
            found.append(judge("storage", need, storage.energy_j))
    elif storage is not None:
        life = (storage.energy_j / power.average).as_unit("s")
        if question.life_s is None:
            note = "no life is asked: add --life"
            found.append(Constraint("life", None, life, Status.NOT_JUDGED, note))
        else:
            found.append(judge("life", exact(question.life_s, "s"), life))
    return found


def _peak_current(estimated: Estimate, question: Question) -> list[Constraint]:
    storage = question.storage
    if storage is None or storage.max_current_a is None:
        return []
    peak = _peak_power(estimated.inference.power, question)
    if peak is None:
        return []
    need = (peak / storage.voltage_v.value).as_unit("A")
    return [judge("peak-current", need, storage.max_current_a.quantity)]


def _peak_power(running: Quantity | None, question: Question) -> Quantity | None:
    """The more of computing and sending; they do not happen at once."""
    radio = question.around.radio
    sending = radio.transmit_w.quantity if radio and radio.transmit_w else None
    known = [power for power in (running, sending) if power is not None]
    return max(known, key=lambda power: float(power.value), default=None)
