"""Verdicts for every device, runtime and source asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from budget.api.check import DEFAULT_RUNTIME, Check, check_prepared
from budget.api.models import Model, prepare
from budget.api.question import Question
from budget.errors import ProfileError
from budget.graph import Graph
from budget.hardware import library
from budget.verdict import Verdict


@dataclass(frozen=True)
class Cell:
    """One combination: its verdict, or why there is none."""

    device: str
    runtime: str
    source: str
    check: Check | None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        from budget.api.documents import quantity_document

        head = {"device": self.device, "runtime": self.runtime, "source": self.source or None}
        if self.check is None:
            return {**head, "verdict": None, "error": self.error}
        inference = self.check.inference
        return {
            **head,
            "verdict": self.check.verdict.value,
            "constraints": [constraint.to_json() for constraint in self.check.constraints],
            "latency": quantity_document(inference.latency),
            "energy": quantity_document(inference.energy),
            "boundary": inference.boundary,
            "remedies": [remedy.to_json() for remedy in self.check.remedies],
        }


@dataclass(frozen=True)
class Comparison:
    """All combinations, in the order asked for."""

    model: Model
    cells: tuple[Cell, ...]

    @property
    def exit_code(self) -> int:
        """0 if anything fits, else 6 if anything is too close to call, else 1."""
        verdicts = {cell.check.verdict for cell in self.cells if cell.check is not None}
        for verdict in (Verdict.FITS, Verdict.TOO_CLOSE):
            if verdict in verdicts:
                return verdict.exit_code
        return Verdict.DOES_NOT_FIT.exit_code

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA, model_document
        from budget.plan import plan

        weights = plan(self.model.graph, precision=self.model.precision).weight_bytes
        return {
            "schema": SCHEMA,
            "command": "compare",
            "model": model_document(self.model, weights),
            "cells": [cell.to_json() for cell in self.cells],
        }


def compare(
    model: str | Path | Graph,
    *,
    devices: Sequence[str] | None = None,
    runtimes: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    rate_hz: float | None = None,
    deadline_s: float | None = None,
    area_m2: float | None = None,
    precision: str | None = None,
) -> Comparison:
    """Judges every combination of devices, runtimes and sources.

    Args:
        model: a path, ``zoo:NAME``, or a graph.
        devices: ids; default: every device there is.
        runtimes: ids; default: `DEFAULT_RUNTIME`.
        sources: harvester ids; default: none.
        rate_hz: inferences per second. [1/s]
        deadline_s: longest latency. [s]
        area_m2: of every harvester. [m²]
        precision: see `check`.

    A combination that cannot be judged (a runtime that does not know a core) is kept with the
    reason; an unknown id, or a model that cannot be read, ends the comparison.
    """
    prepared = prepare(model, precision=precision)
    chosen = list(devices) if devices is not None else library.devices()
    cells = tuple(
        _cell(prepared, device, runtime, source, rate_hz, deadline_s, area_m2)
        for device, runtime, source in _combinations(chosen, runtimes, sources)
    )
    return Comparison(prepared, cells)


def _combinations(
    devices: Sequence[str], runtimes: Sequence[str] | None, sources: Sequence[str] | None
) -> Iterator[tuple[str, str, str]]:
    yield from product(devices, runtimes or [DEFAULT_RUNTIME], sources or [""])


def _cell(
    model: Model,
    device: str,
    runtime: str,
    source: str,
    rate_hz: float | None,
    deadline_s: float | None,
    area_m2: float | None,
) -> Cell:
    profile = library.device(device)
    harvester = library.harvester(source) if source else None
    library.runtime(runtime)
    question = Question(
        rate_hz=rate_hz,
        deadline_s=deadline_s,
        source=harvester,
        area_m2=area_m2 if harvester else None,
    )
    try:
        found = check_prepared(model, profile, runtime=runtime, question=question)
    except ProfileError as error:
        return Cell(device, runtime, source, None, str(error))
    return Cell(device, runtime, source, found)
