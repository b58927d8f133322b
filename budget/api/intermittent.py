"""Inference from a capacitor that is charged, spent and charged again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from budget.api.check import Estimate, estimate_in
from budget.api.constraints import memory_constraints
from budget.api.question import Question, question_of, require, scenario_of
from budget.errors import UsageError
from budget.graph import Graph
from budget.hardware import library
from budget.records import record
from budget.scenario.cycle import Cycle
from budget.scenario.intermittent import Intermittent, Split, intermittent
from budget.scenario.schema import Scenario
from budget.verdict import Constraint, Verdict, conclude


@record
class FromCapacitor:
    """A model that lives on a capacitor.

    Attributes:
        estimate: the model on its device.
        question: the scenario.
        cycle: the device's cycle.
        result: charges, pieces and checkpoints.
        constraints: flash and RAM.
        notes: assumptions.
    """

    estimate: Estimate
    question: Question
    cycle: Cycle
    result: Intermittent
    constraints: tuple[Constraint, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 if it fits and ends with some memory whatever the intervals, 6 if perhaps, else 1."""
        memory = conclude(self.constraints)
        if memory is not Verdict.FITS:
            return memory.exit_code
        worst = [split.power_cycles[2] is not None for split in self.result.splits]
        best = [split.power_cycles[1] is not None for split in self.result.splits]
        if any(worst):
            return 0
        return 6 if any(best) else 1

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import finite_document, head

        estimated, result = self.estimate, self.result
        charge, program = result.charge, estimated.program
        return {
            **head("intermittent", estimated),
            "storage": self.question.storage.id if self.question.storage else None,
            "turn_on_v": charge.turn_on_v,
            "brown_out_v": charge.brown_out_v,
            "charge": charge.energy.to_json(),
            "refill": finite_document(charge.refill),
            "inference": estimated.inference.energy.to_json(),
            "inferences_per_charge": result.inferences.to_json(),
            "largest_step": {
                "index": result.largest_step,
                "name": program.steps[result.largest_step].layer,
                "energy": result.largest.to_json(),
            },
            "constraints": [constraint.to_json() for constraint in self.constraints],
            "checkpoints": [_split_document(split) for split in result.splits],
            "notes": list(self.notes),
        }


def _split_document(split: Split) -> dict[str, Any]:
    from budget.api.documents import finite_document

    middle, best, worst = split.power_cycles
    return {
        "memory": split.memory.id,
        "power_cycles": {"value": middle, "low": best, "high": worst},
        "borders": list(split.borders),
        "checkpoint_bytes": split.checkpoint_bytes,
        "checkpoint_energy": split.save.to_json(),
        "duration": finite_document(split.duration),
        "spare_ratio": split.spare_ratio.to_json(),
        "feasible": split.feasible,
    }


def from_capacitor(
    model: str | Path | Graph | None = None,
    *,
    device: str | None = None,
    storage: str | None = None,
    memories: Sequence[str] | None = None,
    scenario: str | Path | Scenario | None = None,
    precision: str | None = None,
) -> FromCapacitor:
    """Tells how an inference is spread over the charges of a capacitor.

    Args:
        model: a path, ``zoo:NAME``, or a graph; default: the scenario's.
        device: a device's id, or a TOML file; default: the scenario's.
        storage: a capacitor: an id, or capacitance, turn-on and brown-out voltage such as
            ``470uF:3.3V:1.8V``; default: the scenario's.
        memories: where checkpoints may go; default: all that are known.
        scenario: an id, a TOML file, or a `Scenario`; what the other arguments say wins.
        precision: see `check`.

    Raises:
        BudgetError: the storage is no capacitor, or see `check`.
    """
    life = scenario_of(scenario, Scenario(device=device or "", storage=storage or ""))
    require(life.device, "device", "--device stm32u575")
    require(life.storage, "storage", "--storage 470uF:3.3V:1.8V")
    # a rate plays no part here
    question = question_of(replace(life, rate_hz=life.rate_hz or 1.0))
    if question.storage is None or question.storage.capacitance_f is None:
        raise UsageError(
            f"{life.storage} is no capacitor",
            where="--storage",
            hint="give capacitance, turn-on and brown-out voltage, such as 470uF:3.3V:1.8V",
        )
    estimated = estimate_in(life, question, model, precision=precision)
    cycle = estimated.cycle(question)
    kept = [library.checkpoint(name) for name in (memories or library.checkpoints())]
    result = intermittent(estimated.program, estimated.inference, cycle.chain, kept, cycle.sleep)
    return FromCapacitor(
        estimated,
        question,
        cycle,
        result,
        tuple(memory_constraints(estimated)),
        tuple(dict.fromkeys([*estimated.model.notes, *cycle.notes])),
    )
