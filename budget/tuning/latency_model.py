"""Cycles of a network by runtime and core, fitted to all published latencies at once.

    cycles of row i = Σ_f exp(θ_f) · work_if
    θ_f             = start_f + pool_f + runtime_f + core_f + pair_f
                      + speed of the runtime, of the core, of the pair, of the board

f runs over the prices: MACs by operator kind, outputs requantised, elements of other operators,
layers. Every term is a departure with a Gaussian prior around nothing, its reach in `Spread`: a
runtime with four rows on one board borrows the ratios between its prices from all the others, and
a pair without rows is the sum of what its runtime and its core are known for. Logarithms keep
prices positive.

The terms never appear on their own: with s_if the share of price f in row i's cycles, any two rows
covary by K_ij = Σ_f s_if s_jf k_price + k_speed, where k adds the variances of the terms that the
two have in common. So the posterior is a Gaussian process over rows, solved by Gauss-Newton (the
shares move with θ); rows far out count less, as under Student's t (docs/latency_model.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budget.tuning.measurements import FEATURES

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

# Cycles on a Cortex-M4 with good kernels and no wait states: where the pool starts, and one sigma
# of its logarithm. Only prices that few rows tell apart depend on it.
START = dict(zip(FEATURES, (1.6, 2.0, 1.6, 4.0, 2.0, 15.0, 15.0, 1500.0)))
START_SIGMA = dict(zip(FEATURES, (0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)))
_START = np.log(list(START.values()))
_START_VARIANCE = np.square(list(START_SIGMA.values()))

OWN = "your "

_ITERATIONS = 60
_TOLERANCE = 2e-3
_TAIL = 4.0


@dataclass(frozen=True)
class Spread:
    """How far the parts of the model may depart from the pool: one sigma, in logarithms.

    The last two are those of a user's own board, whose name starts with `OWN`: it may be built
    and set up in ways that no published board is.
    """

    runtime_speed: float = 0.7
    runtime_price: float = 0.15
    core_speed: float = 1.0
    core_price: float = 0.2
    pair_speed: float = 0.1
    pair_price: float = 0.08
    board_speed: float = 0.08
    own_speed: float = 0.3
    own_price: float = 0.15
    residual: float = 0.05


@dataclass(frozen=True)
class Sample:
    """One row of the fit: who ran what, and how many cycles it took.

    Attributes:
        work: by price, in the order of `FEATURES`, flash stalls included.
    """

    runtime: str
    core: str
    board: str
    network: str
    work: tuple[float, ...]
    cycles: float


@dataclass(frozen=True)
class Prediction:
    """Cycles with their spread.

    Attributes:
        cycles: the median.
        sigma: of the logarithm: prices, board and residual together.
        parts: cycles by price, in the order of `FEATURES`.
    """

    cycles: float
    sigma: float
    parts: tuple[float, ...]


class LatencyModel:
    """The fitted pool; predicts any runtime on any core, with a spread that says how surely."""

    def __init__(
        self,
        samples: Sequence[Sample],
        spread: Spread | None = None,
        *,
        start: LatencyModel | None = None,
    ) -> None:
        """Fits.

        Args:
            samples: at least one.
            spread: default: what the shipped rows decided on.
            start: a fit of nearly the same rows, to begin at its prices and end sooner.
        """
        self.samples = tuple(samples)
        self.spread = spread or Spread()
        self._work = np.array([s.work for s in samples])
        self._keys = _keys([(s.runtime, s.core, s.board) for s in samples])
        begin = start.log_prices if start is not None else lambda *_: _START
        self._solve(np.array([begin(s.runtime, s.core, s.board) for s in samples]))

    def _solve(self, theta: Matrix) -> None:
        target = np.log([s.cycles for s in self.samples])
        price, speed = self._variances([_same(key, key) for key in self._keys])
        noise = np.full(len(target), self.spread.residual**2)
        weights = np.zeros(len(target))
        share = np.zeros_like(self._work)
        for _ in range(_ITERATIONS):
            parts = self._work * np.exp(theta)
            total = parts.sum(axis=1)
            share = parts / total[:, None]
            wrong = target - np.log(total)
            # linearised around θ: target ≈ log total + share · (θ' - θ)
            aim = wrong + (share * (theta - _START)).sum(axis=1)
            noise = self.spread.residual**2 * (_TAIL + wrong**2 / self.spread.residual**2)
            noise /= _TAIL + 1
            kernel = _covariance(share, share, price, speed)
            weights = np.linalg.solve(kernel + np.diag(noise), aim)
            pooled = (share * weights[:, None]).sum(axis=0) * _START_VARIANCE
            own = price @ (share * weights[:, None]) + (speed @ weights)[:, None]
            new = _START + pooled + own
            step = np.clip(new - theta, -0.5, 0.5)
            theta = theta + step
            if np.abs(step).max() < _TOLERANCE:
                break
        self._weights, self._share = weights, share
        self._inverse = np.linalg.inv(_covariance(share, share, price, speed) + np.diag(noise))

    def _kernel(self, left: Matrix, right: Matrix, same: Sequence[Matrix]) -> Matrix:
        """Covariance of log cycles between rows of the given shares."""
        return _covariance(left, right, *self._variances(same))

    def _price_kernel(self, share: Matrix, same: Sequence[Matrix]) -> Matrix:
        """Covariance of θ_f of the left rows with log cycles of the right: [row, price, row]."""
        price, speed = self._variances(same)
        by_price = price[:, None, :] + _START_VARIANCE[None, :, None]
        return np.asarray(by_price * share.T[None, :, :] + speed[:, None, :])

    def _variances(self, same: Sequence[Matrix]) -> tuple[Matrix, Matrix]:
        runtime, core, board, own = same
        s = self.spread
        price = s.runtime_price**2 * runtime + s.core_price**2 * core
        price = price + s.pair_price**2 * runtime * core + s.own_price**2 * own
        speed = s.runtime_speed**2 * runtime + s.core_speed**2 * core
        speed = speed + s.pair_speed**2 * runtime * core + s.board_speed**2 * board
        speed = speed + s.own_speed**2 * own
        return price, speed

    def log_prices(self, runtime: str, core: str, board: str = "") -> Vector:
        """θ: logarithm of cycles by price, in the order of `FEATURES`."""
        same = [_same(a, b) for a, b in zip(_keys([(runtime, core, board)]), self._keys)]
        return np.asarray((_START + self._price_kernel(self._share, same) @ self._weights)[0])

    def predict(
        self, runtime: str, core: str, work: Sequence[float], board: str = ""
    ) -> Prediction:
        """Cycles of a network whose work is known.

        Args:
            runtime: need not be one of the fit's; what is not known has its prior's spread.
            core: likewise.
            work: by price, in the order of `FEATURES`.
            board: a board of the fit, if it is one.
        """
        mine = _keys([(runtime, core, board)])
        parts = np.array([work]) * np.exp(self.log_prices(runtime, core, board))
        share = parts / parts.sum()
        across = self._kernel(share, self._share, [_same(a, b) for a, b in zip(mine, self._keys)])
        is_own = np.full((1, 1), float(board.startswith(OWN)))
        own = self._kernel(share, share, [np.ones((1, 1))] * 3 + [is_own])
        variance = float((own - across @ self._inverse @ across.T)[0, 0])
        sigma = math.sqrt(max(variance, 0.0) + self.spread.residual**2)
        return Prediction(float(parts.sum()), sigma, tuple(map(float, parts[0])))

    def log_likelihood(self) -> float:
        """Of the rows under the priors, linearised where the fit ended: to compare spreads."""
        target = np.log([s.cycles for s in self.samples])
        theta = np.array([self.log_prices(s.runtime, s.core, s.board) for s in self.samples])
        parts = self._work * np.exp(theta)
        aim = target - np.log(parts.sum(axis=1)) + (self._share * (theta - _START)).sum(axis=1)
        _, logarithm = np.linalg.slogdet(self._inverse)
        return float(-0.5 * aim @ self._inverse @ aim + 0.5 * logarithm)


def _covariance(left: Matrix, right: Matrix, price: Matrix, speed: Matrix) -> Matrix:
    return np.asarray((left * _START_VARIANCE) @ right.T + (left @ right.T) * price + speed)


def _keys(rows: Sequence[tuple[str, str, str]]) -> tuple[NDArray[np.str_], ...]:
    """Runtimes, cores, boards, and the boards that are a user's own."""
    owned = [(*row, row[2] if row[2].startswith(OWN) else "") for row in rows]
    return tuple(np.array(column) for column in zip(*owned))


def _same(left: NDArray[np.str_], right: NDArray[np.str_]) -> Matrix:
    """1 where two names are equal; an unknown board is like no other."""
    return np.asarray((left[:, None] == right[None, :]) & (left[:, None] != ""), np.float64)
