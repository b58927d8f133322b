"""Which candidates are trained in full, which is delivered, and what a kept history is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.api import propose
from budget.api import shrink as api
from budget.api.propose import explore
from budget.api.shrink_inputs import float_model
from budget.shrinking.candidates import build
from budget.shrinking.early_exit import macs_of
from budget.shrinking.search import Outcome, knobs
from budget.shrinking.way import Calibration

candidates = st.lists(
    st.builds(
        Outcome,
        ways=st.integers(0, 999).map(lambda n: (f"prune:keep={n}",)),
        error=st.integers(0, 40).map(lambda n: n / 100),
        excess=st.just(0.5),
        energy_j=st.integers(1, 9).map(float),
    ),
    min_size=1,
    max_size=9,
    unique_by=lambda o: o.ways,
)


def trained(gain: float, calls: list[tuple[str, ...]], too_large: tuple[str, ...] = ()) -> Any:
    """Stands for training in full: every candidate gets better by the same."""
    known: dict[tuple[str, ...], Outcome] = {}

    def finish(bench: Any, ways: tuple[str, ...], **_: Any) -> Any:
        calls.append(ways)
        accuracy = 1 - known[ways].error + gain
        rank = 0 if ways[0] in too_large else 2
        return SimpleNamespace(ways=ways, accuracy=accuracy, verdict_rank=rank)

    return known, finish


@given(candidates, st.integers(60, 100).map(lambda n: n / 100), st.integers(1, 10))
def test_the_cheapest_that_is_accurate_enough(
    tried: list[Outcome], enough: float, finalists: int
) -> None:
    calls: list[tuple[str, ...]] = []
    known, finish = trained(0.04, calls)
    known |= {o.ways: o for o in tried}
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "finish", finish)
        chosen, missed = api._best(None, tried, finalists, enough, 0.0, said.append)  # type: ignore[arg-type]
    assert chosen is not None and missed is None and len(calls) <= finalists
    reach = [o for o in tried if 1 - o.error + 0.04 >= enough]
    if finalists == 10:
        if reach:
            # what full training lifts over the accuracy is found, and nothing dearer
            assert known[chosen.ways].energy_j == min(o.energy_j for o in reach)
        else:
            assert any("the most accurate is taken" in line for line in said)
    if any(1 - o.error >= enough for o in tried):
        assert chosen.accuracy >= enough  # however few are trained


def test_without_an_accuracy_the_most_accurate_that_fits_when_measured() -> None:
    tried = [Outcome((f"w{i}",), i / 100, 0.5, 9.0 - i) for i in range(5)]
    tried += [replace(tried[0], ways=("broken",), problem="x"), replace(tried[0], excess=2.0)]
    calls: list[tuple[str, ...]] = []
    known, finish = trained(0.0, calls, too_large=("w0",))
    known |= {o.ways: o for o in tried}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "finish", finish)
        chosen, _ = api._best(None, tried[:5], 3, None, 0.0, lambda _: None)  # type: ignore[arg-type]
    assert calls == [("w0",), ("w1",), ("w2",)] and chosen is not None and chosen.ways == ("w1",)


class Bench:
    """Stands for a workbench: candidates cost what their text is long."""

    measured_ratio = 1.0

    def __init__(self) -> None:
        self.task = SimpleNamespace(key="same", work="")
        self.judged: list[tuple[str, ...]] = []

    def evaluate(self, ways: tuple[str, ...]) -> Outcome:
        self.judged.append(ways)
        return Outcome(ways, 0.1, 0.5, float(len(str(ways))), 1.0, 1.0, 1.0, 1, "fits")


def test_a_kept_history_is_gone_on_with(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    history = f"sqlite:///{tmp_path}/search.db"
    ways = ("low-rank", "int8")

    def run(trials: int, kept: str | None) -> tuple[Bench, tuple[Outcome, ...], list[str]]:
        bench, said = Bench(), list[str]()
        found = explore(
            bench,  # type: ignore[arg-type]
            ways,
            trials=trials,
            history=kept,
            scheduler=None,
            seed=0,
            say=said.append,
        )
        return bench, found, said

    assert knobs(ways)
    _, first, _ = run(3, history)
    bench, all_five, said = run(5, history)
    assert said[0] == "going on with 3 candidates tried before"
    assert all_five[:3] == first and len(all_five) == 5 and len(bench.judged) <= 2
    assert run(5, None)[1] == all_five  # as one uninterrupted run has it
    bench, again, _ = run(5, history)
    assert again == all_five and not bench.judged


def test_what_is_tried_first_just_meets_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = float_model("zoo:digits")[0].graph
    shape = graph.type_of(graph.inputs[0]).shape
    random = np.random.default_rng(0)
    calibration = Calibration(
        [{graph.inputs[0]: random.random(shape, np.float32)} for _ in range(8)]
    )
    budget = 0.5 * macs_of(graph.nodes, graph)
    bench: Any = SimpleNamespace(
        measured_ratio=1.0,
        build=lambda ways: build(graph, ways, calibration),
        judge_built=lambda built, ways: built.graph,
    )
    monkeypatch.setattr(propose, "excess_of", lambda g: macs_of(g.nodes, g) / budget)
    said: list[str] = []
    choices = knobs(("prune", "low-rank", "int8"))
    few = propose.first_candidates(bench, choices, 4, said.append)
    more = propose.first_candidates(bench, choices, 5, said.append)
    assert more[:4] == few and few[3] == ["int8"] and len(more) == 5
    assert "allocation=sensitivity" in more[4][0]
    for way, *_ in (*few[:3], more[4]):
        quick = f"{way},score=norm,compensate=no"
        smaller = build(graph, (quick,), calibration).graph
        assert 0.5 * budget < macs_of(smaller.nodes, smaller) <= 1.05 * budget
    assert all("of the channels meets the budget" in line for line in said)
    budget = 1.0
    assert len(propose.first_candidates(bench, choices, 9, said.append)) == 2
    assert said[-1] == "pruning alone does not reach the budget"
    budget = 1e12
    assert propose.first_candidates(bench, choices, 9, said.append)[1][0] == "prune:keep=0.75"
