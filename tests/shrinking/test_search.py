"""The search proposes candidates, keeps its history, and goes on where it was cut off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.errors import MissingToolError, UsageError
from budget.shrinking.search import Outcome, Search, brief, front, knobs
from budget.shrinking.way import parse

numbers = st.integers(0, 4).map(float)
outcomes = st.lists(
    st.builds(
        Outcome,
        ways=st.just(("int8",)),
        error=numbers,
        excess=st.just(0.5),
        energy_j=numbers,
        flash_bytes=numbers,
        ram_bytes=numbers,
        problem=st.sampled_from(["", "", "", "broken"]),
    ),
    max_size=12,
)


def values(o: Outcome) -> tuple[float, ...]:
    return o.error, o.energy_j, o.flash_bytes, o.ram_bytes


def beats(a: Outcome, b: Outcome) -> bool:
    return values(a) != values(b) and all(x <= y for x, y in zip(values(a), values(b)))


@settings(deadline=None)
@given(outcomes)
def test_the_front_is_what_nothing_beats(tried: list[Outcome]) -> None:
    sound = [o for o in tried if not o.problem]
    kept = front(tried)
    assert {values(o) for o in kept} == {
        values(o) for o in sound if not any(beats(p, o) for p in sound)
    }
    assert len({values(o) for o in kept}) == len(kept)


def study(path: Path | None, seed: int = 1, ways: tuple[str, ...] = ("prune", "int8")) -> Search:
    pytest.importorskip("optuna")
    url = None if path is None else f"sqlite:///{path}/x.db"
    return Search(knobs(ways), name="test", history=url, seed=seed)


def told(search: Search, number: int, ways: tuple[str, ...]) -> None:
    size = float(sum(map(len, ways)) + number)
    search.tell(number, Outcome(ways, 0.1, 0.5, size * 1e-6, 0.1, size, size, 9, "fits"))


def test_every_candidate_can_be_made(tmp_path: Path) -> None:
    search = study(None, ways=("prune", "low-rank", "int8", "int16x8"))
    for _ in range(12):
        number, ways = search.ask()
        assert sum(parse(w).name in {"int8", "int16x8"} for w in ways) == 1
        told(search, number, ways)
    assert len(search.outcomes()) == 12
    assert len({o.ways for o in search.outcomes()}) > 6


def test_what_is_suggested_comes_first_and_fixed_ways_stay(tmp_path: Path) -> None:
    search = study(None, ways=("prune", "low-rank:error=0.1", "int8"))
    search.suggest_first(["prune:keep=0.4", "low-rank:error=0.1", "int8"])
    _, ways = search.ask()
    assert parse(ways[0]) == parse("prune:keep=0.4")
    assert brief(ways[0]) == "prune:keep=0.4"
    assert [parse(w).name for w in ways] == ["prune", "low-rank", "int8"]


def test_a_search_that_is_cut_off_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = study(tmp_path / "a")
    expected = []
    for _ in range(6):
        number, ways = whole.ask()
        told(whole, number, ways)
        expected.append(ways)
    cut = study(tmp_path / "b")
    for _ in range(3):
        number, ways = cut.ask()
        told(cut, number, ways)
    _, lost = cut.ask()  # proposed, and never told of
    again = study(tmp_path / "b")
    assert not again.is_new and len(again.outcomes()) == 3
    number, ways = again.ask()
    assert ways == lost == expected[3]
    told(again, number, ways)
    assert [o.ways for o in again.outcomes()] == expected[:4]


def test_outcomes_come_back_from_the_database_as_they_were(tmp_path: Path) -> None:
    search = study(tmp_path)
    number, ways = search.ask()
    wanted = Outcome(ways, 0.25, 2.5, 1e-4, None, 1000.0, 500.0, 77, "does-not-fit")
    search.tell(number, wanted)
    number, ways = search.ask()
    broken = Outcome(ways, problem="no channels can be removed")
    search.tell(number, broken)
    assert study(tmp_path).outcomes() == [wanted, broken]


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    for url in ("sqlite:////no/such/folder/x.db", "nonsense", "nothing://here"):
        with pytest.raises(UsageError, match="database cannot be used") as error:
            Search(knobs(["int8"]), name="x", history=url)
        assert "sqlite:///search.db" in error.value.hint


def test_a_way_twice_is_refused_and_optuna_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="prune stands there twice"):
        knobs(["prune", "prune:keep=0.5"])
    with pytest.raises(UsageError, match="makes two networks"):
        knobs(["early-exit", "int8"])
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingToolError, match="Optuna") as error:
        Search(knobs(["int8"]), name="x")
    assert "mcu-budget[shrink]" in error.value.hint
