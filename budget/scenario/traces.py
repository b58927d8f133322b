"""What a source gives over time: recorded traces, and what they mean for a harvester.

A value holds from its time to the next; the last one as long as the one before it.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from budget import units
from budget.errors import BudgetError, UsageError
from budget.hardware.figure import Figure, Kind
from budget.records import record
from budget.scenario.source import Chain
from budget.scenario.store import Array

W_PER_M2_PER_LUX = 3.0e-3
"""Radiation of white LED light: 0.30 µW/cm² for each lux (300 to 335 lm per watt)."""

Meaning = Literal["light", "level", "power", "density"]

# column → its meaning, the dimension of its unit, and the unit where none is written
_COLUMNS: dict[str, tuple[Meaning, str, str]] = {
    "irradiance": ("light", "power density", "W/m2"),
    "lux": ("light", "", ""),
    "illuminance": ("light", "", ""),
    "level": ("level", "ratio", "x"),
    "power": ("power", "power", ""),
    "density": ("density", "power density", ""),
    "voltage": ("power", "voltage", "V"),
}
_TIMES = ("time", "timestamp")
_LARGEST = 1e15  # whatever its unit; squares and sums of a trace's numbers stay far from infinity
_MOST_PIECES = 5_000_000
_MOST_REPEATS = 400
_HEADING = re.compile(r"([A-Za-z]+)\s*(?:[\[(]([^\])]*)[\])])?")


@record
class Trace:
    """A source over time.

    Attributes:
        name: for the reader.
        meaning: ``light``: irradiance in W/m²; ``level``: share of what the harvester's profile
            promises; ``power``: of the whole harvester in W; ``density``: of it in W/m².
        duration_s: of each value; [n].
        value: [n], not below zero.
    """

    name: str
    meaning: Meaning
    duration_s: Array
    value: Array

    @property
    def whole_s(self) -> float:
        """Length of the trace."""
        return float(np.sum(self.duration_s))

    def lasting(self, time_s: float) -> Trace:
        """The trace repeated and cut to a length.

        Raises:
            UsageError: it is too short for that length.
        """
        most = max(_MOST_PIECES, _MOST_REPEATS * len(self.value))
        if time_s / self.whole_s * len(self.value) > most:
            raise UsageError(
                f"a trace of {self.whole_s:g} s is too short to be repeated for {time_s:g} s",
                where=self.name,
                hint="check the unit of its time, or give a longer one",
            )
        times = max(1, int(np.ceil(time_s / self.whole_s * (1 - 1e-12))))
        duration, value = np.tile(self.duration_s, times), np.tile(self.value, times)
        ends = np.cumsum(duration)
        last = min(int(np.searchsorted(ends, time_s * (1 - 1e-12))), len(ends) - 1)
        duration, value = duration[: last + 1].copy(), value[: last + 1]
        duration[last] -= max(ends[last] - time_s, 0.0)
        return Trace(self.name, self.meaning, duration, value)


def harvested_chain(chain: Chain, trace: Trace) -> Chain:
    """The chain with an area for each value of a trace, so that it gives the trace's powers.

    Half the light on a cell is as good as half the cell, at the voltage of its profile; so the
    converter's efficiency follows the power, through the same code as without a trace.

    Raises:
        UsageError: no source, a trace of light for a source that does not live on it, or an
            area that is missing.
    """
    source = chain.source
    if source is None:
        raise UsageError(
            "a trace needs a source that follows it",
            where="--source",
            hint="add --source ('budget sources' lists them)",
        )
    level = trace.value
    if trace.meaning == "light":
        if source.light_w_per_m2 is None:
            raise UsageError(
                f"the trace is one of light, and {source.id} does not say at which light its "
                "power holds",
                where="--source",
                hint="take a source of light, or give a trace of level or power",
            )
        level = level / source.light_w_per_m2.value
    if trace.meaning in {"power", "density"}:
        unit_density = _exactly(f"given/{trace.name}", 1.0, "W/m2")
        given = replace(source, power_density_w_per_m2=unit_density, power_w=None)
        if trace.meaning == "power":
            return replace(chain, source=given, area_m2=level, present_ratio=1.0)
        return replace(chain, source=given, area_m2=_area(chain) * level, present_ratio=1.0)
    if source.power_density_w_per_m2 is None and source.power_w is not None:
        # a device whose area is no choice: its power for each square metre of one
        given = replace(source, power_density_w_per_m2=source.power_w, power_w=None)
        return replace(chain, source=given, area_m2=level, present_ratio=1.0)
    return replace(chain, area_m2=_area(chain) * level, present_ratio=1.0)


def _area(chain: Chain) -> float:
    if chain.area_m2 is None:
        raise UsageError(
            "the harvester's power depends on its area",
            where="--area",
            hint="add --area, such as --area 10cm2",
        )
    return float(chain.area_m2)


def _exactly(key: str, value: float, unit: str) -> Figure:
    return Figure(key, value, value, value, unit, Kind.MEASURED)


def read_trace(path: str | Path, *, resistance_ohm: float | None = None) -> Trace:
    """A trace from a CSV file with a header such as ``time [s],power [uW]``.

    Columns: ``time`` (a number with its unit, or ISO 8601 dates) and one of ``irradiance``,
    ``lux``, ``level`` (1: as the harvester's profile says), ``power``, ``density`` (power for
    each area) or ``voltage`` (over a resistor: P = V²/R). Others are left alone.

    Args:
        path: of the file.
        resistance_ohm: that a voltage was measured over.

    Raises:
        UsageError: the file cannot be read, or a line makes no sense; the line is named.
    """
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            return _parse(file.name, csv.reader(lines), resistance_ohm)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"cannot be read as CSV: {error}", where=str(path), hint="check the path and the file"
        ) from None


def _parse(name: str, rows: Iterable[list[str]], resistance_ohm: float | None) -> Trace:
    numbered = enumerate(rows, start=1)
    head = next((row for _, row in numbered if row and not row[0].startswith("#")), None)
    if head is None:
        raise UsageError("the file is empty", where=name, hint="begin with time [s],power [uW]")
    time_at, time_scale, value_at, meaning, scale, squared = _columns(name, head, resistance_ohm)
    times: list[float] = []
    values: list[float] = []
    first: datetime | None = None
    last = -math.inf
    for line, row in numbered:
        if not row or row[0].startswith("#"):
            continue
        try:
            time_text, value_text = row[time_at], row[value_at]
            value = _number(value_text) * scale
            time_s = _number(time_text) * time_scale if time_scale else 0.0
        except (IndexError, ValueError):
            time_s, value, value_text = math.nan, math.nan, ""
        if not time_scale and value == value:
            moment = _moment(time_text, f"{name}: line {line}")
            first = first or moment
            time_s = _seconds(moment, first, f"{name}: line {line}")
        good = last < time_s < math.inf and -math.inf < value < math.inf
        if not good or (value < 0 and not squared):
            columns = (time_at, value_at) if time_scale else (value_at,)
            raise _told(f"{name}: line {line}", row, columns, negative=value < 0 and not squared)
        times.append(time_s)
        values.append(value * value / (resistance_ohm or 1.0) if squared else value)
        last = time_s
    if len(times) < 2:
        raise UsageError(
            "a trace needs two lines at least", where=name, hint="a value holds until the next"
        )
    duration = np.diff(np.array(times))
    return Trace(name, meaning, np.append(duration, duration[-1]), np.array(values))


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) < _LARGEST:
        raise ValueError
    return value


def _columns(
    name: str, head: list[str], resistance_ohm: float | None
) -> tuple[int, float, int, Meaning, float, bool]:
    """Where time and value stand and what their units are; no scale of time for dates."""
    where = f"{name}: header"
    found: dict[str, tuple[int, str]] = {}
    for position, heading in enumerate(head):
        match = _HEADING.fullmatch(heading.strip())
        if match:
            found.setdefault(match[1].lower(), (position, (match[2] or "").strip()))
    time = next((found[t] for t in _TIMES if t in found), None)
    chosen = [column for column in _COLUMNS if column in found]
    if time is None or len(chosen) != 1:
        raise UsageError(
            "the header needs a time and one of " + ", ".join(_COLUMNS),
            where=where,
            hint="write time [s],power [uW]; columns of other names are left alone",
        )
    time_scale = _unit(time[1], "time", where) if time[1] else 0.0
    meaning, dimension, usual = _COLUMNS[chosen[0]]
    position, unit = found[chosen[0]]
    if not dimension:
        if unit not in {"", "lx", "lux", "klx"}:
            raise UsageError(f"'{unit}' is no unit of light", where=where, hint="write lx or klx")
        scale = W_PER_M2_PER_LUX * (1e3 if unit == "klx" else 1.0)
        return time[0], time_scale, position, meaning, scale, False
    if not (unit or usual):
        raise UsageError(
            f"'{chosen[0]}' has no unit", where=where, hint=f"write {chosen[0]} [uW] or the like"
        )
    if dimension == "voltage" and not (resistance_ohm and resistance_ohm > 0):
        raise UsageError(
            "a voltage is no power without the resistor it was measured over",
            where=where,
            hint="add --trace-resistance 30kOhm",
        )
    scale = _unit(unit or usual, dimension, where)
    return time[0], time_scale, position, meaning, scale, dimension == "voltage"


def _unit(unit: str, dimension: str, where: str) -> float:
    try:
        return units.parse("1" + unit, dimension)
    except BudgetError as error:
        raise UsageError(error.what, where=where, hint=error.hint) from None


def _told(where: str, row: list[str], numbers_at: tuple[int, ...], *, negative: bool) -> UsageError:
    """What is wrong with a line that something is wrong with."""
    if len(row) <= max(numbers_at):
        return UsageError("a column is missing", where=where, hint="as many as in the header")
    for text in (row[i].strip() for i in numbers_at):
        try:
            _number(text)
        except ValueError:
            hint = "leave out lines without a value"
            return UsageError(f"'{text}' is no number", where=where, hint=hint)
    if negative:
        text = row[numbers_at[-1]].strip()
        return UsageError(f"{text} is below zero", where=where, hint="give zero or more")
    return UsageError("time does not go on", where=where, hint="sort the lines by time")


def _moment(text: str, where: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"'{text.strip()}' is no date",
            where=where,
            hint="write 2026-03-01T08:00:00, or name the unit of time: time [s]",
        ) from None


def _seconds(moment: datetime, first: datetime, where: str) -> float:
    try:
        return (moment - first).total_seconds()
    except TypeError:
        raise UsageError(
            "a date with a time zone stands beside one without",
            where=where,
            hint="give all of them a zone, or none",
        ) from None
