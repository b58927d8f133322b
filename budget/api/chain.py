"""How a latency and an energy follow from work, prices, clock and power, and who measured what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from budget.api.check import Check
from budget.estimate.inference import measured_cycles, step_cycles
from budget.estimate.stalls import NO_STALLS, Stalls, stalls_of
from budget.estimate.work import layer_of
from budget.hardware.figure import Quantity, total
from budget.hardware.runtime_profiles import StepCycles
from budget.plan.program import Program, Step
from budget.tuning.measurements import Measurement, latencies, published


@dataclass(frozen=True)
class Term:
    """Steps of one kind together.

    Attributes:
        kind: of the layers; ``other`` for those without MACs.
        steps: how many.
        macs: multiply-accumulates.
        elements: outputs to requantise, or elements of operators without MACs.
        stall_ratio: cycles with the flash's wait states over cycles without.
        cycles: of all these steps.
        measured: steps whose very kernel is in the table of measured ones.
    """

    kind: str
    steps: int
    macs: int
    elements: int
    stall_ratio: float
    cycles: Quantity
    measured: int


@dataclass(frozen=True)
class Chain:
    """From work to joules.

    Attributes:
        terms: by kind of layer, the most cycles first.
        stalls: of the flash at the clock.
        residual: measured over estimated, with its interval; None where the profile has none.
        rows: published latencies of this runtime on this core, each once.
        borrowed: what the prices rest on where there are none.
    """

    terms: tuple[Term, ...]
    stalls: Stalls
    residual: Quantity | None
    rows: tuple[Measurement, ...]
    borrowed: str


def chain_of(check: Check) -> Chain | None:
    """The chain behind a verdict; None for an engine, which only counts joules per MAC."""
    inference, program = check.inference, check.program
    if inference.cycles is None or inference.clock_hz is None:
        return None
    table = check.runtime.on(check.device.core)
    stalls = stalls_of(check.device, inference.clock_hz)
    if check.runtime.includes_stalls:
        stalls = NO_STALLS
    groups: dict[str, list[Step]] = {}
    for step in program.steps:
        if step.kernel:
            groups.setdefault(layer_of(step, program).kind, []).append(step)
    terms = [_term(kind, steps, program, table, stalls) for kind, steps in groups.items()]
    terms.sort(key=lambda term: -float(term.cycles.value))
    figure = table.table.residual_ratio or check.runtime.residual_ratio
    pair = (check.runtime.plan_id, check.device.core)
    rows = [row for row in latencies(published()) if (row.runtime, row.core) == pair]
    return Chain(
        tuple(terms), stalls, figure.quantity if figure else None, tuple(rows), table.lineage
    )


def _term(
    kind: str, steps: Sequence[Step], program: Program, table: StepCycles, stalls: Stalls
) -> Term:
    cycles, unstalled = (
        total((step_cycles(step, program, table, waits) for step in steps), "cycles")
        for waits in (stalls, NO_STALLS)
    )
    return Term(
        kind,
        len(steps),
        sum(step.cost.macs for step in steps),
        sum(layer_of(step, program).elements for step in steps),
        float(cycles.value) / (float(unstalled.value) or 1.0),
        cycles,
        sum(measured_cycles(step, program, table) is not None for step in steps),
    )
