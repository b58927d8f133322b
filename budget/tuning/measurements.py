"""The published measurements that ship with the project, and the networks they were made with.

``data/measurements.csv`` holds one row for each published figure, with its source;
``data/networks.json`` the layers of each network: operator, kernel height and width, input
channels that one output sums over, elements of the input, elements of the output.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from budget.estimate.stalls import NO_STALLS, Stalls
from budget.estimate.work import MAC_KINDS, Layer

FEATURES = (*MAC_KINDS, "output", "element", "layer")
SAME_RATIO = 1.01
"""Latencies closer than this, of one network on one board with one runtime, are one measurement."""

# layer tables of networks without the channels that are the same for every input
_REMOVED = "_removed"


@dataclass(frozen=True)
class Measurement:
    """One published figure.

    Attributes:
        board: as its source names it.
        device: id of the device profile; empty where the project has none.
        core: core family.
        clock_hz: while it ran.
        supply_v: at the energy monitor; None where it is not stated.
        runtime: id of the runtime profile.
        version: of the runtime, as published.
        removes_constant_channels: whether that version leaves them out: its work is less.
        network: key of the layer tables.
        precision: ``int8`` or ``float32``.
        latency_s: of one inference; None where only an energy was published.
        energy_j: microcontroller's supply rail, active inference only; None for a latency row.
        bytes_by_name: activation, runtime_ram, arena, ram, stack, weight and code bytes, if known.
        quality: why a fit must not use the row; empty where it may.
        source: publication, submitter and file.
    """

    board: str
    device: str
    core: str
    clock_hz: float
    supply_v: float | None
    runtime: str
    version: str
    removes_constant_channels: bool
    network: str
    precision: str
    latency_s: float | None
    energy_j: float | None
    bytes_by_name: dict[str, int]
    quality: str
    source: str

    @property
    def cycles(self) -> float:
        """Core cycles of one inference; 0 where no latency is known."""
        return (self.latency_s or 0.0) * self.clock_hz

    @property
    def architecture(self) -> str:
        """What is left out together: sizes and heads of one architecture are not independent."""
        return architecture(self.network)


def architecture(network: str) -> str:
    """The architecture of a network: the same for all its input sizes and data sets."""
    same = {"ic": "resnet_v1_8", "vww": "mobilenet_v1_0.25", "person_detect": "mobilenet_v1_0.25"}
    if network in same:
        return same[network]
    stem = re.sub(r"_(int8|tfs|fft|tl)\b|_(int8|tfs|fft|tl)(?=_)", "", network)
    stem = re.sub(r"_\d+(x\d+)?$", "", stem)
    return re.sub(r"^st_(?=ssd)", "", stem)


@lru_cache(maxsize=1)
def networks() -> dict[str, tuple[Layer, ...]]:
    """Layers of every measured network, by key."""
    text = resources.files("budget.tuning").joinpath("data/networks.json").read_text("utf-8")
    return {
        name: tuple(Layer(*row) for row in entry["layers"])
        for name, entry in json.loads(text).items()
    }


def layers_run(network: str, *, removes_constant_channels: bool) -> tuple[Layer, ...]:
    """Layers of a network as a runtime runs it: the effective work.

    Raises:
        KeyError: a network that has no layer table.
    """
    tables = networks()
    if removes_constant_channels and network + _REMOVED in tables:
        return tables[network + _REMOVED]
    return tables[network]


def features(layers: Iterable[Layer], stalls: Stalls = NO_STALLS) -> tuple[float, ...]:
    """Work by price, in the order of `FEATURES`: MACs by kind, outputs, elements, layers.

    Args:
        layers: that run.
        stalls: of the flash: work counts as much more as it waits.
    """
    sums = dict.fromkeys(FEATURES, 0.0)
    for layer in layers:
        ratio = stalls.ratio(layer.kind)
        sums["layer"] += ratio
        if layer.kind == "other":
            sums["element"] += layer.elements * ratio
        else:
            sums["output"] += layer.outputs * ratio
            sums[layer.kind] += layer.macs * ratio
    return tuple(sums.values())


@lru_cache(maxsize=1)
def published() -> tuple[Measurement, ...]:
    """Every row that ships."""
    text = resources.files("budget.tuning").joinpath("data/measurements.csv").read_text("utf-8")
    return tuple(_measurement(row) for row in csv.DictReader(text.splitlines()))


def latencies(rows: Iterable[Measurement]) -> list[Measurement]:
    """Distinct int8 latency rows that a fit may use: repetitions are counted once."""
    kept: list[Measurement] = []
    for row in rows:
        usable = row.latency_s and not row.energy_j and not row.quality
        if usable and row.precision == "int8" and not any(_repeats(row, old) for old in kept):
            kept.append(row)
    return kept


def energies(rows: Iterable[Measurement]) -> list[Measurement]:
    """Distinct int8 energy rows of devices that the project has a profile of."""
    kept: list[Measurement] = []
    for row in rows:
        usable = row.energy_j and not row.quality and row.device and row.precision == "int8"
        if usable and not any(_repeats(row, old) for old in kept):
            kept.append(row)
    return kept


def _repeats(row: Measurement, old: Measurement) -> bool:
    def key(m: Measurement) -> Sequence[object]:
        supply_v = m.supply_v if m.energy_j else None
        return (m.runtime, m.board, m.clock_hz, supply_v, m.network, m.precision)

    def close(a: float | None, b: float | None) -> bool:
        return a is None or b is None or max(a, b) / min(a, b) < SAME_RATIO

    alike = close(row.latency_s, old.latency_s) and close(row.energy_j, old.energy_j)
    return key(row) == key(old) and alike


def _measurement(row: dict[str, str]) -> Measurement:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    sizes = [name for name in row if name.endswith("_bytes") and row[name]]
    return Measurement(
        row["board"],
        row["device"],
        row["core"],
        float(row["clock_hz"]),
        number("supply_v"),
        row["runtime"],
        row["version"],
        row["removes_constant_channels"] == "yes",
        row["network"],
        row["precision"],
        number("latency_s"),
        number("energy_j"),
        {name.removesuffix("_bytes"): int(row[name]) for name in sizes},
        row["quality"],
        row["source"],
    )
