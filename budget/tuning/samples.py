"""Measurements as the latency model sees them: work with the stalls of the board's flash."""

from __future__ import annotations

from collections.abc import Iterable

from budget.estimate.stalls import NO_STALLS, Stalls, stalls_of, usual_states
from budget.hardware import library
from budget.tuning.latency_model import Sample
from budget.tuning.measurements import Measurement, features, layers_run

_EMULATED = "emulated"


def stalls_at(row: Measurement) -> Stalls:
    """Stalls of the board a row was measured on; those usual for its core if it has no profile."""
    if row.board.startswith(_EMULATED):
        return NO_STALLS
    if row.device:
        device = library.device(row.device)
        highest_hz = device.max_hz or row.clock_hz
        return stalls_of(device, min(row.clock_hz, highest_hz))
    return Stalls(usual_states(row.core), row.core not in {"cortex-m0plus", "cortex-m4"}, True)


def work_of(row: Measurement) -> tuple[float, ...]:
    """Work of a row's network by price, constant channels left out where its runtime does."""
    layers = layers_run(row.network, removes_constant_channels=row.removes_constant_channels)
    return features(layers, stalls_at(row))


def sample_of(row: Measurement) -> Sample:
    """One row of the fit."""
    return Sample(row.runtime, row.core, row.board, row.network, work_of(row), row.cycles)


def samples(rows: Iterable[Measurement]) -> list[Sample]:
    """All rows of a fit."""
    return [sample_of(row) for row in rows]
