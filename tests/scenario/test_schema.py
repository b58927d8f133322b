"""Scenario files: read back as written, refused with a hint, and all their keys options."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from budget.api.check import check
from budget.api.scenarios import list_scenarios, show_scenario
from budget.cli.life import OPTIONS, scenario_of
from budget.errors import ProfileError, UsageError
from budget.scenario.schema import (
    Scenario,
    Second,
    Source,
    load_scenario,
    merged,
    scenarios,
    to_toml,
)
from budget.units import DIMENSIONS, format, parse


def test_there_is_one_for_each_application() -> None:
    assert set(scenarios()) >= {
        "hotword",
        "person-detection",
        "vibration-monitoring",
        "pest-spotting",
        "machine-sticker",
    }


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_that_ships_is_complete_and_can_be_judged(name: str) -> None:
    scenario, text = show_scenario(name)
    assert scenario.id == name
    assert scenario.note and scenario.name and f'id = "{name}"' in text
    assert {"power", "storage"} <= {found.name for found in check(scenario=name).constraints}


@pytest.mark.parametrize("scenario", list_scenarios(), ids=lambda s: s.id)
def test_what_is_written_reads_back(scenario: Scenario, tmp_path: Path) -> None:
    file = tmp_path / f"{scenario.id}.toml"
    file.write_text(to_toml(scenario), encoding="utf-8")
    found = load_scenario(file)
    for (name, before), (_, after) in zip(flat(scenario), flat(found)):
        assert after == (pytest.approx(before, rel=1e-12) if isinstance(before, float) else before)
        assert name


def flat(value: object, path: str = "") -> list[tuple[str, object]]:
    if not is_dataclass(value):
        return [(path, value)]
    return [x for f in fields(value) for x in flat(getattr(value, f.name), f"{path}.{f.name}")]


def test_every_key_is_an_option_of_the_command_line() -> None:
    keys = {name.removeprefix(".") for name, _ in flat(Scenario())}
    # the file's own name and words, the MODEL argument, and what a front end's file says better
    apart = {"id", "name", "note", "model", "sense.readings", "sense.processor"}
    apart |= {"preprocess.macs", "preprocess.operations"}
    assert {option.key for option in OPTIONS} == keys - apart


def test_options_and_file_make_the_same_scenario() -> None:
    wanted = load_scenario("hotword")
    texts: dict[str, str | None] = {}
    for option in OPTIONS:
        table, _, key = option.key.rpartition(".")
        value = getattr(getattr(wanted, table) if table else wanted, key)
        if value in (None, ""):
            continue
        text = str(value)
        if option.dimension is not None:
            unit = {"1/s": "Hz", "ratio": "x", "bytes": "B"}
            text += unit.get(DIMENSIONS[option.dimension][1], DIMENSIONS[option.dimension][1])
        texts[option.flags[0].removeprefix("--").replace("-", "_")] = text
    found = scenario_of(texts)
    for (name, before), (_, after) in zip(flat(wanted), flat(found)):
        if name.removeprefix(".") not in {"id", "name", "note", "model"}:
            assert after == before, name


def test_what_the_command_line_says_wins() -> None:
    found = scenario_of({"scenario": "hotword", "rate": "1/min", "area": "3cm2"})
    assert found.rate_hz == pytest.approx(1 / 60)
    assert found.source == Source(
        harvester="indoor-light", area_m2=pytest.approx(3e-4), converter="aem10941"
    )
    assert found.sense == load_scenario("hotword").sense


def test_merging_with_nothing_changes_nothing() -> None:
    for scenario in list_scenarios():
        assert merged(scenario, Scenario()) == scenario
        assert merged(Scenario(), scenario) == scenario


WRONG = {
    "unknown key": ('rate = "1/s"', "unknown key", "rate_hz"),
    "unknown key in a table": ('[source]\narea = "1cm2"', "unknown key", "area_m2"),
    "length for area": ('[source]\narea_m2 = "10 cm"', "length", "10cm2"),
    "unitless rate": ("rate_hz = 3", "without a unit", "2/min"),
    "unknown choice": ('[sense]\nprocessor = "dozing"', "not one of", "pick one"),
    "no table": ('source = "indoor-light"', "table is expected", "[source]"),
    "not TOML": ("rate_hz = ", "not a TOML file", "toml.io"),
    "number for a name": ("device = 3", "str is expected", "found 3"),
}


@pytest.mark.parametrize(("text", "what", "hint"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_told_with_file_key_and_remedy(
    text: str, what: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ProfileError, match=what) as error:
        load_scenario(file)
    assert "mine.toml" in error.value.where
    assert hint in error.value.hint


def test_a_scenario_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no scenario 'hotwrd'") as error:
        load_scenario("hotwrd")
    assert "hotword" in error.value.hint
    with pytest.raises(ProfileError, match="cannot be read"):
        load_scenario(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError, match="not a TOML file"):
        load_scenario(binary)


NONSENSE = {
    "negative rate": (Scenario(rate_hz=-1.0), "above zero"),
    "present more than always": (Scenario(source=Source(present_ratio=1.5)), "more than all"),
    "second more than always": (Scenario(second=Second(ratio=2.0)), "more than all"),
    "negative gap": (Scenario(source=Source(gap_s=-1.0)), "below zero"),
}


@pytest.mark.parametrize(("over", "what"), NONSENSE.values(), ids=NONSENSE.keys())
def test_values_without_sense(over: Scenario, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        check(scenario=merged(load_scenario("hotword"), over))


def test_a_front_end_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no front end"):
        check("zoo:digits", device="efm32pg12", scenario=scenario_of({"features": "zoo:nothing"}))


def test_nothing_is_named() -> None:
    with pytest.raises(UsageError, match="no device") as error:
        check("zoo:digits")
    assert "--device" in error.value.hint
    with pytest.raises(UsageError, match="no model"):
        check(device="efm32pg12")


def test_units_of_the_file_are_those_of_the_command_line() -> None:
    assert parse(format(1e-3, "m2"), "area") == 1e-3
