"""Sharpens a runtime's prices with a user's own measurements on one board.

The user's rows join the published ones as one more board; the board's speed and its deviations are
then known, and the prices are those of that board. The error that is left is judged by leaving out
each of the user's models in turn.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from budget.tuning.cross_validation import Z90, shipped, widening
from budget.tuning.latency_model import LatencyModel, Sample
from budget.tuning.measurements import latencies, published
from budget.tuning.prices import Prices, prices_of
from budget.tuning.samples import samples


@dataclass(frozen=True)
class Comparison:
    """One of the user's models: cycles measured, and predicted before and after.

    Attributes:
        network: the model's name.
        measured: cycles.
        before: cycles that the published rows alone predict.
        after: cycles predicted with the user's other models; None if there is no other.
    """

    network: str
    measured: float
    before: float
    after: float | None

    @property
    def before_ratio(self) -> float:
        """Error before, relative to the measurement."""
        return abs(self.before / self.measured - 1.0)

    @property
    def after_ratio(self) -> float | None:
        """Error with the model itself left out."""
        return None if self.after is None else abs(self.after / self.measured - 1.0)


@dataclass(frozen=True)
class Calibrated:
    """Prices for the user's board.

    Attributes:
        prices: by price, on the board's core.
        comparisons: one for each model.
        reach_before: factor of the 90 % interval of a model like the user's, before.
        reach_after: the same after.
    """

    prices: Prices
    comparisons: tuple[Comparison, ...]
    reach_before: float
    reach_after: float


def calibrate(mine: Sequence[Sample], based_on: str) -> Calibrated:
    """Fits the user's rows together with the published ones.

    Args:
        mine: rows of one core and board, with `based_on` as their runtime.
        based_on: the runtime's id, as in the published rows.
    """
    rows = latencies(published())
    theirs = samples(rows)
    core, board = mine[0].core, mine[0].board
    before = LatencyModel(theirs)
    after = LatencyModel([*theirs, *mine], start=before)
    comparisons, reach_before, reach_after, unseen = [], [], [], []
    wide = widening(shipped()[0], based_on, core)
    for sample in mine:
        others = [other for other in mine if other.network != sample.network]
        guess = before.predict(based_on, core, sample.work)
        left_out = None
        if others:
            model = LatencyModel([*theirs, *others], start=after)
            guessed = model.predict(based_on, core, sample.work, board)
            left_out = guessed.cycles
            unseen.append(math.log(sample.cycles / left_out) / guessed.sigma)
        told = after.predict(based_on, core, sample.work, board)
        comparisons.append(Comparison(sample.network, sample.cycles, guess.cycles, left_out))
        reach_before.append(guess.sigma)
        reach_after.append(told.sigma)
    wide_after = max(wide, _root_mean_square(unseen))
    prices = prices_of(after, rows, based_on, core, widening=wide_after, board=board)
    count = len(mine)
    evidence = f"{count} measurements of {board}, and {prices.evidence}"
    prices = Prices(core, prices.figures, prices.residual, prices.rows + count, evidence, False)
    return Calibrated(
        prices,
        tuple(comparisons),
        _reach(reach_before, wide),
        _reach(reach_after, wide_after),
    )


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values)) if values else 0.0


def _reach(sigmas: Sequence[float], wide: float) -> float:
    return math.exp(Z90 * wide * statistics.median(sigmas))
