"""Constraints, the verdict they add up to, and what would change it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.hardware.figure import Quantity
from budget.records import record


class Status(StrEnum):
    """Whether one constraint holds."""

    PASS = "pass"
    FAIL = "fail"
    UNSURE = "unsure"
    NOT_JUDGED = "not-judged"


class Verdict(StrEnum):
    """What all constraints say together."""

    FITS = "fits"
    DOES_NOT_FIT = "does-not-fit"
    TOO_CLOSE = "too-close-to-call"

    @property
    def exit_code(self) -> int:
        """Exit status of a command that ends with this verdict."""
        return {Verdict.FITS: 0, Verdict.DOES_NOT_FIT: 1, Verdict.TOO_CLOSE: 6}[self]


VERDICTS = (Verdict.FITS, Verdict.TOO_CLOSE, Verdict.DOES_NOT_FIT)
_BY_BADNESS = (Status.PASS, Status.UNSURE, Status.FAIL)


@record
class Constraint:
    """One thing the model needs and the device (or its surroundings) has.

    Attributes:
        name: ``flash``, ``ram``, ``deadline``, ``power`` …
        need: what the model asks for; None where the device cannot be asked.
        have: what there is.
        status: from the intervals of both, never from their middles.
        note: what binds, or why it is not judged.
    """

    name: str
    need: Quantity | None
    have: Quantity | None
    status: Status
    note: str = ""

    @property
    def margin_ratio(self) -> float | None:
        """Have / need; below 1 the constraint is missed."""
        if self.need is None or self.have is None or not float(self.need.value):
            return None
        return float(self.have.value) / float(self.need.value)

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        return {
            "name": self.name,
            "need": self.need.to_json() if self.need is not None else None,
            "have": self.have.to_json() if self.have is not None else None,
            "margin_ratio": self.margin_ratio,
            "status": self.status.value,
            "note": self.note,
        }


@record
class Remedy:
    """One change, alone sufficient, that would make a missed constraint hold.

    Attributes:
        constraint: the constraint it mends.
        what: ``area``, ``rate``, ``energy``, ``clock``, ``macs``, ``ram``, ``flash``, ``runtime`` …
        need: what the thing would have to be; for ratios, how many times less (or more).
        text: the same in words.
    """

    constraint: str
    what: str
    need: Quantity
    text: str

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        return {
            "constraint": self.constraint,
            "what": self.what,
            "need": self.need.to_json(),
            "text": self.text,
        }


def judge(name: str, need: Quantity, have: Quantity, note: str = "") -> Constraint:
    """Passes when the most that may be needed is there, fails when the least is not.

    Between the two lies *unsure*: a middle value near the line is never rounded to a yes. Of
    arrays the status is the worst; `badness` tells each.
    """
    worst = int(np.max(badness(need, have)))
    return Constraint(name, need, have, _BY_BADNESS[worst], note)


def badness(need: Quantity, have: Quantity) -> NDArray[np.int8]:
    """0 where a need is met, 1 where that is unsure, 2 where it is missed; for each element."""
    met, missed = need.high <= have.low, need.low > have.high
    return np.where(met, 0, np.where(missed, 2, 1)).astype(np.int8)


def not_judged(name: str, need: Quantity | None, why: str) -> Constraint:
    """A constraint that the device cannot answer."""
    return Constraint(name, need, None, Status.NOT_JUDGED, why)


def conclude_each(constraints: Iterable[Constraint]) -> NDArray[np.int8]:
    """`conclude` for constraints of arrays: positions in `VERDICTS`, for each element."""
    worst = np.zeros((), np.int8)
    for constraint in constraints:
        if constraint.need is not None and constraint.have is not None:
            worst = np.maximum(worst, badness(constraint.need, constraint.have))
    return np.asarray(worst, np.int8)


def conclude(constraints: Iterable[Constraint]) -> Verdict:
    """Any failure: does not fit; else anything unsure: too close to call; else fits."""
    statuses = {constraint.status for constraint in constraints}
    if Status.FAIL in statuses:
        return Verdict.DOES_NOT_FIT
    if Status.UNSURE in statuses:
        return Verdict.TOO_CLOSE
    return Verdict.FITS
