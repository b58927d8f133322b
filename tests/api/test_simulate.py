"""Life over time, as functions and as commands, with its pictures."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from budget.api.simulate import SimulationResult, life_of, simulate
from budget.cli.app import application
from budget.errors import BudgetError, MissingToolError, UsageError
from budget.report.plot import save_plot, terminal_plot
from budget.scenario.course import between, deepest_days
from budget.scenario.simulation import DAY_S
from budget.scenario.traces import Trace

LIFE = {
    "device": "stm32u575", "rate_hz": 1 / 60, "source": "amorphous-500lx", "area_m2": 9e-4,
    "converter": "bq25570", "storage": "lto-0.35mah",
}  # fmt: skip
COMMAND = [
    "harvest", "zoo:digits", "-d", "stm32u575", "--rate", "1/min", "--source", "amorphous-500lx",
    "--area", "9cm2", "--converter", "bq25570", "--storage", "lto-0.35mah",
]  # fmt: skip


@pytest.fixture(scope="module")
def week() -> SimulationResult:
    return simulate("zoo:digits", **LIFE, day="office-light", days=7)  # type: ignore[arg-type]


def test_a_constant_source_agrees_with_the_averages() -> None:
    result = simulate(
        "zoo:digits", device="stm32u575", rate_hz=1 / 60, source="100uW", storage="1000J",
        day="always", days=10, start_ratio=0.5,
    )  # fmt: skip
    cycle = result.estimate.cycle(result.question)
    net_w = 100e-6 - float(cycle.average_w(1 / 60).value)
    assert result.first.balance.stored_j == pytest.approx(net_w * 10 * DAY_S, rel=1e-9)
    assert result.exit_code == 0
    assert result.first.done.sum() == pytest.approx(1440 * 10)


def test_a_battery_alone_lasts_as_long_as_its_charge() -> None:
    result = simulate("zoo:digits", device="stm32u575", rate_hz=1.0, storage="cr2032", days=3000)
    cycle = result.estimate.cycle(result.question)
    # the closed form, with the battery's own loss in proportion to what it holds
    load = float((cycle.average_w(1.0) - cycle.chain.standing_w).value)
    rate = result.first.store.loss_per_s
    life = np.log1p(rate * result.first.store.full_j / load) / rate
    assert result.first.done.sum() == pytest.approx(life, rel=1e-9)
    assert result.lasts_s == pytest.approx(life, rel=1e-9)
    assert result.to_json()["storage_lasts_s"] == result.lasts_s
    assert result.exit_code == 1


def test_weathers_have_percentiles() -> None:
    result = simulate("zoo:digits", **LIFE, day="office-light", days=14, seeds=9)  # type: ignore[arg-type]
    low, middle, high = result.percentiles()["deepest_discharge_ratio"]
    assert low <= middle <= high
    assert low < high
    assert len(result.first.time_s) > 10 and not len(result.outcomes[1].time_s)
    document = result.to_json()
    assert document["percentiles"]["deepest_discharge_ratio"]["50"] == middle
    json.dumps(document, allow_nan=False)


def test_a_trace_given_as_a_file_or_a_value(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("time [h],power [uW]\n0,0\n8,300\n16,0\n")
    trace = Trace("day.csv", "power", np.full(3, 8 * 3600.0), np.array([0, 300e-6, 0]))
    one = simulate("zoo:digits", **LIFE, trace=path)  # type: ignore[arg-type]
    two = simulate("zoo:digits", **LIFE, trace=trace)  # type: ignore[arg-type]
    assert one.life.days == 1
    assert one.first.balance == two.first.balance
    assert one.supply.harvested_j == pytest.approx(8 * 3600 * 300e-6)


def test_what_makes_no_sense_over_time() -> None:
    for wrong, message in (
        ({"day": "always", "trace": "x.csv"}, "two sources"),
        ({"day": "always", "seeds": -1}, "weathers"),
        ({"day": "always", "days": 0}, "days are none"),
        ({}, "nothing says when"),
        ({"day": "always", "start_ratio": 2.0}, "cannot begin"),
    ):
        with pytest.raises(UsageError, match=message):
            simulate("zoo:digits", **LIFE, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="with a storage"):
        simulate("zoo:digits", device="stm32u575", rate_hz=1.0, days=3)
    assert life_of(day=None, trace=None, has_source=False).trace is None


def test_the_course_is_cut_at_the_ends(week: SimulationResult) -> None:
    begin, end = deepest_days(week.first)
    day = between(week.first, begin, end)
    assert end - begin == DAY_S
    assert day.time_s[0] == begin and day.time_s[-1] == end
    assert day.energy_j.min() == pytest.approx(week.first.energy_j.min())


def test_the_terminal_plot_keeps_the_width(week: SimulationResult) -> None:
    pytest.importorskip("plotext")
    text = terminal_plot(week.first, 72)
    assert text is not None
    assert max(map(len, text.splitlines())) <= 72
    assert "brown-out" in text and "\x1b" not in text


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_pictures_are_the_same_each_time(week: SimulationResult, tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    save_plot(week, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    save_plot(week, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert len(first) > 5000 and [p.name for p in tmp_path.iterdir()] == [name]


def test_pictures_that_cannot_be_drawn(
    week: SimulationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="format is not known"):
        save_plot(week, tmp_path / "a.gif")
    pytest.importorskip("matplotlib")
    with pytest.raises(UsageError, match="cannot be written"):
        save_plot(week, tmp_path / "none" / "a.png")
    real = builtins.__import__

    def refuse(name: str, *rest: object, **more: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingToolError) as caught:
        save_plot(week, tmp_path / "a.png")
    assert "[plot]" in caught.value.hint


def test_the_command_shows_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(
        application(), [*COMMAND, "--day", "office-light", "--days", "7", "--seeds", "3", "--size"]
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert result.exit_code in {0, 1, 6}
    for word in ("inferences a day", "longest gap", "harvested", "Kansal", "95th percentile"):
        assert word in result.output
    document = json.loads(
        CliRunner()
        .invoke(application(), [*COMMAND, "--day", "always", "--days", "2", "--json"])
        .stdout
    )
    assert document["command"] == "harvest" and document["simulation"]["done_ratio"] == 1.0


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--days", "3"], "with a day or a trace"),
        (["--size"], "with a day or a trace"),
        (["--day", "always", "--sources", "indoor-light"], "one source is simulated"),
        (["--day", "always", "--start", "10cm2"], "area"),
    ],
)
def test_options_that_do_not_go_together(extra: list[str], message: str) -> None:
    result = CliRunner().invoke(application(), [*COMMAND, *extra])
    assert isinstance(result.exception, BudgetError)
    assert message in str(result.exception)
