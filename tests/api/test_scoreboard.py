"""Estimates against silicon: what the scoreboard says must not get worse unseen."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import budget
from budget.api import scoreboard as module
from budget.api.scoreboard import Scoreboard, binomial_probability, scoreboard
from budget.cli.scoreboard import scoreboard as command
from budget.errors import UsageError
from budget.tuning.prices import with_prices
from budget.tuning.refit import main, refitted


@pytest.fixture(scope="module")
def board() -> Scoreboard:
    return scoreboard()


@pytest.mark.parametrize(
    ("what", "median", "worst"),
    [
        # the goals where they are reached; worst errors as they are, so that they do not grow
        (module.PER_MODEL, 0.10, 1.8),
        (module.PER_BOARD, 0.20, 0.75),
        (module.ENERGY, 0.20, 1.1),
        (module.RAM_TFLM, 0.01, 0.02),
        (module.RAM_CUBE_AI, 0.08, 0.35),
    ],
)
def test_regression(board: Scoreboard, what: str, median: float, worst: float) -> None:
    score = board.overall(what)
    assert score.median_ratio <= median
    assert score.worst_ratio <= worst


def test_nine_in_ten_left_out_rows_lie_in_their_intervals(board: Scoreboard) -> None:
    for what in (module.PER_MODEL, module.PER_BOARD, module.ENERGY):
        score = board.overall(what)
        assert score.coverage_ratio is not None and 0.85 <= score.coverage_ratio <= 0.95
    for score in board.scores:
        if score.by in {"all", "runtime", "core"}:
            assert not score.is_rejected, score


def test_the_model_says_more_than_the_rules_of_thumb(board: Scoreboard) -> None:
    latency, energy = (board.overall(w) for w in (module.RULE_LATENCY, module.RULE_ENERGY))
    assert latency.median_ratio > 20 * board.overall(module.PER_MODEL).median_ratio
    assert energy.median_ratio > 4 * board.overall(module.ENERGY).median_ratio
    assert latency.inside_count is None and not latency.is_rejected


def test_scores_are_those_of_the_lines(board: Scoreboard) -> None:
    for score in board.scores:
        if score.by != "core":
            continue
        lines = [n for n in board.lines if n.what == score.what and n.core == score.name]
        errors = sorted(abs(n.predicted - n.measured) / n.measured for n in lines)
        assert score.count == len(errors)
        assert score.worst_ratio == pytest.approx(errors[-1])
        middle = (errors[(len(errors) - 1) // 2] + errors[len(errors) // 2]) / 2
        assert score.median_ratio == pytest.approx(middle)
    # every usable row stands there once for each comparison that can be made of it
    keys = [(n.what, n.source, n.board, n.network, n.measured) for n in board.lines]
    assert len(keys) == len(set(keys))


def test_every_row_is_scored_or_said_why_not(board: Scoreboard) -> None:
    document = json.loads(json.dumps(board.to_json()))
    assert document["published_rows"] == board.published_count > 400
    assert sum(document["unused_rows"].values()) < board.published_count / 3
    assert len(document["lines"]) == len(board.lines)


def test_binomial_test_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for inside, count in ((9, 10), (40, 50), (50, 50), (0, 3), (200, 253)):
        below = stats.binom.cdf(inside, count, 0.9)
        above = stats.binom.sf(inside - 1, count, 0.9)
        expected = min(1.0, 2 * min(below, above))
        assert math.isclose(binomial_probability(inside, count), expected, rel_tol=1e-9)


def test_shipped_profiles_are_the_fit_s(tmp_path: Path) -> None:
    folder = Path(budget.__file__).parent / "hardware_profiles" / "runtimes"
    for runtime, tables in refitted().items():
        text = (folder / f"{runtime}.toml").read_text("utf-8")
        assert with_prices(text, tables) == text, f"{runtime}: python -m budget.tuning.refit"
        # a table that is lost comes back
        (tmp_path / f"{runtime}.toml").write_text(f'id = "{runtime}"\n', "utf-8")
    main(tmp_path)
    again = (tmp_path / "hale.toml").read_text("utf-8")
    assert "[references.latency-model]" in again and "[cycles.cortex-m7]" in again


def test_there_are_four_groupings() -> None:
    with pytest.raises(UsageError, match="no scores by 'colour'"):
        command(by="colour")
