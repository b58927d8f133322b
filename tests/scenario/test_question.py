"""A question whose parts do not belong together, and remedies put back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from budget.api.check import check
from budget.cli.app import application
from budget.cli.life import scenario_of
from budget.errors import UsageError
from budget.scenario.schema import Scenario, Sense, Source, Transmit
from budget.verdict import Status

LIFE = Scenario(model="zoo:hotword", device="stm32u575", rate_hz=1.0, runtime="tflm-cmsis-nn")

APART = {
    "source without rate": (Scenario(source=Source(harvester="1mW")), "rate of inferences"),
    "storage without rate": (Scenario(storage="cr2032"), "rate of inferences"),
    "area without source": (Scenario(source=Source(area_m2=1.0)), "source that it belongs to"),
    "life without storage": (Scenario(life_s=1.0), "storage that it is of"),
    "payload without radio": (Scenario(transmit=Transmit(payload_bytes=4)), "radio that sends"),
    "sensing without sensor": (Scenario(sense=Sense(time_s=1.0)), "needs a sensor"),
    "life with a source": (
        Scenario(rate_hz=1.0, life_s=1.0, storage="vl2020", source=Source(harvester="1mW")),
        "nothing charges",
    ),
}


@pytest.mark.parametrize(("scenario", "what"), APART.values(), ids=APART.keys())
def test_parts_that_do_not_belong_together(scenario: Scenario, what: str) -> None:
    with pytest.raises(UsageError, match=what) as error:
        check("zoo:hotword", device="stm32u575", scenario=scenario)
    assert error.value.hint and error.value.where.startswith("--")


def test_options_name_themselves_in_errors() -> None:
    with pytest.raises(UsageError, match="length") as error:
        scenario_of({"area": "10cm"})
    assert error.value.where == "--area" and "10cm2" in error.value.hint


def test_commands_end_with_the_verdict_s_status(tmp_path: Path) -> None:
    runner = CliRunner()
    life = ["zoo:hotword", "--device", "stm32u575", "--rate", "1/s"]
    ends = {
        0: ["check", *life, "--source", "1W", "--write-scenario", str(tmp_path / "a.toml")],
        1: ["intermittent", *life, "--storage", "1uF:3.3V:1.8V"],
        6: ["harvest", *life, "--sources", "human-thermal", "--area", "20cm2"],
    }
    for status, arguments in ends.items():
        assert runner.invoke(application(), arguments).exit_code == status
    solved = runner.invoke(application(), ["solve", *life, "--for", "rate", "--source", "1W"])
    assert solved.exit_code == 0
    assert (
        runner.invoke(application(), ["transmit", *life, "--radios", "ble-nrf52840"]).exit_code == 0
    )
    folder = runner.invoke(application(), ["check", *life, "--write-scenario", str(tmp_path)])
    assert isinstance(folder.exception, UsageError) and "cannot be written" in str(folder.exception)


def remedy(scenario: Scenario, constraint: str, what: str) -> float:
    found = check(scenario=scenario)
    (value,) = (
        float(r.need.value) for r in found.remedies if r.constraint == constraint and r.what == what
    )
    return value


def status(scenario: Scenario, constraint: str) -> Status:
    return next(c.status for c in check(scenario=scenario).constraints if c.name == constraint)


def test_what_surely_suffices_passes() -> None:
    source = Source(harvester="indoor-light", area_m2=5e-4)
    unsure = replace(LIFE, rate_hz=0.04, source=source)
    assert status(unsure, "power") is Status.UNSURE
    area = remedy(unsure, "power", "area")
    assert status(replace(unsure, source=replace(source, area_m2=area * 1.0001)), "power") is (
        Status.PASS
    )
    rate = remedy(unsure, "power", "rate")
    assert status(replace(unsure, rate_hz=rate * 0.99), "power") is Status.PASS
    assert status(replace(unsure, source=replace(source, area_m2=area * 0.98)), "power") is (
        Status.UNSURE
    )


def test_a_storage_too_small_for_a_life_or_a_gap() -> None:
    coin = replace(LIFE, storage="cr2032", life_s=3.15e7)
    rate = remedy(coin, "life", "rate")
    found = check(scenario=replace(coin, rate_hz=rate))
    life = next(c for c in found.constraints if c.name == "life")
    assert life.margin_ratio == pytest.approx(1.0, rel=1e-6)
    assert remedy(coin, "life", "storage") > float(
        check(scenario=coin).question.storage.energy_j.value
    )  # type: ignore[union-attr]
    assert status(replace(coin, life_s=None), "life") is Status.NOT_JUDGED
    gap = replace(LIFE, storage="1J", source=Source(harvester="10mW", gap_s=36000.0))
    energy = remedy(gap, "storage", "storage")
    again = check(scenario=replace(gap, storage=f"{energy!r}J"))
    storage = next(c for c in again.constraints if c.name == "storage")
    assert storage.margin_ratio == pytest.approx(1.0)


def test_cold_start_period_and_peak_current_have_remedies() -> None:
    source = Source(harvester="silicon-200lx", area_m2=1e-5, converter="bq25570")
    cold = replace(LIFE, source=source)
    assert remedy(cold, "cold-start-power", "power") == pytest.approx(15e-6)
    long = replace(LIFE, rate_hz=40.0, deadline_s=1.0)
    rate = remedy(long, "period", "rate")
    found = check(scenario=replace(long, rate_hz=rate))
    period = next(c for c in found.constraints if c.name == "period")
    assert period.margin_ratio == pytest.approx(1.0)
    weak = replace(LIFE, storage="lto-0.35mah", transmit=Transmit(radio="wifi-esp32"))
    assert remedy(weak, "peak-current", "storage") > 7e-3
    starved = replace(LIFE, source=Source(harvester="100nW"))
    assert remedy(starved, "power", "sleep") > 1
