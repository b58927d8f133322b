"""Models × devices × harvesters × areas × rates: the same estimates, in arrays.

A model on a device is planned and priced once; what depends on area and rate is then one array
each, through the functions that price a single combination.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from budget.api.check import Estimate, estimate_in
from budget.api.cluster import connect
from budget.api.constraints import constraints_of
from budget.api.question import Question, question_of, require, scenario_of
from budget.api.sweep_output import SweepWriter, open_writer
from budget.errors import BudgetError
from budget.hardware.figure import Quantity
from budget.records import record
from budget.scenario.average import average_power
from budget.scenario.schema import Scenario, Source
from budget.scenario.sweep_plan import Block, SweepPlan, read_plan
from budget.verdict import VERDICTS, Constraint, conclude_each

Columns = Mapping[str, Any]
"""Column → an array of the block's length, or what all its rows share."""

Progress = Callable[[int, int], None]
"""Called with combinations done, and of how many."""

_NOT_JUDGED = "not-judged"
_IN_FLIGHT_PER_WORKER = 4


@record
class SweepResult:
    """What a sweep came to.

    Attributes:
        path: of the table.
        rows: written.
        verdicts: how many of each.
        errors: why combinations were not judged, each once, with how many.
    """

    path: Path
    rows: int
    verdicts: Mapping[str, int]
    errors: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA

        return {
            "schema": SCHEMA,
            "command": "sweep",
            "path": str(self.path),
            "rows": self.rows,
            "verdicts": dict(self.verdicts),
            "errors": dict(self.errors),
        }


def sweep(
    plan: str | Path | SweepPlan,
    output: str | Path,
    *,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """Prices and judges every combination of a plan and writes a table of them.

    Combinations that cannot be judged (a runtime that does not know a core) are kept with the
    reason. The table appears only when it is whole.

    Args:
        plan: a TOML or CSV file (see `read_plan`), or a plan.
        output: ends in ``.parquet`` or ``.csv``.
        scheduler: address of a Dask scheduler whose workers have this package; None: here.
        progress: called as blocks come in.

    Raises:
        UsageError: a plan or a place that cannot be used.
        MissingToolError: Parquet without pyarrow, a scheduler without Dask, or none there.
        BudgetError: a model that cannot be read.
    """
    chosen = plan if isinstance(plan, SweepPlan) else read_plan(plan)
    verdicts: dict[str, int] = {}
    errors: dict[str, int] = {}
    done = 0
    with open_writer(Path(output)) as writer:
        blocks = _on_cluster(chosen, scheduler) if scheduler else map(price_block, chosen.blocks)
        for block, columns in zip(chosen.blocks, blocks):
            _write(writer, columns, len(block.row), verdicts, errors)
            done += len(block.row)
            if progress is not None:
                progress(done, chosen.size)
    return SweepResult(Path(output), done, verdicts, errors)


def _write(
    writer: SweepWriter,
    columns: Columns,
    rows: int,
    verdicts: dict[str, int],
    errors: dict[str, int],
) -> None:
    writer.write(columns, rows)
    names, counts = np.unique(np.broadcast_to(columns["verdict"], rows), return_counts=True)
    for name, count in zip(names, counts):
        verdicts[str(name)] = verdicts.get(str(name), 0) + int(count)
    if columns["error"]:
        errors[columns["error"]] = errors.get(columns["error"], 0) + rows


def price_block(block: Block) -> Columns:
    """Prices and judges one block of combinations, all at once."""
    names = block.names
    head: dict[str, Any] = {
        "row": block.row,
        "model": names.model,
        "device": names.device,
        "runtime": names.runtime,
        "source": names.source,
        "converter": names.converter,
        "storage": names.storage,
        "area_m2": block.area_m2,
        "rate_hz": block.rate_hz,
    }
    try:
        estimated, question = (
            _priced(names.model, names.device, names.runtime, block.scenario, block.precision),
            _question(block),
        )
        return {**head, **_judged(estimated, question, head)}
    except BudgetError as error:
        # one bad combination must not lose the others: the reason stands in the table
        return {**head, **dict.fromkeys(RESULTS, np.nan), "binding": "",
                "verdict": _NOT_JUDGED, "error": str(error)}  # fmt: skip


RESULTS = (
    "latency_s", "energy_j", "flash_bytes", "ram_bytes",
    "average_w", "average_low_w", "average_high_w",
    "charging_w", "charging_low_w", "charging_high_w",
    "sustainable_hz", "margin_ratio",
)  # fmt: skip
"""Columns of numbers that pricing adds; NaN where there is none."""


def _judged(estimated: Estimate, question: Question, head: dict[str, Any]) -> dict[str, Any]:
    cycle = estimated.cycle(question)
    rate = question.rate_hz
    assert rate is not None
    power = average_power(cycle, rate)
    constraints = constraints_of(estimated, cycle, power, question)
    inference = estimated.inference
    margin, binding = _binding(constraints, len(head["row"]))
    has_source = question.source is not None
    charging = cycle.chain.charging_w
    found: dict[str, Any] = {
        "runtime": estimated.runtime.id,
        "device": estimated.device.id,
        "model": estimated.model.name,
        "source": question.source.id if question.source else "",
        "converter": question.converter.id if question.converter else "",
        "storage": question.storage.id if question.storage else "",
        "area_m2": np.nan if question.area_m2 is None else question.area_m2,
        "rate_hz": rate,
        "latency_s": _value(cycle.latency),
        "energy_j": inference.energy.value,
        "flash_bytes": inference.flash.value,
        "ram_bytes": inference.ram.value,
        "average_w": power.average.value,
        "average_low_w": power.average.low,
        "average_high_w": power.average.high,
        "charging_w": charging.value if has_source else np.nan,
        "charging_low_w": charging.low if has_source else np.nan,
        "charging_high_w": charging.high if has_source else np.nan,
        "sustainable_hz": cycle.sustainable_hz().value if has_source else np.nan,
        "margin_ratio": margin,
        "binding": binding,
        "verdict": np.array([v.value for v in VERDICTS])[conclude_each(constraints)],
        "error": "",
    }
    return {
        name: np.asarray(value, np.float64) if name in RESULTS else value
        for name, value in found.items()
    }


def _value(quantity: Quantity | None) -> Any:
    return np.nan if quantity is None else quantity.value


def _binding(constraints: tuple[Constraint, ...], rows: int) -> tuple[Any, Any]:
    """The smallest margin among all constraints, and whose it is."""
    judged = [c for c in constraints if c.need is not None and c.have is not None]
    if not judged:
        return np.nan, ""
    margins = np.empty((len(judged), rows))
    for i, constraint in enumerate(judged):
        assert constraint.need is not None and constraint.have is not None
        with np.errstate(divide="ignore", invalid="ignore"):
            margins[i] = np.divide(constraint.have.value, constraint.need.value)
    least = np.argmin(margins, axis=0)
    return margins[least, np.arange(rows)], np.array([c.name for c in judged])[least]


@lru_cache(maxsize=64)
def _priced(model: str, device: str, runtime: str, scenario: str, precision: str) -> Estimate:
    """A model on a device; memory and time do not depend on source, area or rate."""
    life = scenario_of(scenario or None, Scenario(model=model, device=device, runtime=runtime))
    require(life.model, "model", 'models = ["zoo:hotword"]')
    require(life.device, "device", 'devices = ["efm32pg12"]')
    alone = replace(life, source=Source(), storage="", life_s=None)
    return estimate_in(life, question_of(alone), None, precision=precision or None)


def _question(block: Block) -> Question:
    """The question with arrays where one combination has numbers."""
    names = block.names
    some_area = bool(np.all(np.isfinite(block.area_m2))) and bool(names.source)
    over = Scenario(
        rate_hz=float(block.rate_hz[0]) if np.isfinite(block.rate_hz[0]) else None,
        storage=names.storage,
        source=Source(
            harvester=names.source,
            area_m2=float(block.area_m2[0]) if some_area else None,
            converter=names.converter,
        ),
    )
    life = scenario_of(block.scenario or None, over)
    require(life.rate_hz, "rate", 'rates = ["1/s"]')
    question = question_of(life)
    values: dict[str, Any] = {"rate_hz": np.full(len(block.row), question.rate_hz)}
    if over.rate_hz is not None:
        values["rate_hz"] = block.rate_hz
    if some_area:
        values["area_m2"] = block.area_m2
    return replace(question, **values)


def _on_cluster(plan: SweepPlan, address: str) -> Iterator[Columns]:
    """Prices blocks on a Dask cluster; they come back in the plan's order.

    A block is a function of its arguments alone: what a worker that dies had not delivered, the
    scheduler gives to another.
    """
    with connect(address) as client:
        threads = sum(client.nthreads().values())
        ahead = max(1, threads) * _IN_FLIGHT_PER_WORKER
        waiting: list[Any] = []
        position = 0
        for _ in plan.blocks:
            while position < len(plan.blocks) and len(waiting) < ahead:
                # not pure: equal blocks of two sweeps are priced by the code of each
                waiting.append(client.submit(price_block, plan.blocks[position], pure=False))
                position += 1
            yield waiting.pop(0).result()
