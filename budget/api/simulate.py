"""A device's life over days to years, from a trace or a day profile, with many weathers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from budget import units
from budget.api.check import Estimate, estimate_in
from budget.api.question import Question, question_of, require, scenario_of
from budget.errors import UsageError
from budget.graph import Graph
from budget.records import record
from budget.scenario.cycle import Cycle
from budget.scenario.deployment import Supply, Thresholds, live, load_w
from budget.scenario.outcome import Outcome, run_out_s
from budget.scenario.profiles_of_day import day_trace
from budget.scenario.schema import Scenario, Source
from budget.scenario.simulation import DAY_S
from budget.scenario.traces import Trace, read_trace
from budget.scenario.weather import with_weather
from budget.verdict import Verdict

PERCENTILES = (5, 50, 95)
_MOST_SEEDS = 10_000


@record
class Life:
    """A stretch of time to simulate.

    Attributes:
        trace: of the source; None where the device lives on its storage alone.
        days: how many.
        seeds: weathers; 0: the trace as it is.
        start_ratio: share of a full storage at the beginning.
        thresholds: of the load.
    """

    trace: Trace | None
    days: int
    seeds: int = 0
    start_ratio: float = 1.0
    thresholds: Thresholds = Thresholds()


@record
class SimulationResult:
    """What became of the device.

    Attributes:
        estimate: the model on the device.
        question: the rest of what was asked.
        life: the time simulated.
        outcomes: one for each weather; only the first has its course over time.
        supply: harvest of the first.
        notes: assumptions made.
    """

    estimate: Estimate
    question: Question
    life: Life
    outcomes: tuple[Outcome, ...]
    supply: Supply
    notes: tuple[str, ...]

    @property
    def first(self) -> Outcome:
        """The first weather, or the only one."""
        return self.outcomes[0]

    @property
    def lasts_s(self) -> float | None:
        """How long a full storage carries the device; None where a source charges it. [s]"""
        if self.question.source is not None or self.question.rate_hz is None:
            return None
        cycle = self.estimate.cycle(self.question)
        return run_out_s(self.first.store, load_w(cycle, self.question.rate_hz))

    @property
    def exit_code(self) -> int:
        """0 if no inference is missed, 6 if only in some weathers, else 1."""
        whole = sum(float(np.sum(outcome.missed)) == 0 for outcome in self.outcomes)
        if whole == len(self.outcomes):
            return Verdict.FITS.exit_code
        return (Verdict.TOO_CLOSE if whole else Verdict.DOES_NOT_FIT).exit_code

    def percentiles(self) -> Mapping[str, tuple[float, ...]]:
        """5th, 50th and 95th percentile over the weathers, of each result by name."""
        found = {
            "done_per_day": [float(np.sum(o.done)) / self.life.days for o in self.outcomes],
            "missed_per_day": [float(np.sum(o.missed)) / self.life.days for o in self.outcomes],
            "worst_day_done": [float(np.min(o.done)) for o in self.outcomes],
            "done_ratio": [o.on_ratio for o in self.outcomes],
            "brown_outs": [float(o.brown_outs) for o in self.outcomes],
            "longest_gap_s": [o.longest_gap_s for o in self.outcomes],
            "deepest_discharge_ratio": [o.deepest_ratio for o in self.outcomes],
            "capacity_left_ratio": [o.capacity_ratio for o in self.outcomes],
            "battery_life_s": [o.battery_life_s for o in self.outcomes],
        }
        # without interpolation: an outcome that occurred, and infinity stays infinity
        return {
            name: tuple(float(q) for q in np.percentile(values, PERCENTILES, method="inverted_cdf"))
            for name, values in found.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import head

        question, trace = self.question, self.life.trace
        return {
            **head("harvest", self.estimate),
            "rate_hz": question.rate_hz,
            "source": question.source.id if question.source else None,
            "area_m2": question.area_m2,
            "converter": question.converter.id if question.converter else None,
            "storage": question.storage.id if question.storage else None,
            "trace": trace.name if trace else None,
            "days": self.life.days,
            "seeds": self.life.seeds,
            "harvested_j": self.supply.harvested_j,
            "storage_lasts_s": units.finite(self.lasts_s),
            "simulation": self.first.to_json(),
            "percentiles": {
                name: dict(zip(map(str, PERCENTILES), map(units.finite, values), strict=True))
                for name, values in self.percentiles().items()
            },
            "notes": list(self.notes),
        }


def simulate(
    model: str | Path | Graph | None = None,
    *,
    device: str | None = None,
    runtime: str | None = None,
    rate_hz: float | None = None,
    source: str | None = None,
    area_m2: float | None = None,
    converter: str | None = None,
    storage: str | None = None,
    scenario: str | Path | Scenario | None = None,
    day: str | None = None,
    trace: str | Path | Trace | None = None,
    trace_resistance_ohm: float | None = None,
    days: int | None = None,
    seeds: int = 0,
    start_ratio: float = 1.0,
    turn_on_v: float | None = None,
    brown_out_v: float | None = None,
    leakage: Literal["resistance", "current"] = "resistance",
    precision: str | None = None,
) -> SimulationResult:
    """Simulates a device's life on its source and storage, exactly between threshold crossings.

    Args:
        model: a path, ``zoo:NAME``, or a graph; default: the scenario's.
        device: a device's id, or a TOML file; default: the scenario's.
        runtime: default: the scenario's, else that of `check`.
        rate_hz: inferences per second asked for. [1/s]
        source: a harvester's id; without one the device lives on its storage.
        area_m2: of the harvester. [m²]
        converter: a converter's id; default: a wire without losses.
        storage: a storage's id.
        scenario: the rest of the device's life; what the other arguments say wins.
        day: a built-in day, such as ``office-light`` or ``outdoor:48:winter``.
        trace: a CSV file (see `read_trace`), or a trace.
        trace_resistance_ohm: that a trace's voltage was measured over. [Ω]
        days: how many; default: as long as the trace, 28 for a built-in day.
        seeds: how many random weathers; 0: the days as they are.
        start_ratio: share of a full storage at the beginning.
        turn_on_v: of a capacitor: the load starts. [V]
        brown_out_v: of a capacitor: the load stops. [V]
        leakage: of a capacitor: through a resistance, or at a constant current.
        precision: see `check`.

    Raises:
        BudgetError: of the kind that says whose problem it is: usage, model, profile, tool.
    """
    over = Scenario(
        device=device or "",
        runtime=runtime or "",
        rate_hz=rate_hz,
        storage=storage or "",
        source=Source(harvester=source or "", area_m2=area_m2, converter=converter or ""),
    )
    life = scenario_of(scenario, over)
    require(life.device, "device", "--device efm32pg12")
    require(life.rate_hz, "rate", "--rate 1/s")
    question = question_of(life)
    stretch = life_of(
        day=day,
        trace=trace,
        trace_resistance_ohm=trace_resistance_ohm,
        days=days,
        seeds=seeds,
        start_ratio=start_ratio,
        thresholds=Thresholds(turn_on_v, brown_out_v, leakage),
        has_source=question.source is not None,
    )
    estimated = estimate_in(life, question, model, precision=precision)
    return simulate_estimate(estimated, question, stretch)


def life_of(
    *,
    day: str | None,
    trace: str | Path | Trace | None,
    trace_resistance_ohm: float | None = None,
    days: int | None = None,
    seeds: int = 0,
    start_ratio: float = 1.0,
    thresholds: Thresholds | None = None,
    has_source: bool = True,
) -> Life:
    """The time to simulate, from what was asked; see `simulate`.

    Raises:
        UsageError: both a day and a trace, neither though there is a source, or too many seeds.
    """
    if day is not None and trace is not None:
        raise UsageError(
            "a day and a trace are two sources of light", where="--trace", hint="give one of them"
        )
    if not 0 <= seeds <= _MOST_SEEDS:
        raise UsageError(
            f"{seeds} weathers are none or too many",
            where="--seeds",
            hint=f"give 1 to {_MOST_SEEDS}, or leave it out for the days as they are",
        )
    if days is not None and days < 1:
        raise UsageError(f"{days} days are none", where="--days", hint="give one or more")
    chosen: Trace | None = None
    if trace is not None:
        chosen = (
            trace
            if isinstance(trace, Trace)
            else read_trace(trace, resistance_ohm=trace_resistance_ohm)
        )
        days = days or max(1, round(chosen.whole_s / DAY_S))
    elif day is not None:
        days = days or _USUAL_DAYS
        chosen = day_trace(day, days)
    elif has_source:
        raise UsageError(
            "nothing says when the source gives its power",
            where="--day",
            hint="add --day office-light, --day always, or --trace FILE.csv",
        )
    return Life(chosen, days or _USUAL_DAYS, seeds, start_ratio, thresholds or Thresholds())


_USUAL_DAYS = 28


def simulate_estimate(estimated: Estimate, question: Question, life: Life) -> SimulationResult:
    """`simulate` for a model that is planned and priced already."""
    require(question.rate_hz, "rate", "--rate 1/s")
    assert question.rate_hz is not None
    cycle = estimated.cycle(question)
    outcomes: list[Outcome] = []
    supply: Supply | None = None
    for seed in range(max(life.seeds, 1)):
        trace = life.trace.lasting(life.days * DAY_S) if life.trace else None
        if trace is not None and life.seeds:
            trace = with_weather(trace, seed)
        outcome, found = live(
            cycle,
            trace,
            rate_hz=question.rate_hz,
            whole_s=life.days * DAY_S,
            thresholds=life.thresholds,
            start_ratio=life.start_ratio,
        )
        supply = supply or found
        outcomes.append(outcome if seed == 0 else outcome.without_course())
    assert supply is not None
    notes = [*estimated.model.notes, *estimated.program.notes, *cycle.notes, *_notes(life, cycle)]
    return SimulationResult(
        estimated, question, life, tuple(outcomes), supply, tuple(dict.fromkeys(notes))
    )


def _notes(life: Life, cycle: Cycle) -> tuple[str, ...]:
    found = ["the simulation takes every figure at its middle value"]
    storage = cycle.chain.storage
    assert storage is not None
    if life.thresholds.turn_on_v is None:
        found.append(
            "after a brown-out the device starts again at a tenth of the usable energy"
            " and one cycle more"
        )
    if storage.category == "rechargeable" and storage.cycle_life is None:
        found.append(f"{storage.id} has no cycle life: it does not age here")
    if life.trace is not None and life.trace.meaning == "light":
        found.append("the harvester's power is taken to follow the light")
        if life.trace.name.startswith("outdoor") and not life.seeds:
            found.append("the sky is clear every day: --seeds 20 makes weather")
    return tuple(found)
