"""The smallest storage and harvester for a device that must never brown out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from budget import units
from budget.api.check import Estimate, estimate_in
from budget.api.question import Question, question_of, require, scenario_of
from budget.api.simulate import Life, life_of
from budget.errors import UsageError
from budget.graph import Graph
from budget.records import record
from budget.scenario.schema import Scenario, Source
from budget.scenario.simulation import DAY_S
from budget.scenario.sizing import (
    KansalBounds,
    Site,
    Sizes,
    bounds_of,
    load_of,
    pareto_front,
    smallest_area,
    smallest_storage,
)
from budget.scenario.traces import Trace

_AREAS = 6
_RATES = (0.5, 1.0, 2.0)


@record
class Sizing:
    """Sizes that keep a device alive for ever on a trace.

    Attributes:
        estimate: the model on the device.
        question: the rest of what was asked.
        life: the trace, which repeats.
        storage: the least for the area asked.
        area_m2: the least for one storage of the kind asked; None where it is no choice.
        kansal: lines around what reaches the storage, with the area asked.
        load_w: out of the storage, without its leakage.
        front: area against storage against rate.
    """

    estimate: Estimate
    question: Question
    life: Life
    storage: Sizes
    area_m2: float | None
    kansal: KansalBounds
    load_w: float
    front: tuple[Sizes, ...]

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints; what no size achieves is null."""
        return {
            "storage_ratio": units.finite(self.storage.storage_ratio),
            "storage_j": units.finite(self.storage.storage_j),
            "area_m2": units.finite(self.area_m2),
            "load_w": self.load_w,
            "kansal": {
                "mean_w": self.kansal.mean_w,
                "above_j": self.kansal.above_j,
                "below_j": self.kansal.below_j,
            },
            "front": [
                {
                    "rate_hz": sizes.rate_hz,
                    "area_m2": sizes.area_m2,
                    "storage_ratio": sizes.storage_ratio,
                    "storage_j": sizes.storage_j,
                }
                for sizes in self.front
            ],
        }


def size(
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
    precision: str | None = None,
) -> Sizing:
    """Sizes storage and harvester on a trace that repeats; arguments as of `simulate`.

    Raises:
        BudgetError: of the kind that says whose problem it is; without a source, a storage or a
            trace there is nothing to size.
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
    stretch = life_of(day=day, trace=trace, trace_resistance_ohm=trace_resistance_ohm, days=days)
    estimated = estimate_in(life, question, model, precision=precision)
    return size_estimate(estimated, question, stretch)


def size_estimate(estimated: Estimate, question: Question, life: Life) -> Sizing:
    """`size` for a model that is planned and priced already."""
    if question.storage is None or question.source is None or life.trace is None:
        raise UsageError(
            "sizes need a source, the kind of storage, and a day or trace",
            where="--size",
            hint="add --source, --storage and --day",
        )
    require(question.rate_hz, "rate", "--rate 1/s")
    assert question.rate_hz is not None
    cycle = estimated.cycle(question)
    trace = life.trace.lasting(life.days * DAY_S)
    site = Site(cycle, question.storage, trace, life.thresholds)
    rate = question.rate_hz
    supply = site.supply()
    area = None
    front: tuple[Sizes, ...] = ()
    if question.source.power_density_w_per_m2 is not None and trace.meaning != "power":
        area = smallest_area(site, rate)
        centre = question.area_m2 or area
        if math.isfinite(centre):
            areas = np.geomspace(centre / 8, centre * 8, _AREAS + 1).tolist()
            front = pareto_front(site, areas, [rate * factor for factor in _RATES])
    return Sizing(
        estimated,
        question,
        life,
        smallest_storage(site, rate, supply=supply),
        area,
        bounds_of(supply, trace.whole_s),
        load_of(site, rate),
        front,
    )
