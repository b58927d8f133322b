"""Plans of a sweep: every combination of a TOML file's axes, or the rows of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from budget import units
from budget.errors import UsageError
from budget.formats.toml import parse_toml
from budget.hardware.schema import suggest
from budget.records import record
from budget.scenario.store import Array

BLOCK_ROWS = 50_000
"""Most combinations priced at once: enough to hide Python's overhead, few enough to fit a cache."""

_NAMED = ("models", "devices", "runtimes", "sources", "converters", "storages")
_NUMBERED = {"areas": "area", "rates": "rate"}
_PLAIN = ("scenario", "precision")
_COLUMNS = {
    "model": "",
    "device": "",
    "runtime": "",
    "source": "",
    "converter": "",
    "storage": "",
    "area": "area",
    "rate": "rate",
}
_MOST_POINTS = 10_000_000
_MOST_NAMED = 50_000


@record
class Names:
    """What is the same in a block; an empty name is what the scenario says, or nothing."""

    model: str
    device: str
    runtime: str
    source: str
    converter: str
    storage: str


@record
class Block:
    """Combinations that differ in numbers only.

    Attributes:
        names: model, device and so on.
        row: number of each combination in the plan, from 0; [n].
        area_m2: [n]; not a number where none is given.
        rate_hz: [n]; likewise.
        scenario: the rest of the device's life: an id or a file, or nothing.
        precision: see `check`; empty: what the file holds.
    """

    names: Names
    row: np.ndarray[Any, np.dtype[np.int64]]
    area_m2: Array
    rate_hz: Array
    scenario: str = ""
    precision: str = ""


@record
class SweepPlan:
    """What to price.

    Attributes:
        blocks: in the order of the plan.
        size: combinations altogether.
    """

    blocks: tuple[Block, ...]
    size: int


def read_plan(path: str | Path) -> SweepPlan:
    """Reads a plan.

    A TOML file has axes, each a list, or for numbers a range of equal ratios::

        models = ["zoo:hotword", "zoo:digits"]
        devices = ["efm32pg12"]
        sources = ["indoor-light", "outdoor-light"]
        areas = { from = "1cm2", to = "100cm2", count = 50 }
        rates = ["1/h", "1/min", "1/s"]

    besides `runtimes`, `converters`, `storages`, and the plain `scenario` and `precision`. A CSV
    file has a row for each combination, and a header of their singulars: model, device, …

    Raises:
        UsageError: the file cannot be read; unknown keys, values of another dimension; the
            place is named.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot be read: {error}", where=str(path), hint="check the path"
        ) from None
    if file.suffix == ".csv":
        return _from_rows(file.name, text)
    try:
        table = parse_toml(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"not a TOML file: {error}", where=file.name, hint="end its name in .csv if it is one"
        ) from None
    return _from_axes(file.name, table)


def _from_axes(name: str, table: dict[str, Any]) -> SweepPlan:
    known = (*_NAMED, *_NUMBERED, *_PLAIN)
    for key in table:
        if key not in known:
            raise UsageError("unknown key", where=f"{name}: {key}", hint=suggest(key, known))
    names = {key: _texts(name, key, table.get(key)) for key in _NAMED}
    scenario, precision = (_plain(name, key, table.get(key, "")) for key in _PLAIN)
    if not scenario:
        for key in ("models", "devices", "rates"):
            if key not in table:
                raise UsageError(
                    f"the plan has no {key}", where=name, hint=f"add {key} = [...], or a scenario"
                )
    areas, rates = (
        _numbers(f"{name}: {key}", dimension, table.get(key))
        for key, dimension in _NUMBERED.items()
    )
    named = prod(len(names[key]) for key in _NAMED)
    size = named * len(areas) * len(rates)
    if named > _MOST_NAMED or size > _MOST_POINTS:
        raise UsageError(
            f"{size:,} combinations, {named:,} of them of names; at most {_MOST_POINTS:,} and "
            f"{_MOST_NAMED:,} are priced at once",
            where=name,
            hint="divide the plan",
        )
    grid_area = np.repeat(areas, len(rates))
    grid_rate = np.tile(rates, len(areas))
    combinations = list(product(*(names[key] for key in _NAMED)))
    blocks = []
    for number, chosen in enumerate(combinations):
        for start in range(0, len(grid_area), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            row = np.arange(start, min(start + BLOCK_ROWS, len(grid_area)), dtype=np.int64)
            blocks.append(
                Block(
                    Names(*chosen),
                    row + number * len(grid_area),
                    grid_area[part],
                    grid_rate[part],
                    scenario,
                    precision,
                )
            )
    return SweepPlan(tuple(blocks), size)


def _texts(name: str, key: str, raw: Any) -> Sequence[str]:
    if raw is None:
        return [""]
    if not (isinstance(raw, list) and raw and all(isinstance(item, str) for item in raw)):
        raise UsageError(
            "a list of names is expected here", where=f"{name}: {key}", hint=f'{key} = ["..."]'
        )
    return raw


def _plain(name: str, key: str, raw: Any) -> str:
    if not isinstance(raw, str):
        raise UsageError("a text is expected here", where=f"{name}: {key}", hint=f'{key} = "..."')
    return raw


def _numbers(where: str, dimension: str, raw: Any) -> Array:
    if raw is None:
        return np.array([np.nan])
    if isinstance(raw, dict):
        return _range(where, dimension, raw)
    if not (isinstance(raw, list) and raw and all(isinstance(item, str) for item in raw)):
        raise UsageError(
            "a list of quantities or a range is expected here",
            where=where,
            hint='such as ["1cm2", "10cm2"], or { from = "1cm2", to = "1dm2", count = 20 }',
        )
    return np.array([_quantity(where, dimension, item) for item in raw])


def _range(where: str, dimension: str, raw: dict[str, Any]) -> Array:
    if set(raw) != {"from", "to", "count"}:
        raise UsageError("a range has from, to and count", where=where, hint="and no other keys")
    low, high = (_quantity(where, dimension, str(raw[key])) for key in ("from", "to"))
    count = raw["count"]
    whole = isinstance(count, int) and not isinstance(count, bool)
    if not (whole and 2 <= count <= _MOST_POINTS and low < high):
        raise UsageError(
            "a range rises from a lower to a higher value in two points or more",
            where=where,
            hint="for a single value write a list",
        )
    return np.geomspace(low, high, count)


def _quantity(where: str, dimension: str, text: str) -> float:
    try:
        value = units.parse(text, dimension)
    except UsageError as error:
        raise UsageError(error.what, where=where, hint=error.hint) from None
    if not value > 0:
        raise UsageError(f"{text} is not above zero", where=where, hint="give a positive value")
    return value


def _from_rows(name: str, text: str) -> SweepPlan:
    try:
        return _from_table(name, csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise UsageError(f"the table is damaged: {error}", where=name) from None


def _from_table(name: str, rows: csv.DictReader[str]) -> SweepPlan:
    for key in rows.fieldnames or ():
        if key not in _COLUMNS:
            raise UsageError(
                f"unknown column '{key}'", where=f"{name}: line 1", hint=suggest(key, _COLUMNS)
            )
    for key in ("model", "device", "rate"):
        if key not in (rows.fieldnames or ()):
            raise UsageError(
                f"there is no column '{key}'",
                where=f"{name}: line 1",
                hint="begin with model,device,rate",
            )
    found: dict[tuple[str, ...], list[tuple[int, float, float]]] = {}
    count = 0
    for number, row in enumerate(rows):
        where = f"{name}: line {rows.line_num}"
        if None in row or None in row.values():
            raise UsageError("as many values as columns are needed", where=where, hint="see line 1")
        texts = tuple((row.get(key) or "").strip() for key in _COLUMNS if not _COLUMNS[key])
        area, rate = (row.get(key, "").strip() for key in ("area", "rate"))
        found.setdefault(texts, []).append(
            (
                number,
                _quantity(where, "area", area) if area else np.nan,
                _quantity(where, "rate", rate),
            )
        )
        count += 1
    if not count:
        raise UsageError("the plan has no rows", where=name, hint="add one for each combination")
    return SweepPlan(tuple(_blocks(found)), count)


def _blocks(found: dict[tuple[str, ...], list[tuple[int, float, float]]]) -> Iterator[Block]:
    for texts, members in found.items():
        for start in range(0, len(members), BLOCK_ROWS):
            row, area, rate = zip(*members[start : start + BLOCK_ROWS])
            yield Block(Names(*texts), np.array(row, np.int64), np.array(area), np.array(rate))
