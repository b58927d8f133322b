"""The fit: against laws that made the data, and against the same posterior computed otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from budget.tuning.latency_model import OWN, START, START_SIGMA, LatencyModel, Sample, Spread
from budget.tuning.measurements import FEATURES
from budget.tuning.prices import bounded_least_squares


def work(draws: np.random.Generator) -> tuple[float, ...]:
    scale = np.array([3e6, 5e5, 3e6, 5e5, 3e5, 1e5, 5e4, 30.0])
    return tuple(draws.uniform(0.05, 1.0, len(FEATURES)) * scale)


def samples(count: int, noise: float = 0.02) -> list[Sample]:
    """Two runtimes on two cores, three of the four pairs, with known prices and speeds."""
    draws = np.random.default_rng(5)
    prices = np.array([1.4, 2.2, 1.9, 4.5, 2.4, 12.0, 16.0, 1400.0])
    speed = {"r1": 1.0, "r2": 1.6, "a": 1.0, "b": 0.55}
    pairs = [("r1", "a"), ("r1", "b"), ("r2", "a")]
    found = []
    for i in range(count):
        runtime, core = pairs[i % 3]
        row = work(draws)
        cycles = speed[runtime] * speed[core] * float(np.dot(prices, row))
        cycles *= math.exp(draws.normal(0, noise))
        found.append(Sample(runtime, core, f"board-{core}", f"n{i}", row, cycles))
    return found


def test_a_known_law_is_found_again_and_carried_to_a_pair_without_rows() -> None:
    model = LatencyModel(samples(60))
    draws = np.random.default_rng(11)
    prices = np.array([1.4, 2.2, 1.9, 4.5, 2.4, 12.0, 16.0, 1400.0])
    for _ in range(20):
        row = work(draws)
        truth = float(np.dot(prices, row))
        known = model.predict("r1", "a", row)
        assert known.cycles == pytest.approx(truth, rel=0.05)
        assert sum(known.parts) == pytest.approx(known.cycles)
        unseen = model.predict("r2", "b", row)
        assert unseen.cycles == pytest.approx(truth * 1.6 * 0.55, rel=0.2)
        assert unseen.sigma > known.sigma
        stranger = model.predict("r3", "a", row)
        assert stranger.sigma > Spread().runtime_speed


def test_more_rows_make_surer() -> None:
    row = work(np.random.default_rng(2))
    sigmas = [LatencyModel(samples(n)).predict("r1", "a", row).sigma for n in (3, 12, 60)]
    assert sigmas == sorted(sigmas, reverse=True)


def test_the_posterior_is_that_of_the_normal_equations() -> None:
    """With one price in play the model is linear: compare with ridge regression on its terms."""
    draws = np.random.default_rng(3)
    spread = Spread(residual=0.05)
    rows = []
    for i in range(9):
        runtime, core = f"r{i % 2}", f"c{i % 3}"
        amount = float(draws.uniform(1e5, 1e6))
        load = (amount, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        # close to the start: far rows would count less
        cycles = amount * START["conv"] * math.exp(draws.normal(0, 0.01))
        rows.append(Sample(runtime, core, f"b{i % 4}", str(i), load, cycles))
    model = LatencyModel(rows, spread)

    terms: dict[object, float] = {}
    for row in rows:
        terms["pool"] = START_SIGMA["conv"] ** 2
        terms["r", row.runtime] = spread.runtime_speed**2 + spread.runtime_price**2
        terms["c", row.core] = spread.core_speed**2 + spread.core_price**2
        terms["p", row.runtime, row.core] = spread.pair_speed**2 + spread.pair_price**2
        terms["b", row.board] = spread.board_speed**2
    names = list(terms)

    def indicator(runtime: str, core: str, board: str) -> np.ndarray:
        on = {"pool", ("r", runtime), ("c", core), ("p", runtime, core), ("b", board)}
        return np.array([float(name in on) for name in names])

    design = np.array([indicator(r.runtime, r.core, r.board) for r in rows])
    target = np.log([r.cycles / (r.work[0] * START["conv"]) for r in rows])
    # the noise of Student's t near its middle: 4 / 5 of the residual's variance
    noise = 0.05**2 * 0.8
    normal = np.diag(1 / np.array(list(terms.values()))) + design.T @ design / noise
    mean = np.linalg.solve(normal, design.T @ target / noise)
    for row in rows:
        told = model.log_prices(row.runtime, row.core, row.board)[0] - math.log(START["conv"])
        expected = float(indicator(row.runtime, row.core, row.board) @ mean)
        assert told == pytest.approx(expected, abs=2e-3)


def test_a_row_far_out_hardly_moves_the_rest() -> None:
    rows = samples(30)
    odd = Sample("r1", "a", "board-a", "odd", rows[0].work, rows[0].cycles * 4)
    clean, spoilt = LatencyModel(rows), LatencyModel([*rows, odd])
    draws = np.random.default_rng(8)
    for _ in range(5):
        row = work(draws)
        before, after = (m.predict("r1", "a", row).cycles for m in (clean, spoilt))
        assert after == pytest.approx(before, rel=0.08)


def test_a_user_s_board_may_be_far_from_the_published() -> None:
    rows = samples(30)
    mine = [
        Sample("r1", "a", f"{OWN}board", r.network, r.work, r.cycles * 1.4)
        for r in rows
        if (r.runtime, r.core) == ("r1", "a")
    ][:4]
    model = LatencyModel([*rows, *mine])
    row = work(np.random.default_rng(9))
    plain = model.predict("r1", "a", row).cycles
    assert model.predict("r1", "a", row, f"{OWN}board").cycles == pytest.approx(
        1.4 * plain, rel=0.1
    )


def test_a_better_spread_is_likelier() -> None:
    rows = samples(45)
    right, wrong = LatencyModel(rows, Spread()), LatencyModel(rows, Spread(residual=1.0))
    assert right.log_likelihood() > wrong.log_likelihood()


def test_least_squares_within_bounds() -> None:
    draws = np.random.default_rng(4)
    optimize = pytest.importorskip("scipy.optimize")
    for _ in range(10):
        design = draws.uniform(0, 1, (30, 6))
        target = draws.uniform(0, 1, 30)
        ours = bounded_least_squares(design, target, 0.3)
        theirs = optimize.lsq_linear(design, target, bounds=(0, 0.3)).x
        ours_error, theirs_error = (np.square(design @ x - target).sum() for x in (ours, theirs))
        assert ours_error <= theirs_error * 1.001
        assert ours.min() >= 0 and ours.max() <= 0.3
