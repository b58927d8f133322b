"""Figures with provenance, and the intervals of what is computed from them.

A figure's `low` and `high` are its 5th and 95th percentiles. Uncertainty is carried as the
logarithm of each figure's reach, weighted by how much the result depends on that figure: powers
multiply the weight, sums share it out. Independent figures combine in quadrature of logarithms; a
figure used twice adds linearly, because its weights add before they are squared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.records import record

Real = float | NDArray[np.float64]


class Kind(IntEnum):
    """How a figure came to be, the strongest first.

    Attributes:
        MEASURED: on silicon, and published.
        DATASHEET: what the maker states, read in its document or in a public copy of what that
            says: drivers, board definitions, symbols. The figure's source tells which.
        FITTED: to published measurements, by this project.
        DERIVED: computed from other figures.
        RECALLED: believed to stand in a document that was not at hand.
        ASSUMED: chosen, with reasons.
    """

    MEASURED = 0
    DATASHEET = 1
    FITTED = 2
    DERIVED = 3
    RECALLED = 4
    ASSUMED = 5

    def __str__(self) -> str:
        return self.name.lower()


@record
class Reference:
    """A source that a person can look up.

    Attributes:
        id: how figures of the same file call it.
        title: what it is called, with its number where it has one.
        url: where it is; empty for what lies in this project.
        note: what one should know of it.
        checked: on which day and in which public copy it was seen, or its address, such as
            ``2026-11-22: linked from …``; empty where it was not.
    """

    id: str
    title: str
    url: str = ""
    note: str = ""
    checked: str = ""


@record
class Figure:
    """One number of a profile.

    Attributes:
        key: globally unique: ``profile-id/section.key``.
        value: SI base unit.
        low: 5th percentile, SI.
        high: 95th percentile, SI.
        unit: SI unit, for printing (``W``, ``Hz``, ``J``, ``bytes``).
        kind: how it came to be.
        reference: where it is from; None only for what the user gave on the command line.
        where: table or page in the reference.
        at: conditions under which it holds.
    """

    key: str
    value: float
    low: float
    high: float
    unit: str
    kind: Kind
    reference: Reference | None = None
    where: str = ""
    at: str = ""

    @property
    def quantity(self) -> Quantity:
        """The figure as something to calculate with."""
        down = np.log(self.low / self.value) if self.value > 0 and self.low > 0 else 0.0
        up = np.log(self.high / self.value) if self.value > 0 else 0.0
        terms = {self.key: (1.0, float(down), float(up))} if down or up else {}
        return Quantity(self.value, self.unit, terms, {self.key: self})


Terms = Mapping[str, tuple[Real, Real, Real]]
"""Per figure: weight d(log result)/d(log figure), and the figure's own log reach down and up."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """A computed value with the figures it rests on; the value may be an array.

    Supports ``+ - * /`` with quantities and plain numbers (which are exact), ``**`` with a number.
    Units are not tracked through arithmetic: say the result's with `as_unit`.
    """

    value: Real
    unit: str = ""
    terms: Terms = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @cached_property
    def low(self) -> Real:
        """5th percentile."""
        return self._bound(up=False)

    @cached_property
    def high(self) -> Real:
        """95th percentile."""
        return self._bound(up=True)

    @property
    def kind(self) -> Kind:
        """The weakest kind among the figures used; derived if there are none."""
        return max((figure.kind for figure in self.figures.values()), default=Kind.DERIVED)

    @property
    def references(self) -> tuple[Reference, ...]:
        """Sources of all figures used, each once."""
        found = {f.reference.id: f.reference for f in self.figures.values() if f.reference}
        return tuple(found.values())

    def as_unit(self, unit: str) -> Quantity:
        """The same with its unit named."""
        return Quantity(self.value, unit, self.terms, self.figures)

    def widened(self, key: str, low_ratio: float, high_ratio: float) -> Quantity:
        """The same with one more independent factor of uncertainty, such as a fit's residuals."""
        term = {key: (1.0, float(np.log(low_ratio)), float(np.log(high_ratio)))}
        return Quantity(self.value, self.unit, {**self.terms, **term}, self.figures)

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        return {
            "value": _plain(self.value),
            "low": _plain(self.low),
            "high": _plain(self.high),
            "unit": self.unit,
            "kind": str(self.kind),
            "references": [reference.id for reference in self.references],
        }

    def __add__(self, other: Operand) -> Quantity:
        return self._sum(_quantity(other), 1.0)

    def __radd__(self, other: Operand) -> Quantity:
        return _quantity(other)._sum(self, 1.0)

    def __sub__(self, other: Operand) -> Quantity:
        return self._sum(_quantity(other), -1.0)

    def __rsub__(self, other: Operand) -> Quantity:
        return _quantity(other)._sum(self, -1.0)

    def __mul__(self, other: Operand) -> Quantity:
        right = _quantity(other)
        return self._combine(right, self.value * right.value, 1.0, 1.0)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Quantity:
        right = _quantity(other)
        return self._combine(right, np.divide(self.value, right.value), 1.0, -1.0)

    def __rtruediv__(self, other: Operand) -> Quantity:
        return _quantity(other) / self

    def __pow__(self, exponent: float) -> Quantity:
        terms = {k: (w * exponent, down, up) for k, (w, down, up) in self.terms.items()}
        return Quantity(self.value**exponent, self.unit, terms, self.figures)

    def _sum(self, right: Quantity, sign: float) -> Quantity:
        value = self.value + sign * right.value
        with np.errstate(divide="ignore", invalid="ignore"):
            left_share = np.where(value != 0, np.divide(self.value, value), 0.0)
            right_share = np.where(value != 0, np.divide(sign * right.value, value), 0.0)
        return self._combine(right, value, _scalar(left_share), _scalar(right_share))

    def _combine(self, right: Quantity, value: Real, left_by: Real, right_by: Real) -> Quantity:
        terms: dict[str, tuple[Real, Real, Real]] = {
            key: (weight * left_by, down, up) for key, (weight, down, up) in self.terms.items()
        }
        for key, (weight, down, up) in right.terms.items():
            before = terms[key][0] if key in terms else 0.0
            terms[key] = (before + weight * right_by, down, up)
        return Quantity(value, self.unit or right.unit, terms, {**self.figures, **right.figures})

    def _bound(self, *, up: bool) -> Real:
        total: Real = 0.0
        for weight, down, high in self.terms.values():
            # a falling dependence turns the figure's low end into the result's high end
            reach = np.where((np.asarray(weight) >= 0) == up, high, down)
            total = total + (weight * reach) ** 2
        sign = 1.0 if up else -1.0
        return self.value * _scalar(np.exp(sign * np.sqrt(total)))


Operand = Quantity | float | int | NDArray[np.float64]


def exact(value: float, unit: str) -> Quantity:
    """A quantity without uncertainty: a count, or what the user asked for."""
    return Quantity(value, unit)


def total(quantities: Iterable[Quantity], unit: str) -> Quantity:
    """The sum, exact zero if there are none."""
    value: Real = 0.0
    weighted: dict[str, tuple[Real, Real, Real]] = {}
    figures: dict[str, Figure] = {}
    for quantity in quantities:
        value = value + quantity.value
        if quantity.figures.keys() - figures.keys():
            figures.update(quantity.figures)
        for key, (weight, down, up) in quantity.terms.items():
            before = weighted[key][0] if key in weighted else 0.0
            weighted[key] = (before + weight * quantity.value, down, up)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms: Terms = {
            key: (_scalar(np.where(value != 0, np.divide(weight, value), 0.0)), down, up)
            for key, (weight, down, up) in weighted.items()
        }
    return Quantity(value, unit, terms, figures)


def _quantity(value: Operand) -> Quantity:
    return value if isinstance(value, Quantity) else Quantity(value)


def _scalar(value: Any) -> Real:
    return float(value) if np.ndim(value) == 0 else np.asarray(value, np.float64)


def _plain(value: Real) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value).tolist()
