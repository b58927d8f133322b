"""Scores and intervals against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.shrinking.evaluation import (
    Change,
    Score,
    answers,
    change,
    explained,
    explained_interval,
    score,
)


@settings(deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    stats = pytest.importorskip("scipy.stats")
    right, count = counts
    low, high = Score(right, count).interval
    theirs = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(theirs.low, abs=1e-9)
    assert high == pytest.approx(theirs.high, abs=1e-9)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_test_is_mcnemars(lost: int, gained: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = Change(lost, gained, 100).p_value
    theirs = stats.binomtest(min(lost, gained), lost + gained).pvalue if lost + gained else 1.0
    assert found == pytest.approx(theirs, abs=1e-12)


def test_the_interval_of_a_change_holds_the_true_one_most_of_the_time() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        draw = random.random(300)
        lost, gained = int((draw < 0.06).sum()), int((draw > 0.97).sum())
        low, high = Change(lost, gained, 300).interval
        inside += low <= -0.03 <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_answers_lost_and_gained_are_told_apart() -> None:
    labels = np.array([0, 1, 2, 0])
    found = change(np.array([0, 1, 0, 1]), np.array([0, 0, 2, 0]), labels)
    assert (found.lost, found.gained, found.count) == (1, 2, 4)
    assert found.difference == pytest.approx(0.25)
    assert found.to_json()["p_value"] == 1.0
    assert score(labels, labels).to_json()["ratio"] == 1.0


def test_one_number_is_a_yes_above_one_half() -> None:
    assert answers(np.array([[0.2], [0.7]])).tolist() == [0, 1]
    assert answers(np.array([[0.2, 0.5], [0.7, 0.1]])).tolist() == [1, 0]


def test_explained_variance_is_r_squared_and_its_interval_holds_it() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    before = random.normal(0, 1, (200, 5))
    after = before + random.normal(0, 0.3, (200, 5))
    found = explained(before, after)
    assert found == pytest.approx(metrics.r2_score(before.ravel(), after.ravel()))
    low, high = explained_interval(before, after)
    assert low < found < high
    assert explained(before, before) == 1.0
