"""Commands as a user types them: output, JSON, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOTWORD = ["check", "zoo:hotword", "--device", "efm32pg12", "--rate", "1/s"]
INDOORS = [*HOTWORD, "--source", "indoor-light", "--area", "10cm2"]


def run(*arguments: str, width: int = 80) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a shell would run it."""
    return subprocess.run(
        [sys.executable, "-m", "budget", *arguments],
        capture_output=True,
        text=True,
        env={"COLUMNS": str(width), "PATH": "", "HOME": "/nonexistent", "NO_COLOR": "1"},
    )


def test_check_prints_every_constraint_and_a_verdict() -> None:
    result = run(*INDOORS)
    assert result.returncode in {0, 1, 6}, result.stderr
    for word in ("MACs", "weights", "arena", "flash", "RAM", "deadline", "average power", "binds"):
        assert word in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_tables_keep_the_width(width: int) -> None:
    for arguments in (INDOORS, ["devices"], ["summarize", "zoo:hotword", "--per-layer"]):
        lines = run(*arguments, width=width).stdout.splitlines()
        assert lines
        assert max(map(len, lines)) <= width


def test_json_is_one_document_with_stable_names() -> None:
    result = run(*INDOORS, "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert document["command"] == "check"
    assert document["verdict"] in {"fits", "does-not-fit", "too-close-to-call"}
    names = [constraint["name"] for constraint in document["constraints"]]
    assert names == ["flash", "ram", "deadline", "power"]
    for quantity in (*document["inference"].values(), document["constraints"][0]["need"]):
        if isinstance(quantity, dict):
            assert set(quantity) == {"value", "low", "high", "unit", "kind", "references"}
    codes = {"fits": 0, "does-not-fit": 1, "too-close-to-call": 6}
    assert result.returncode == codes[document["verdict"]]


def test_no_colour_where_there_is_no_terminal() -> None:
    assert "\x1b" not in run(*INDOORS).stdout


def test_explain_names_sources() -> None:
    output = run(*INDOORS, "--explain", width=120).stdout
    assert "figures used" in output
    assert "Data Sheet" in output


def test_compare_marks_each_device() -> None:
    result = run("compare", "zoo:digits", "--devices", "efm32pg12,stm32l072", "--rate", "1/s")
    assert "efm32pg12" in result.stdout and "stm32l072" in result.stdout
    assert result.returncode in {0, 1, 6}


@pytest.mark.parametrize(
    "command", ["devices", "sources", "converters", "storage", "radios", "sensors", "runtimes"]
)
def test_profiles_are_listed_and_shown(command: str) -> None:
    listed = json.loads(run(command, "--json").stdout)["profiles"]
    assert listed
    page = run(command, listed[0]["id"])
    assert page.returncode == 0, page.stderr
    assert listed[0]["id"] in page.stdout


def test_operators_are_listed_with_their_witness() -> None:
    listed = json.loads(run("ops", "--json").stdout)["operators"]
    assert {"conv_2d", "softmax", "layer_norm"} <= {entry["name"] for entry in listed}
    assert all(any(entry["witnesses"].values()) for entry in listed)
    assert "conv_2d" in run("ops").stdout


def test_version_and_help() -> None:
    assert run("--version").stdout.startswith("budget ")
    for command in ("check", "compare", "summarize", "devices"):
        output = run(command, "--help").stdout
        assert "Example" in output


ERRORS = {
    "missing file": (["check", "nowhere.tflite", "--device", "efm32pg12"], 3, "nowhere.tflite"),
    "unknown device": (["check", "zoo:hotword", "--device", "efm33"], 4, "efm33"),
    "unknown zoo model": (["check", "zoo:nothing", "--device", "efm32pg12"], 2, "nothing"),
    "wrong unit": ([*HOTWORD, "--source", "indoor-light", "--area", "10 cm"], 2, "area"),
    "source without rate": (
        ["check", "zoo:hotword", "--device", "efm32pg12", "--source", "indoor-light"],
        2,
        "--rate",
    ),
    "area without source": ([*HOTWORD, "--area", "10cm2"], 2, "--source"),
    "negative rate": (
        ["check", "zoo:hotword", "--device", "efm32pg12", "--rate", "0/s"],
        2,
        "zero",
    ),
    "bad shape": ([*HOTWORD, "--input-shape", "1,x"], 2, "shape"),
    "unknown precision": ([*HOTWORD, "--precision", "int4"], 2, "int8"),
    "precision of a quantised file": ([*HOTWORD, "--precision", "float32"], 2, "float"),
}


@pytest.mark.parametrize(("arguments", "code", "word"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_say_what_where_and_what_to_do(arguments: list[str], code: int, word: str) -> None:
    result = run(*arguments)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("error: ")
    assert "\nhint: " in result.stderr
    assert word in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_truncated_model(tmp_path: Path) -> None:
    from budget import zoo

    shipped = zoo.shipped_path("hotword")
    assert shipped is not None
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(shipped.read_bytes()[:5000])
    result = run("check", str(cut), "--device", "efm32pg12")
    assert result.returncode == 3
    assert result.stderr.startswith("error: cut.tflite")
    assert "Traceback" not in result.stderr


def test_every_module_registers_the_commands_it_is_listed_with() -> None:
    from budget.cli import app

    for module, names in app._MODULES.items():
        for name in names:
            registered = app.application([name]).registered_commands
            found = {command.name or command.callback.__name__ for command in registered}
            assert set(names) == found, module
    assert len(app.application().registered_commands) == sum(map(len, app._MODULES.values()))
