"""Traces, built-in days and weather: what a source gives over time."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from budget.errors import MissingToolError, UsageError
from budget.hardware import library
from budget.scenario.profiles_of_day import DAYS, clear_sky_w_per_m2, day_trace, describe_day
from budget.scenario.simulation import DAY_S
from budget.scenario.source import Chain
from budget.scenario.traces import Trace, harvested_chain, read_trace
from budget.scenario.weather import CLEARNESS_MEAN, clearness, with_weather


def file(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "meaning", "duration", "value"),
    [
        ("time [s],power [uW]\n0,1\n10,2\n40,4\n", "power", [10, 30, 30], [1e-6, 2e-6, 4e-6]),
        ("time [min],lux\n0,500\n1,0\n", "light", [60, 60], [1.5, 0]),
        ("time [h],illuminance (klx)\n0,1\n1,2\n", "light", [3600, 3600], [3, 6]),
        ("# a logger\ntime [s],note,irradiance [W/m2]\n0,a,900\n60,b,100\n", "light",
         [60, 60], [900, 100]),
        ("time [s],level\n0,1\n60,0.5\n", "level", [60, 60], [1, 0.5]),
        ("time [s],density [uW/cm2]\n0,1\n60,2\n", "density", [60, 60], [0.01, 0.02]),
        ("timestamp,power [mW]\n2026-03-01T08:00:00,1\n2026-03-01T08:05:00,2\n", "power",
         [300, 300], [1e-3, 2e-3]),
        ("time [s],voltage [V]\n0,2\n1,-3\n", "power", [1, 1], [4 / 3e4, 9 / 3e4]),
    ],
)  # fmt: skip
def test_traces_are_read(
    tmp_path: Path, text: str, meaning: str, duration: list[float], value: list[float]
) -> None:
    trace = read_trace(file(tmp_path, text), resistance_ohm=3e4)
    assert trace.meaning == meaning
    assert trace.duration_s == pytest.approx(duration)
    assert trace.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", "trace.csv", "is empty"),
        ("time [s],colour\n", "header", "needs a time and one of"),
        ("time [s],power [uW],lux\n", "header", "needs a time and one of"),
        ("time [s],power\n", "header", "has no unit"),
        ("time [s],power [lx]\n", "header", "lx"),
        ("time [s],power [mV]\n", "header", "is a voltage"),
        ("time [s],lux [V]\n", "header", "no unit of light"),
        ("time [s],voltage [V]\n", "header", "without the resistor"),
        ("time [s],power [uW]\n0,1\n1,x\n", "line 3", "is no number"),
        ("time [s],power [uW]\n0,1\n1,nan\n", "line 3", "is no number"),
        ("time [s],power [uW]\n0,1\n1,-1\n", "line 3", "below zero"),
        ("time [s],power [uW]\n0,1\n0,1\n", "line 3", "does not go on"),
        ("time [s],power [uW]\n0,1\n1\n", "line 3", "column is missing"),
        ("time,power [uW]\n2026-03-01\n", "line 2", "column is missing"),
        ("time,power [uW]\n2026-03-02,1\n2026-03-01,2\n", "line 3", "does not go on"),
        ("time [s],power [uW]\n0,1\n", "trace.csv", "two lines"),
        ("time,power [uW]\nnoon,1\n", "line 2", "is no date"),
        ("time,power [uW]\n2026-03-01,1\n2026-03-02T00:00+01:00,1\n", "line 3", "time zone"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_trace(file(tmp_path, text))
    assert where in caught.value.where and caught.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as CSV"):
        read_trace(tmp_path / "none.csv")


def test_a_trace_repeats_and_is_cut() -> None:
    trace = Trace("t", "level", np.array([10.0, 20.0]), np.array([1.0, 0.0]))
    long = trace.lasting(75.0)
    assert long.duration_s == pytest.approx([10, 20, 10, 20, 10, 5])
    assert long.value.tolist() == [1, 0, 1, 0, 1, 0]
    assert trace.lasting(30.0).duration_s.tolist() == [10, 20]
    assert trace.lasting(5.0).duration_s.tolist() == [5]


def test_light_at_the_profile_gives_the_profiles_power() -> None:
    source = library.harvester("amorphous-500lx")
    assert source.light_w_per_m2 and source.power_density_w_per_m2
    chain = Chain(source, 2e-3, library.converter("bq25570"))
    light = np.array([source.light_w_per_m2.value, 0.0, source.light_w_per_m2.value / 2])
    found = harvested_chain(chain, Trace("t", "light", np.ones(3), light))
    assert found.harvested_w.value[0] == pytest.approx(float(chain.harvested_w.value))
    assert found.charging_now_w.value[0] == pytest.approx(float(chain.charging_now_w.value))
    half = replace(chain, area_m2=1e-3)
    assert found.charging_now_w.value[2] == pytest.approx(float(half.charging_now_w.value))


@pytest.mark.parametrize(
    ("meaning", "source", "expected"),
    [
        ("power", "amorphous-500lx", 5e-5),
        ("density", "amorphous-500lx", 5e-5 * 2e-3),
        ("level", "beeby-vibration", 5e-5 * 46e-6),
    ],
)
def test_other_meanings(meaning: str, source: str, expected: float) -> None:
    harvester = library.harvester(source)
    chain = Chain(harvester, 2e-3 if harvester.power_density_w_per_m2 else None)
    trace = Trace("t", meaning, np.ones(1), np.array([5e-5]))  # type: ignore[arg-type]
    assert harvested_chain(chain, trace).harvested_w.value == pytest.approx([expected])


def test_what_does_not_go_together() -> None:
    trace = day_trace("office-light", 1)
    with pytest.raises(UsageError, match="needs a source"):
        harvested_chain(Chain(), trace)
    with pytest.raises(UsageError, match="does not say at which light"):
        harvested_chain(Chain(library.harvester("human-vibration"), 1e-3), trace)
    with pytest.raises(UsageError, match="depends on its area"):
        harvested_chain(Chain(library.harvester("indoor-light")), trace)
    with pytest.raises(UsageError, match="no day 'office'"):
        day_trace("office", 1)
    with pytest.raises(UsageError, match="0 days"):
        day_trace("office-light", 0)
    for name in ("outdoor:95", "outdoor:48:monsoon", "outdoor:x", "outdoor:48:400"):
        with pytest.raises(UsageError, match="no place and season"):
            day_trace(name, 1)


@pytest.mark.parametrize("name", [day for day in DAYS if day != "outdoor"])
def test_days_are_days(name: str) -> None:
    trace = day_trace(name, 9)
    assert trace.whole_s == pytest.approx(9 * DAY_S)
    assert np.all(trace.duration_s > 0) and np.all(trace.value >= 0)
    assert describe_day(name)


def test_the_sun_stands_where_it_should() -> None:
    pytest.importorskip("pvlib")
    trace = day_trace("outdoor:48:summer", 1)
    noon = int(np.argmax(trace.value)) * 900.0 + 450.0
    assert noon == pytest.approx(DAY_S / 2, abs=1000)
    # Haurwitz: 1098·cos(z)·exp(−0.059/cos(z)), z = 48° − 23.4° at noon of the solstice
    cosine = np.cos(np.radians(48 - 23.44))
    assert np.max(trace.value) == pytest.approx(1098 * cosine * np.exp(-0.059 / cosine), rel=0.005)
    winter = day_trace("outdoor:48:winter", 1)
    assert np.mean(winter.value) < 0.25 * np.mean(trace.value)
    assert np.max(clear_sky_w_per_m2(80.0, 355, 96)) == 0.0
    assert describe_day("outdoor:48").startswith("sunlight")


def test_the_sun_needs_pvlib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: object, **more: object) -> object:
        if name.startswith("pvlib"):
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingToolError) as caught:
        day_trace("outdoor", 1)
    assert "[pv]" in caught.value.hint


def test_weather_is_the_same_for_the_same_seed_and_right_on_average() -> None:
    trace = day_trace("office-light", 4000)
    one, two, other = with_weather(trace, 3), with_weather(trace, 3), with_weather(trace, 4)
    assert np.array_equal(one.value, two.value)
    assert not np.array_equal(one.value, other.value)
    assert np.mean(one.value) == pytest.approx(np.mean(trace.value), rel=0.03)
    days = clearness(20000, np.random.default_rng(1))
    assert np.mean(days) == pytest.approx(CLEARNESS_MEAN, rel=0.02)
    assert np.corrcoef(days[1:], days[:-1])[0, 1] == pytest.approx(0.5, abs=0.06)
    assert np.all((days > 0) & (days <= 1))


def test_clouds_never_make_more_than_a_clear_sky() -> None:
    clear = Trace("outdoor:48", "light", np.full(96, 900.0), np.full(96, 500.0))
    cloudy = with_weather(clear, 0)
    assert np.all(cloudy.value <= 500.0) and np.all(cloudy.value > 0)
    assert len(np.unique(cloudy.value)) > 3
