"""Every energy source side by side, for one model on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from budget.api.check import Check, Estimate, estimate_in, judge_estimate
from budget.api.question import (
    Question,
    question_of,
    require,
    require_sense,
    scenario_of,
)
from budget.graph import Graph
from budget.hardware import library
from budget.hardware.energy_profiles import Harvester
from budget.hardware.figure import Quantity
from budget.records import record
from budget.scenario.cycle import Cycle
from budget.scenario.ledger import Ledger
from budget.scenario.schema import Scenario, Source
from budget.scenario.solve import area_for
from budget.scenario.source import gap_energy_j, time_to_first_s
from budget.verdict import Verdict

RULES_OF_THUMB = (
    "human-vibration",
    "industrial-vibration",
    "human-thermal",
    "industrial-thermal",
    "indoor-light",
    "outdoor-light",
    "gsm-rf",
    "wifi-rf",
)
"""The eight of the much copied table, in its order; finer sources follow them."""


@record
class Row:
    """One source.

    Attributes:
        source: its profile.
        check: everything judged with this source.
        harvested: power at its terminals. [W]
        charging: power into the storage, on average. [W]
        rate: inferences per second that it sustains. [1/s]
        area: that would sustain the rate asked; None where the area is not a choice. [m²]
        first: time from an empty storage to the end of the first cycle. [s]
        gap: longest time without the source; None where nobody says. [s]
        storage: that carries the device through it. [J]
    """

    source: Harvester
    check: Check
    harvested: Quantity
    charging: Quantity
    rate: Quantity
    area: Quantity | None
    first: Quantity
    gap: Quantity | None
    storage: Quantity | None

    @property
    def verdict(self) -> Verdict:
        """Of all constraints together."""
        return self.check.verdict

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        from budget.api.documents import finite_document, quantity_document

        return {
            "source": self.source.id,
            "harvested": self.harvested.to_json(),
            "charging": self.charging.to_json(),
            "sustainable_rate": self.rate.to_json(),
            "area_needed": finite_document(self.area),
            "time_to_first": finite_document(self.first),
            "gap": quantity_document(self.gap),
            "storage_needed": quantity_document(self.storage),
            "verdict": self.verdict.value,
            "constraints": [constraint.to_json() for constraint in self.check.constraints],
            "remedies": [remedy.to_json() for remedy in self.check.remedies],
            "notes": list(self.check.notes),
        }


@record
class Harvest:
    """All sources, the rules of thumb first, and the cycle they were judged against."""

    estimate: Estimate
    question: Question
    cycle: Cycle
    ledger: Ledger
    rows: tuple[Row, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions that hold for every row, each once."""
        found = [note for row in self.rows for note in row.check.notes]
        return tuple(dict.fromkeys(found))

    @property
    def exit_code(self) -> int:
        """0 if any source will do, else 6 if any is too close to call, else 1."""
        verdicts = {row.verdict for row in self.rows}
        for verdict in (Verdict.FITS, Verdict.TOO_CLOSE):
            if verdict in verdicts:
                return verdict.exit_code
        return Verdict.DOES_NOT_FIT.exit_code

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import head

        question = self.question
        return {
            **head("harvest", self.estimate),
            "rate_hz": question.rate_hz,
            "area_m2": question.area_m2,
            "converter": question.converter.id if question.converter else None,
            "storage": question.storage.id if question.storage else None,
            "ledger": self.ledger.to_json(),
            "sources": [row.to_json() for row in self.rows],
            "notes": list(self.notes),
        }


def harvest(
    model: str | Path | Graph | None = None,
    *,
    device: str | None = None,
    runtime: str | None = None,
    rate_hz: float | None = None,
    area_m2: float | None = None,
    sources: Sequence[str] | None = None,
    scenario: str | Path | Scenario | None = None,
    precision: str | None = None,
) -> Harvest:
    """Compares energy sources for a model on a device.

    Args:
        model: a path, ``zoo:NAME``, or a graph; default: the scenario's.
        device: a device's id, or a TOML file; default: the scenario's.
        runtime: default: the scenario's, else that of `check`.
        rate_hz: inferences per second. [1/s]
        area_m2: of every harvester whose power depends on it. [m²]
        sources: ids; default: all there are, the rules of thumb first.
        scenario: the rest of the device's life: an id, a TOML file, or a `Scenario`; what the
            other arguments say wins.
        precision: see `check`.

    Raises:
        BudgetError: see `check`.
    """
    over = Scenario(
        device=device or "",
        runtime=runtime or "",
        rate_hz=rate_hz,
        source=Source(area_m2=area_m2),
    )
    life = scenario_of(scenario, over)
    require(life.device, "device", "--device efm32pg12")
    require(life.rate_hz, "rate", "--rate 1/s")
    chosen = list(sources) if sources else _every_source()
    harvesters = [library.harvester(name) for name in chosen]
    if any(found.power_density_w_per_m2 is not None for found in harvesters):
        require(life.source.area_m2, "area", "--area 10cm2")
    # the first one stands in where the scenario names none; every row has its own
    named = replace(life.source, harvester=life.source.harvester or chosen[0])
    question = question_of(replace(life, source=named))
    estimated = estimate_in(life, question, model, precision=precision)
    assert question.rate_hz is not None
    cycle = estimated.cycle(question)
    return Harvest(
        estimated,
        question,
        cycle,
        cycle.ledger(question.rate_hz),
        tuple(source_row(estimated, replace(question, source=found)) for found in harvesters),
    )


def source_row(estimated: Estimate, question: Question) -> Row:
    """One source, judged; the question names it."""
    require_sense(question)
    check = judge_estimate(estimated, question)
    source, power = question.source, check.power
    assert source is not None and power is not None
    cycle = power.cycle
    chain = cycle.chain
    area = None
    if source.power_density_w_per_m2 is not None:
        area = area_for(chain, power.average)
    return Row(
        source,
        check,
        chain.harvested_w,
        chain.charging_w,
        cycle.sustainable_hz(),
        area,
        (time_to_first_s(chain, cycle.cycle_j) + cycle.duration).as_unit("s"),
        chain.longest_gap_s,
        gap_energy_j(chain, power.average - chain.standing_w, cycle.cycle_j),
    )


def _every_source() -> list[str]:
    finer = [name for name in library.harvesters() if name not in RULES_OF_THUMB]
    return [*RULES_OF_THUMB, *finer]
