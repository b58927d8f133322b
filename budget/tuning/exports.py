"""Reads what measuring instruments write: latencies and energies of inferences.

Formats, told apart by their first lines:

- a table of measurements: columns ``model`` and one of ``latency_s _ms _us`` or ``cycles``, and, if
  known, ``clock_hz _mhz``, ``energy_j _mj _uj``, ``device``, ``supply_v``;
- Nordic Power Profiler Kit II: ``Timestamp(ms),Current(uA),D0-D7`` (or ``D0`` … ``D7``);
- Joulescope: ``time,current,voltage``, perhaps ``power``, in seconds, amperes, volts and watts,
  if exported with it a digital line ``in0`` or ``gpi0``; lines with ``#`` before it;
- EEMBC EnergyRunner's log: ``Median throughput is … inf./sec.`` and
  ``Median energy cost is … uJ/inf.``.

In a trace, an inference is a pulse: the digital line is high, or, without one, the power is
nearer to its 95th percentile than to its 5th. The answer is the median of the whole pulses.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budget.errors import UsageError

_UNITS = {
    "latency": {"s": 1.0, "ms": 1e-3, "us": 1e-6},
    "energy": {"j": 1.0, "mj": 1e-3, "uj": 1e-6},
    "clock": {"hz": 1.0, "mhz": 1e6},
    "supply": {"v": 1.0},
}
_KNOWN = {
    "model",
    "device",
    "cycles",
    "note",
    *(f"{name}_{unit}" for name, units in _UNITS.items() for unit in units),
}
_ACCEPTED = (
    "columns: model, one of latency_s, latency_ms, latency_us or cycles, and, if known, clock_hz "
    "or clock_mhz, energy_j, energy_mj or energy_uj, supply_v, device, note; or an export of "
    "a Nordic PPK2, a Joulescope, or an EnergyRunner log"
)
_LARGEST = 1e15  # beyond any instrument, and products of three stay numbers
_THROUGHPUT = re.compile(r"[Mm]edian throughput is\s+(\d+(?:\.\d*)?|\.\d+)\s+inf", re.ASCII)
_ENERGY = re.compile(r"[Mm]edian energy cost is\s+(\d+(?:\.\d*)?|\.\d+)\s+uJ", re.ASCII)


@dataclass(frozen=True)
class Reading:
    """One measured inference.

    Attributes:
        model: path or ``zoo:NAME``; empty where the file does not say.
        device: id; empty where the file does not say.
        latency_s: of one inference; None where only cycles are given.
        cycles: of one inference; None where only a latency is given.
        clock_hz: None where the file does not say.
        energy_j: of one inference; None if it was not measured.
        supply_v: None where the file does not say.
        where: file and line.
    """

    model: str
    device: str
    latency_s: float | None
    cycles: float | None
    clock_hz: float | None
    energy_j: float | None
    supply_v: float | None
    where: str


@dataclass(frozen=True)
class Export:
    """What a file holds: which format it is in, and the measurements."""

    format: str
    readings: tuple[Reading, ...]


def read_export(path: Path, *, supply_v: float | None = None) -> Export:
    """Reads a file of any accepted format.

    Args:
        path: of the file.
        supply_v: for instruments that log the current alone.

    Raises:
        UsageError: no such file, a format or column that is not known, a number that is none.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"the file cannot be read: {error.strerror}", where=str(path), hint="check the path"
        ) from None
    except UnicodeDecodeError:
        raise UsageError("the file is not text", where=str(path), hint=_ACCEPTED) from None
    if _THROUGHPUT.search(text) or _ENERGY.search(text):
        return Export("energyrunner", (_energy_runner(text, path),))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    header = [name.strip() for name in lines[0].split(",")] if lines else []
    lowered = [name.lower() for name in header]
    if lowered[:2] == ["timestamp(ms)", "current(ua)"]:
        return Export("ppk2", (_ppk2(lines, header, path, supply_v),))
    if lowered[:2] == ["time", "current"]:
        return Export("joulescope", (_joulescope(lines, lowered, path, supply_v),))
    if "model" in lowered:
        return Export("table", tuple(_table(lines, lowered, path)))
    raise UsageError("the format is not known", where=str(path), hint=_ACCEPTED)


def _energy_runner(text: str, path: Path) -> Reading:
    throughput, energy = _THROUGHPUT.search(text), _ENERGY.search(text)
    latency_s = _inverse(float(throughput[1])) if throughput else None
    energy_j = float(energy[1]) * 1e-6 if energy else None
    if latency_s is None:
        raise UsageError(
            "the log has no median throughput", where=str(path), hint="give the whole log"
        )
    return Reading("", "", latency_s, None, None, energy_j, None, str(path))


def _inverse(rate_hz: float) -> float | None:
    return 1.0 / rate_hz if 1e-9 < rate_hz < 1e9 else None


def _ppk2(
    lines: Sequence[str], header: Sequence[str], path: Path, supply_v: float | None
) -> Reading:
    if supply_v is None:
        raise UsageError(
            "the instrument logs current alone", where=str(path), hint="add --voltage, as in 3.0V"
        )
    rows = list(_rows(lines[1:], path))
    time_s = _column(rows, 0, path) * 1e-3
    power_w = _column(rows, 1, path) * 1e-6 * supply_v
    digital = None
    if len(header) > 2:
        text = [row[2] if len(row) > 2 else "0" for row in rows]
        # D0-D7 is one field of eight digits, the line D0 first
        digital = np.array([field.strip()[:1] == "1" for field in text])
    return _pulses(time_s, power_w, digital, path, supply_v)


def _joulescope(
    lines: Sequence[str], header: Sequence[str], path: Path, supply_v: float | None
) -> Reading:
    rows = list(_rows(lines[1:], path))
    time_s = _column(rows, 0, path)
    current_a = _column(rows, 1, path)
    if "voltage" in header:
        voltage_v = _column(rows, header.index("voltage"), path)
    elif supply_v is not None:
        voltage_v = np.full(len(rows), supply_v)
    else:
        raise UsageError(
            "the export has no voltage", where=str(path), hint="add --voltage, as in 3.0V"
        )
    line = next((name for name in ("in0", "gpi0") if name in header), None)
    digital = _column(rows, header.index(line), path) > 0.5 if line else None
    supply = float(np.median(voltage_v))
    return _pulses(time_s, current_a * voltage_v, digital, path, supply)


def _pulses(
    time_s: NDArray[np.float64],
    power_w: NDArray[np.float64],
    digital: NDArray[np.bool_] | None,
    path: Path,
    supply_v: float,
) -> Reading:
    if (np.diff(time_s) < 0).any():
        raise UsageError(
            "the trace's time runs backwards", where=str(path), hint="export the trace again"
        )
    if digital is None or not digital.any():
        low, high = np.percentile(power_w, [5, 95])
        digital = power_w > (low + high) / 2
    edges = np.flatnonzero(np.diff(digital.astype(np.int8)))
    rises = [int(i) + 1 for i in edges if digital[i + 1]]
    falls = [int(i) + 1 for i in edges if not digital[i + 1]]
    found = []
    if rises and falls and falls[0] < rises[0]:
        del falls[0]  # of a pulse that began before the trace
    for rise, fall in zip(rises, falls):
        seconds = float(time_s[fall] - time_s[rise])
        spacing = np.diff(time_s[rise : fall + 1])
        found.append((seconds, float((power_w[rise:fall] * spacing).sum())))
    if not found:
        raise UsageError(
            "the trace holds no whole inference",
            where=str(path),
            hint="raise a pin during the inference and log it as D0 (PPK2) or in0 (Joulescope)",
        )
    latency_s = statistics.median(seconds for seconds, _ in found)
    energy_j = statistics.median(joules for _, joules in found)
    where = f"{path}: {len(found)} inferences"
    return Reading("", "", latency_s, None, None, energy_j, supply_v, where)


def _rows(lines: Sequence[str], path: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines)
    except csv.Error as error:
        raise UsageError(
            f"the table is damaged: {error}", where=str(path), hint="export it again"
        ) from None


def _column(rows: Sequence[Sequence[str]], index: int, path: Path) -> NDArray[np.float64]:
    if not rows:
        raise UsageError("the trace is empty", where=str(path), hint="export the trace again")
    try:
        values = np.array([float(row[index]) for row in rows])
        if not (np.abs(values) < _LARGEST).all():
            raise ValueError
        return values
    except (ValueError, IndexError):
        raise UsageError(
            f"column {index + 1} holds something that is not a number",
            where=str(path),
            hint="export the trace again",
        ) from None


def _table(lines: Sequence[str], header: Sequence[str], path: Path) -> Iterator[Reading]:
    unknown = sorted(set(header) - _KNOWN)
    if unknown:
        raise UsageError(f"column {unknown[0]!r} is not known", where=str(path), hint=_ACCEPTED)
    for number, cells in enumerate(_rows(lines[1:], path), 2):
        where = f"{path}: row {number}"
        row = dict(zip(header, (cell.strip() for cell in cells)))
        latency_s, energy_j = _quantity(row, "latency", where), _quantity(row, "energy", where)
        cycles = _number(row.get("cycles", ""), where)
        if latency_s is None and cycles is None:
            raise UsageError("the row has neither latency nor cycles", where=where, hint=_ACCEPTED)
        yield Reading(
            row["model"],
            row.get("device", ""),
            latency_s,
            cycles,
            _quantity(row, "clock", where),
            energy_j,
            _quantity(row, "supply", where),
            where,
        )


def _quantity(row: dict[str, str], name: str, where: str) -> float | None:
    for unit, scale in _UNITS[name].items():
        value = _number(row.get(f"{name}_{unit}", ""), where)
        if value is not None:
            return value * scale
    return None


def _number(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(
            f"{text!r} is not a positive number", where=where, hint="write it as in 12.5"
        )
    return value
