"""`budget shrink` as a user types it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

import budget.api.shrink
import budget.report.shrink
from budget.api import shrink as api
from budget.cli.app import application
from budget.errors import BudgetError, UsageError
from budget.shrinking.recovery import Training
from budget.verdict import Verdict

FIT = ("shrink", "zoo:digits", "-d", "efm32pg12", "--deadline", "4ms")


def invoke(*words: str, expected: type[BaseException] | None = None):
    result = CliRunner().invoke(application(["shrink"]), [*words])
    if expected is not None:
        assert isinstance(result.exception, expected), result.output
    return result


def test_an_interruption_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def cut(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(budget.api.shrink, "shrink", cut)
    result = invoke(*FIT, "-o", str(tmp_path / "x.tflite"))
    assert result.exit_code == 130


def test_the_exit_status_is_the_verdict_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = SimpleNamespace(verdict=Verdict.TOO_CLOSE)
    monkeypatch.setattr(budget.api.shrink, "shrink", lambda *args, **options: result)
    monkeypatch.setattr(budget.report.shrink, "report_shrinkage", lambda *args, **options: None)
    assert invoke(*FIT, "-o", str(tmp_path / "x.tflite")).exit_code == 6


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--input-range", "bright"), "no range"),
        (("--front", "front.xls"), "format is not known"),
        (("--min-accuracy", "3 m"), ""),
        (("--ways", "prune:keep=7"), "keep=7"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, words: tuple[str, ...], match: str
) -> None:
    result = invoke(*FIT, "-o", str(tmp_path / "x.tflite"), *words, expected=BudgetError)
    assert isinstance(result.exception, UsageError) and match in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_help_groups_the_options() -> None:
    result = invoke("shrink", "--help")
    assert result.exit_code == 0
    for word in ("Data", "Search", "Training", "--held-out", "--scheduler", "--copies"):
        assert word in result.output


def test_help_tells_what_is_taken_where_nothing_is_given() -> None:
    group: Any = typer.main.get_command(application(["shrink"]))
    command = group.commands["shrink"] if hasattr(group, "commands") else group
    told = {option.name: option.help for option in command.params}
    training = Training()
    for name, value in (
        ("ways", f"'{' '.join(api.DEFAULT_WAYS)}'"),
        ("trials", api.DEFAULT_TRIALS),
        ("tolerance", f"{api.DEFAULT_TOLERANCE:.1%}"),
        ("epochs", training.epochs),
        ("copies", training.copies),
        ("learning_rate", training.rate),
        ("batch", training.batch),
    ):
        assert f"{value} if not given" in told[name]
