"""Compute or transmit: a model's scenario by every radio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from budget.api.check import Estimate, estimate_in
from budget.api.question import Question, question_of, require, scenario_of
from budget.graph import Graph
from budget.hardware import library
from budget.hardware.figure import Quantity
from budget.records import record
from budget.scenario.schema import Scenario
from budget.scenario.transmit import Choice, compute_or_transmit, computing_j

DEFAULT_PAYLOAD_BYTES = 4


@record
class Transmission:
    """Both ways for every radio.

    Attributes:
        estimate: the model on its device.
        question: the scenario.
        computing: energy of inferring here, once a cycle. [J]
        raw_bytes: sensed in one cycle.
        raw_from: what the bytes were taken from.
        payload_bytes: of a message with the result.
        choices: one for each radio.
        notes: assumptions.
    """

    estimate: Estimate
    question: Question
    computing: Quantity
    raw_bytes: int
    raw_from: str
    payload_bytes: int
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import head

        return {
            **head("transmit", self.estimate),
            "rate_hz": self.question.rate_hz,
            "computing": self.computing.to_json(),
            "raw_bytes": self.raw_bytes,
            "payload_bytes": self.payload_bytes,
            "message_ratio": self.question.around.message_ratio,
            "radios": [choice.to_json() for choice in self.choices],
            "notes": list(self.notes),
        }


def transmit(
    model: str | Path | Graph | None = None,
    *,
    device: str | None = None,
    rate_hz: float | None = None,
    radios: Sequence[str] | None = None,
    raw_bytes: int | None = None,
    scenario: str | Path | Scenario | None = None,
    precision: str | None = None,
) -> Transmission:
    """Compares sending what a device senses with inferring there and sending the result.

    Args:
        model: a path, ``zoo:NAME``, or a graph; default: the scenario's.
        device: a device's id, or a TOML file; default: the scenario's.
        rate_hz: inferences per second. [1/s]
        radios: ids; default: all there are.
        raw_bytes: data of one cycle; default: what the front end reads, else the network's input.
        scenario: an id, a TOML file, or a `Scenario`; what the other arguments say wins.
        precision: see `check`.

    Raises:
        BudgetError: see `check`.
    """
    life = scenario_of(scenario, Scenario(device=device or "", rate_hz=rate_hz))
    require(life.device, "device", "--device efm32pg12")
    require(life.rate_hz, "rate", "--rate 1/s")
    question = question_of(life)
    estimated = estimate_in(life, question, model, precision=precision)
    assert question.rate_hz is not None
    cycle = estimated.cycle(question)
    size, origin = _raw_bytes(estimated, question, raw_bytes)
    around = question.around
    payload = around.payload_bytes or DEFAULT_PAYLOAD_BYTES
    choices = tuple(
        compute_or_transmit(
            cycle,
            library.radio(name),
            raw_bytes=size,
            payload_bytes=payload,
            message_ratio=around.message_ratio,
            rate_hz=question.rate_hz,
        )
        for name in (radios or library.radios())
    )
    notes = (*estimated.model.notes, *estimated.inference.notes)
    return Transmission(
        estimated, question, computing_j(cycle), size, origin, payload, choices, notes
    )


def _raw_bytes(estimated: Estimate, question: Question, given: int | None) -> tuple[int, str]:
    if given is not None:
        return given, "as given"
    if question.around.clip_bytes:
        return question.around.clip_bytes, "what the front end reads"
    program = estimated.program
    total = sum(program.types[name].size_bytes for name in program.graph.inputs)
    return total, "the network's input"
