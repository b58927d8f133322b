"""Commands about a device's life as a user types them: output, width, JSON, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEVICE = ["--device", "efm32pg12"]
LIFE = ["zoo:hotword", *DEVICE, "--rate", "1/s"]
HARVEST = ["harvest", *LIFE, "--area", "10cm2"]
COMMANDS = {
    "harvest": HARVEST,
    "harvest with a converter": [*HARVEST, "--converter", "bq25570", "--storage", "supercap-7.5f"],
    "scenario": ["check", "--scenario", "pest-spotting"],
    "life": ["check", *LIFE, "--storage", "cr2032", "--life", "1year"],
    "supply": ["check", *LIFE, "--supply", "ldo", "--voltage", "3.0V"],
    "solve": ["solve", *LIFE, "--for", "area", "--source", "indoor-light"],
    "solve for two": [
        *("solve", *LIFE, "--for", "area,storage", "--source", "indoor-light", "--gap", "14h"),
    ],
    "transmit": ["transmit", *LIFE, "--features", "zoo:hotword", "--messages", "1%"],
    "intermittent": ["intermittent", *LIFE, "--storage", "4.7mF:3.3V:1.8V", "--source", "1mW"],
    "never ends": ["intermittent", *LIFE, "--storage", "1uF:3.3V:1.8V", "--source", "1nW"],
    "checkpoints": ["checkpoints"],
    "scenarios": ["scenarios"],
}


def run(*arguments: str, width: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "budget", *arguments],
        capture_output=True,
        text=True,
        env={"COLUMNS": str(width), "PATH": "", "HOME": "/nonexistent", "NO_COLOR": "1"},
    )


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_tables_keep_to_eighty_columns_and_lose_nothing(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode in {0, 1, 6}, result.stderr
    assert result.stdout and "Traceback" not in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    if arguments[0] != "scenarios":
        assert "…" not in result.stdout


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_json_is_one_document(arguments: list[str]) -> None:
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["schema"] == 1


def test_every_source_has_a_row_and_a_verdict() -> None:
    result = run(*HARVEST)
    for name in (
        "human-vibration",
        "industrial-thermal",
        "indoor-light",
        "wifi-rf",
        "silicon-200lx",
    ):
        (row,) = (line for line in result.stdout.splitlines() if line.startswith(f" {name} "))
        assert row.split()[-1] in {"fits", "no", "close"}
    assert "no converter is named" in result.stderr
    assert "nearest miss" in result.stdout
    for heading in ("sustains", "for 1/s", "first", "storage", "gap"):
        assert heading in result.stdout


def test_a_ledger_is_printed_with_its_sum() -> None:
    output = run(*COMMANDS["scenario"]).stdout
    for step in ("sleep", "sense", "infer", "second", "transmit", "conversion", "leakage", "sum"):
        assert f"\n {step}" in output
    document = json.loads(run(*COMMANDS["scenario"], "--json").stdout)
    ledger = document["ledger"]
    total = sum(entry["energy"]["value"] for entry in ledger["entries"])
    assert total == pytest.approx(ledger["energy"]["value"], rel=1e-12)
    power = next(c for c in document["constraints"] if c["name"] == "power")
    assert power["need"]["value"] == ledger["average"]["value"]


def test_a_solution_is_a_quantity() -> None:
    document = json.loads(run(*COMMANDS["solve"], "--json").stdout)
    assert set(document["solution"]) == {"value", "low", "high", "unit", "kind", "references"}
    assert document["solution"]["unit"] == "m2" and document["found"]


def test_the_article_s_energy_per_multiply_add() -> None:
    arguments = ("--for", "energy-per-mac", "--rate", "1/s", "--source", "10uW/cm2")
    output = run("solve", "7.5MMAC", *arguments, "--area", "10cm2").stdout
    assert "13 pJ/MAC" in output
    assert "67 fJ/MAC" in run("solve", "1.5GMAC", *arguments, "--area", "10cm2").stdout


def test_a_scenario_is_written_and_read(tmp_path: Path) -> None:
    file = str(tmp_path / "mine.toml")
    first = run(
        *COMMANDS["harvest"], "--sensor", "t5838", "--sense", "1s", "--write-scenario", file
    )
    again = run("harvest", "--scenario", file)
    assert again.stdout == first.stdout
    assert run("scenarios", file).stdout.startswith('id = "mine"')
    assert json.loads(run("scenarios", file, "--json").stdout)["scenario"]["rate_hz"] == 1.0


def test_a_name_without_a_number_is_no_secret() -> None:
    assert "bq25570" in run(*HARVEST, "--converter", "bq25570").stdout


ERRORS = {
    "length for area": ([*HARVEST[:-1], "10cm"], 2, "10cm2"),
    "power for energy per mac": (
        ["solve", "1MMAC", "--for", "rate", "--device", "3W"],
        2,
        "--source",
    ),
    "area without rate": (["harvest", "zoo:hotword", *DEVICE, "--area", "1cm2"], 2, "--rate"),
    "storage without rate": (["check", "zoo:hotword", *DEVICE, "--storage", "cr2032"], 2, "--rate"),
    "primary under a source": (
        ["check", *LIFE, "--source", "1mW", "--storage", "cr2032"],
        2,
        "rechargeable",
    ),
    "life with a source": (
        ["check", *LIFE, "--source", "1mW", "--storage", "vl2020", "--life", "1year"],
        2,
        "--source",
    ),
    "life without storage": (["check", *LIFE, "--life", "1year"], 2, "--storage"),
    "payload without radio": (["check", *LIFE, "--payload", "4B"], 2, "--radio"),
    "sensing without sensor": (["check", *LIFE, "--sense", "1s"], 2, "--sensor"),
    "converter without source": (["check", *LIFE, "--converter", "bq25570"], 2, "--source"),
    "unknown scenario": (["check", "--scenario", "hotwurd"], 4, "hotword"),
    "unknown supply": (["check", *LIFE, "--supply", "smps"], 4, "ldo"),
    "a folder to write to": (["check", *LIFE, "--write-scenario", "/"], 2, "folder"),
    "no unknown": (["solve", *LIFE, "--for", "price"], 2, "area"),
    "battery for a capacitor": (["intermittent", *LIFE, "--storage", "cr2032"], 2, "470uF"),
    "unknown checkpoint memory": (
        ["intermittent", *LIFE, "--storage", "1mF:3V:2V", "--checkpoints", "mram"],
        4,
        "fram",
    ),
}


@pytest.mark.parametrize(("arguments", "code", "word"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_say_what_where_and_what_to_do(arguments: list[str], code: int, word: str) -> None:
    result = run(*arguments)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("error: ") and "\nhint: " in result.stderr
    assert word in result.stderr
    assert result.stdout == ""
