"""What came of shrinking a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from budget.api.check import Check
from budget.api.emit import Emission
from budget.api.finishing import Finished, Line
from budget.api.measurement import Measurement
from budget.records import record
from budget.shrinking.evaluation import Change, Score
from budget.shrinking.precision import Noise
from budget.shrinking.search import Outcome
from budget.verdict import Verdict


@record
class HeldOut:
    """The original and the shrunk network on examples that nothing was learned from or chosen by.

    Attributes:
        count: examples.
        before: right answers of the original, in float; None without labels.
        after: of the shrunk network, in the device's arithmetic.
        change: of the answers.
        agreement: answers that are the original's; None where outputs are no classes.
        explained: share of the variance of the original's outputs that is kept, with its interval
            of 95 %; None where outputs are classes.
    """

    count: int
    before: Score | None
    after: Score | None
    change: Change | None
    agreement: Score | None
    explained: tuple[float, float, float] | None

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""

        def part(value: Score | Change | None) -> dict[str, Any] | None:
            return None if value is None else value.to_json()

        return {
            "count": self.count,
            "before": part(self.before),
            "after": part(self.after),
            "change": part(self.change),
            "agreement": part(self.agreement),
            "explained": self.explained
            and dict(zip(("ratio", "low", "high"), self.explained, strict=True)),
        }


@record
class Shrinkage:
    """The whole answer.

    Attributes:
        before: the verdict on the original at the precision it would be deployed in.
        after: on the result, with measured cycles where there are any; on the nearest candidate
            where nothing fits.
        finished: the result; None where nothing fits.
        held_out: accuracy; None where nothing fits.
        noise: of quantising each layer of the original alone, the loudest first.
        outcomes: every candidate tried.
        front: those that no other beats.
        nearest: the candidate that misses least; None where one fits.
        output: the file written; None where nothing fits.
        emission: the C; None where it was not asked for.
        measurement: on the virtual core; None where it was not possible.
        warnings: what speaks against trusting the result.
        notes: what was assumed.
    """

    before: Check
    after: Check
    finished: Finished | None
    held_out: HeldOut | None
    noise: tuple[Noise, ...]
    outcomes: tuple[Outcome, ...]
    front: tuple[Outcome, ...]
    nearest: Outcome | None
    output: Path | None
    emission: Emission | None
    measurement: Measurement | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """On the result, or on the nearest candidate."""
        return self.after.verdict

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every step of the result with its cost and gain."""
        return () if self.finished is None else self.finished.lines

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA

        return {
            "schema": SCHEMA,
            "command": "shrink",
            "model": self.before.model.name,
            "verdict": self.verdict.value,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "ways": [] if self.finished is None else list(self.finished.ways),
            "steps": [line.to_json() for line in self.lines],
            "held_out": None if self.held_out is None else self.held_out.to_json(),
            "noise": [
                {"layer": n.layer, "signal_to_noise_db": n.signal_to_noise_db} for n in self.noise
            ],
            "candidates": [o.to_json() for o in self.outcomes],
            "front": [o.to_json() for o in self.front],
            "nearest": None if self.nearest is None else self.nearest.to_json(),
            "output": None if self.output is None else str(self.output),
            "emitted": None if self.emission is None else str(self.emission.folder),
            "measured": None if self.measurement is None else self.measurement.values(),
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }
