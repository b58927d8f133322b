"""Every published measurement in the project against what is predicted of it unseen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from budget.estimate.work import MAC_KINDS
from budget.plan.tflm import is_tflm
from budget.tuning.cross_validation import Z90, HeldOut, shipped
from budget.tuning.energy_check import HeldOutEnergy, left_out_energies
from budget.tuning.measurements import (
    FEATURES,
    Measurement,
    energies,
    features,
    latencies,
    layers_run,
    published,
)
from budget.tuning.memory_check import check_ram

RULE_CYCLES_PER_MAC = 40.0
"""2 MFLOP/s at 40 MHz, 2 FLOPs for each MAC: the article's rule of thumb."""
RULE_J_PER_MAC = 20e-12
"""The article's energy of a multiply-accumulate on a signal processor."""

PER_MODEL = "latency, new model"
PER_BOARD = "latency, new board"
ENERGY = "energy, new model"
RAM_TFLM = "RAM, TFLM"
RAM_CUBE_AI = "RAM, Cube.AI"
RULE_LATENCY = "latency by 2 MFLOP/s at 40 MHz"
RULE_ENERGY = "energy by 20 pJ/MAC"

TARGETS = {
    PER_MODEL: (0.10, 0.35),
    PER_BOARD: (0.20, None),
    ENERGY: (0.20, None),
    RAM_TFLM: (0.08, None),
    RAM_CUBE_AI: (0.08, None),
}
"""Median and worst error that the estimates ought to reach."""
RULES = (RULE_LATENCY, RULE_ENERGY)
"""Estimators to compare with: they see no data, and have no intervals."""
_LEAST_ROWS = 8
_SIGNIFICANCE = 0.01


@dataclass(frozen=True)
class Line:
    """One measurement and one estimator's word on it.

    Attributes:
        what: one of this module's names of comparisons.
        board: where it was measured.
        core: core family.
        runtime: id, with its version.
        network: which network.
        measured: seconds, joules or bytes.
        predicted: the same.
        low: 5th percentile; None for an estimator without an interval.
        high: 95th percentile.
        source: of the measurement.
    """

    what: str
    board: str
    core: str
    runtime: str
    version: str
    network: str
    measured: float
    predicted: float
    low: float | None
    high: float | None
    source: str

    @property
    def error_ratio(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1.0

    @property
    def is_inside(self) -> bool | None:
        """Whether the interval holds the measurement; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.measured <= self.high


@dataclass(frozen=True)
class Score:
    """Errors of a group of lines.

    Attributes:
        what: the comparison.
        by: ``all``, ``board``, ``core``, ``runtime`` or ``network``.
        name: of the group.
        count: distinct rows.
        median_ratio: of absolute errors.
        worst_ratio: largest absolute error.
        inside_count: measurements in their 90 % interval; None without intervals.
        probability: of a coverage so far from 90 % by chance (two-sided binomial test).
    """

    what: str
    by: str
    name: str
    count: int
    median_ratio: float
    worst_ratio: float
    inside_count: int | None
    probability: float | None

    @property
    def coverage_ratio(self) -> float | None:
        """Share of measurements in their interval."""
        return None if self.inside_count is None else self.inside_count / self.count

    @property
    def is_rejected(self) -> bool:
        """Whether the test rejects 90 % coverage, where there are rows enough to tell."""
        enough = self.count >= _LEAST_ROWS
        return enough and self.probability is not None and self.probability < _SIGNIFICANCE


@dataclass(frozen=True)
class Scoreboard:
    """All lines with their scores.

    Attributes:
        lines: one for each distinct row and comparison.
        scores: overall, then by runtime, core, board and network.
        published_count: rows in the project's data, repetitions and unusable ones included.
        unused: why rows are left aside, with how many.
    """

    lines: tuple[Line, ...]
    scores: tuple[Score, ...]
    published_count: int
    unused: dict[str, int]

    def overall(self, what: str) -> Score:
        """The score of a whole comparison."""
        return next(s for s in self.scores if s.what == what and s.by == "all")

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA

        return {
            "schema": SCHEMA,
            "command": "scoreboard",
            "published_rows": self.published_count,
            "unused_rows": self.unused,
            "targets": {
                what: {"median_ratio": median, "worst_ratio": worst}
                for what, (median, worst) in TARGETS.items()
            },
            "scores": [
                {
                    "what": s.what,
                    "by": s.by,
                    "name": s.name,
                    "rows": s.count,
                    "median_ratio": s.median_ratio,
                    "worst_ratio": s.worst_ratio,
                    "coverage_ratio": s.coverage_ratio,
                    "probability": s.probability,
                    "rejected": s.is_rejected,
                }
                for s in self.scores
            ],
            "lines": [
                {
                    "what": n.what,
                    "board": n.board,
                    "core": n.core,
                    "runtime": n.runtime,
                    "version": n.version,
                    "network": n.network,
                    "measured": n.measured,
                    "predicted": n.predicted,
                    "low": n.low,
                    "high": n.high,
                    "error_ratio": n.error_ratio,
                    "inside": n.is_inside,
                    "source": n.source,
                }
                for n in self.lines
            ],
        }


def scoreboard() -> Scoreboard:
    """Predicts every published row from fits that have not seen it, and scores them."""
    rows = published()
    models, boards = shipped()
    energy = left_out_energies(energies(rows), models)
    lines = [_latency_line(PER_MODEL, item) for item in models]
    lines += [_latency_line(PER_BOARD, item) for item in boards]
    lines += [_energy_line(item) for item in energy]
    lines += [
        _line(
            RAM_TFLM if is_tflm(check.row.runtime) else RAM_CUBE_AI,
            check.row,
            check.measured_bytes,
            check.predicted_bytes,
            check.low_bytes,
            check.high_bytes,
        )
        for check in check_ram(rows)
    ]
    lines += [_rule_of_thumb(item.row) for item in models]
    lines += [_rule_of_energy(item.row) for item in energy]
    return Scoreboard(tuple(lines), tuple(_scores(lines)), len(rows), _unused(rows))


def binomial_probability(inside: int, count: int, ratio: float = 0.9) -> float:
    """Two-sided probability of a coverage at least so far out, were the true one `ratio`."""
    chances = [
        math.comb(count, k) * ratio**k * (1 - ratio) ** (count - k) for k in range(count + 1)
    ]
    tail = min(math.fsum(chances[: inside + 1]), math.fsum(chances[inside:]))
    return min(1.0, 2.0 * tail)


def _latency_line(what: str, item: HeldOut) -> Line:
    predicted = item.cycles / item.row.clock_hz
    reach = item.reach_ratio
    measured = item.row.cycles / item.row.clock_hz
    return _line(what, item.row, measured, predicted, predicted / reach, predicted * reach)


def _energy_line(item: HeldOutEnergy) -> Line:
    reach = math.exp(Z90 * item.sigma)
    measured = item.row.energy_j or math.nan
    low, high = item.energy_j / reach, item.energy_j * reach
    return _line(ENERGY, item.row, measured, item.energy_j, low, high)


def _rule_of_thumb(row: Measurement) -> Line:
    seconds = _macs(row) * RULE_CYCLES_PER_MAC / row.clock_hz
    return _line(RULE_LATENCY, row, row.cycles / row.clock_hz, seconds, None, None)


def _rule_of_energy(row: Measurement) -> Line:
    measured = row.energy_j or math.nan
    return _line(RULE_ENERGY, row, measured, _macs(row) * RULE_J_PER_MAC, None, None)


def _macs(row: Measurement) -> float:
    work = features(layers_run(row.network, removes_constant_channels=False))
    return sum(work[FEATURES.index(kind)] for kind in MAC_KINDS)


def _line(
    what: str,
    row: Measurement,
    measured: float,
    predicted: float,
    low: float | None,
    high: float | None,
) -> Line:
    return Line(
        what, row.board, row.core, row.runtime, row.version, row.network,
        measured, predicted, low, high, row.source,
    )  # fmt: skip


def _scores(lines: Sequence[Line]) -> Iterable[Score]:
    by: dict[str, Callable[[Line], str]] = {
        "all": lambda _: "all",
        "runtime": lambda n: n.runtime,
        "core": lambda n: n.core,
        "board": lambda n: n.board,
        "network": lambda n: n.network,
    }
    for kind, key in by.items():
        groups: dict[tuple[str, str], list[Line]] = {}
        for line in lines:
            groups.setdefault((line.what, key(line)), []).append(line)
        for (what, name), members in groups.items():
            errors = [abs(n.error_ratio) for n in members]
            flags = [n.is_inside for n in members]
            inside = None if None in flags else sum(bool(flag) for flag in flags)
            yield Score(
                what,
                kind,
                name,
                len(members),
                statistics.median(errors),
                max(errors),
                inside,
                None if inside is None else binomial_probability(inside, len(members)),
            )


def _unused(rows: Sequence[Measurement]) -> dict[str, int]:
    used = {id(row) for row in (*latencies(rows), *energies(rows))}
    counts: dict[str, int] = {}
    for row in rows:
        if id(row) in used:
            continue
        why = row.quality or "repeats another row, or has no device profile"
        counts[why] = counts.get(why, 0) + 1
    return counts
