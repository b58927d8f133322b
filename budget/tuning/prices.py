"""A runtime's prices on one core, as a fit has them, and the TOML that says so.

The posterior of a fit is one covariance; a profile has an interval for each price and one residual.
They are chosen so that their quadrature gives, for all networks with layer tables, the spread that
the model gives (least squares on variances, none negative), times the widening that left-out
measurements ask for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from budget.tuning.cross_validation import Z90
from budget.tuning.latency_model import LatencyModel, Matrix, Vector
from budget.tuning.measurements import FEATURES, Measurement, features, networks

REFERENCE = "latency-model"
REFERENCE_TITLE = (
    "Fitted to published measurements, docs/latency_model.md; the rows and their sources are in "
    "budget/tuning/data/measurements.csv"
)
# A fit's residual is never believed to be less than this, one sigma of the logarithm.
_LEAST_SIGMA = 0.03
# No price is told less sure than this: where no network leans on one, its spread does not show.
_MOST_SIGMA = 0.8
_SWEEPS = 300


@dataclass(frozen=True)
class Prices:
    """Cycles by price on one core without wait states, with their 5th and 95th percentiles.

    Attributes:
        core: family.
        figures: value, low and high by key of `budget.hardware.runtime_profiles.Cycles`.
        residual: value, low and high of measured over estimated.
        rows: distinct measurements of this runtime on this core.
        evidence: those rows by board, or what the prices are borrowed from.
        is_borrowed: whether the runtime has no measurements on this core.
    """

    core: str
    figures: Mapping[str, tuple[float, float, float]]
    residual: tuple[float, float, float]
    rows: int
    evidence: str
    is_borrowed: bool


def prices_of(
    model: LatencyModel,
    rows: Sequence[Measurement],
    runtime: str,
    core: str,
    *,
    widening: float,
    board: str = "",
) -> Prices:
    """What a fit says of one runtime on one core.

    Args:
        model: fitted to `rows`.
        rows: distinct measurements.
        runtime: id.
        core: family.
        widening: factor on the model's spread.
        board: if given, for that board of the fit alone.
    """
    values = np.exp(model.log_prices(runtime, core, board))
    shares, variances = [], []
    for layers in networks().values():
        prediction = model.predict(runtime, core, features(layers), board)
        shares.append(np.array(prediction.parts) / prediction.cycles)
        variances.append((prediction.sigma * widening) ** 2)
    design = np.column_stack([np.square(shares), np.ones(len(shares))])
    sigmas = np.sqrt(bounded_least_squares(design, np.array(variances), _MOST_SIGMA**2))
    reach = math.exp(Z90 * max(float(sigmas[-1]), _LEAST_SIGMA))
    figures = {}
    for name, value, sigma in zip(FEATURES, values, sigmas):
        key = name if name in {"output", "element", "layer"} else f"{name}_mac"
        up = math.exp(Z90 * float(sigma))
        figures[key] = (float(value), float(value) / up, float(value) * up)
    mine = [row for row in rows if (row.runtime, row.core) == (runtime, core)]
    text = _evidence(mine) if mine else _relatives(rows, runtime, core)
    return Prices(core, figures, (1.0, 1 / reach, reach), len(mine), text, not mine)


def bounded_least_squares(design: Matrix, target: Vector, highest: float) -> Vector:
    """Solution of ``design · x ≈ target`` in squares with every x from 0 to `highest`."""
    gram, aim = design.T @ design, design.T @ target
    x = np.zeros(len(aim))
    for _ in range(_SWEEPS):
        for i in range(len(x)):
            if gram[i, i] > 0:
                rest = aim[i] - gram[i] @ x + gram[i, i] * x[i]
                x[i] = min(max(rest / gram[i, i], 0.0), highest)
    return x


def to_toml(prices: Prices, *, keep: Iterable[str] = ()) -> str:
    """The ``[cycles.CORE]`` table; `keep` are lines of an older one that stay."""
    lines = [f"[cycles.{prices.core}]"]
    if prices.is_borrowed:
        lines.append(f'borrowed = "{prices.evidence}"')
    lines.append(f"rows = {prices.rows}")
    low, high = (f"{x:.3g}" for x in prices.residual[1:])
    kind = "derived" if prices.is_borrowed else "fitted"
    lines.append(
        f"residual_ratio = {{ value = 1.0, low = {low}, high = {high}, kind = "
        f'"{kind}", reference = "{REFERENCE}", where = "{prices.evidence}" }}'
    )
    for key, bounds in prices.figures.items():
        value, low, high = (f"{x:.3g}" if x < 1000 else f"{x:.0f}" for x in bounds)
        lines.append(
            f"{key} = {{ value = {value}, low = {low}, high = {high}, kind = "
            f'"{kind}", reference = "{REFERENCE}" }}'
        )
    return "\n".join([*lines, *keep]) + "\n"


def with_prices(text: str, tables: Sequence[Prices]) -> str:
    """A profile's TOML with the given cores' tables in place of those it had.

    Prices of float arithmetic, which come from other sources, stay.
    """
    parts = re.split(r"(?m)^(?=\[)", text)
    by_core = {prices.core: prices for prices in tables}
    result, first = [], None
    for part in parts:
        found = re.match(r"\[cycles\.([\w-]+)\]", part)
        if found is None:
            result.append(part)
            continue
        if first is None:
            first = len(result)
        prices = by_core.pop(found[1], None)
        if prices is None:
            result.append(part)
            continue
        keep = re.findall(r"(?m)^float_mac = .*$", part)
        result.append(to_toml(prices, keep=keep) + "\n")
    position = first if first is not None else len(result)
    fresh = [to_toml(prices) + "\n" for prices in by_core.values()]
    result[position:position] = fresh
    joined = "".join(result)
    if f"[references.{REFERENCE}]" not in joined:
        reference = f'[references.{REFERENCE}]\ntitle = "{REFERENCE_TITLE}"\n\n'
        at = re.search(r"(?m)^\[", joined)
        place = at.start() if at else len(joined)
        joined = joined[:place] + reference + joined[place:]
    return joined


def _evidence(rows: Sequence[Measurement]) -> str:
    boards: dict[str, set[str]] = {}
    for row in rows:
        boards.setdefault(row.board, set()).add(row.network)
    listed = []
    for board, names in boards.items():
        shown = ", ".join(sorted(names)) if len(names) <= 4 else f"{len(names)} networks"
        listed.append(f"{board} ({shown})")
    return f"{len(rows)} distinct rows: {'; '.join(listed)}"


def _relatives(rows: Sequence[Measurement], runtime: str, core: str) -> str:
    elsewhere = sorted({row.core for row in rows if row.runtime == runtime})
    others = sorted({row.runtime for row in rows if row.core == core})
    parts = []
    if elsewhere:
        parts.append(f"its own prices on {', '.join(elsewhere)}")
    if others:
        parts.append(f"what {', '.join(others)} need on {core}")
    return " and ".join(parts) or "the pool of all runtimes and cores"
