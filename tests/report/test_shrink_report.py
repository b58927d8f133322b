"""What shrinking came to is readable at 80 columns, with or without a result."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console, Group

from budget.api.finishing import Line
from budget.errors import MissingToolError
from budget.report.shrink import _accuracy, _front, _steps, save_front
from budget.shrinking.evaluation import Change, Score
from budget.shrinking.search import Outcome


def shown(*parts: object) -> list[str]:
    console = Console(width=80, file=StringIO(), color_system=None, _environ={})
    console.print(Group(*parts))  # type: ignore[arg-type]
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_tables_keep_all_their_columns() -> None:
    line = Line(
        "quantisation-aware", "", 0.9321, 9_409_536, 99_000, 2.45e-3, 0.294, 106_496, 19_046
    )
    ways = ("prune:keep=0.3469,allocation=global", "low-rank:error=0.1", "int8")
    outcome = Outcome(ways, 0.1, 0.97, 4.25e-4, 0.05, 26_316, 8_600, 1_386_528, "fits")
    result = SimpleNamespace(lines=(line,), front=(outcome,))
    rows = shown(_steps(result), _front(result))  # type: ignore[arg-type]
    assert max(map(len, rows)) <= 80
    text = "\n".join(rows)
    for word in ("93.2%", "9,409,536", "294 ms", "2.4 mJ", "104 KiB", "18.6 KiB", "0.97×",
                 "425 µJ", "90.0%"):  # fmt: skip
        assert word in text


def test_accuracy_has_its_interval_and_its_change() -> None:
    from budget.api.shrinkage import HeldOut

    told = HeldOut(600, Score(563, 600), Score(560, 600), Change(12, 9, 600), Score(572, 600), None)
    text = "\n".join(shown(*_accuracy(told)))
    assert "93.8% (91.6%–95.5%) before" in text and "-0.5 points" in text
    values = HeldOut(600, None, None, None, None, (0.987, 0.98, 0.99))
    assert "keeps 98.70% of the variance" in "\n".join(shown(*_accuracy(values)))
    assert _accuracy(None) == []


def test_a_picture_needs_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = SimpleNamespace(outcomes=(), front=())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingToolError, match="matplotlib") as told:
        save_front(result, tmp_path / "front.png")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir()) and ".csv" in (told.value.hint or "")
