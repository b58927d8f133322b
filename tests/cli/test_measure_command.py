"""`budget measure` as a user types it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")


def run(cache: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    environment = {"COLUMNS": "80", "NO_COLOR": "1", "BUDGET_CACHE": str(cache)}
    environment["PATH"] = os.environ["PATH"] if path is None else path
    environment["HOME"] = os.environ.get("HOME", "/nonexistent")
    command = [sys.executable, "-m", "budget", "measure", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no Arm gcc")
def test_tables_json_and_two_side_by_side(tmp_path: Path) -> None:
    result = run(tmp_path, "zoo:digits", "--device", "stm32l4r5")
    assert result.returncode == 0, result.stderr
    for word in (
        "cycles",
        "waiting for flash",
        "latency",
        "energy",
        "stack",
        "bit-exact",
        "layers",
    ):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    both = run(tmp_path, "zoo:digits", "--against", "zoo:digits")
    assert "1.000" in both.stdout and "side by side" in both.stdout
    compared = json.loads(run(tmp_path, "zoo:digits", "--against", "zoo:digits", "--json").stdout)
    assert compared["cycles_ratio"] == 1
    assert f"{round(compared['cycles']['value']):,}" in both.stdout


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no Arm gcc")
def test_functions_of_any_program(tmp_path: Path) -> None:
    from budget.core.build import build

    source = b"int work(void) { int s = 0; for (int i = 0; i < 9; i++) s ^= i * i; return s; }"
    program = tmp_path / "work.elf"
    program.write_bytes(build({"a.c": source}, "cortex-m4", keep=("work",)).data)
    result = run(tmp_path, str(program), "--symbol", "work")
    assert result.returncode == 0, result.stderr
    assert "functions" in result.stdout and "work" in result.stdout
    wrong = run(tmp_path, str(program), "--symbol", "play")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ") and "hint: functions: work" in wrong.stderr


def test_flags_with_an_open_quotation_are_refused() -> None:
    from budget.cli.measure import _words
    from budget.errors import UsageError

    assert _words("-O3 '-DNAME=a b'") == ["-O3", "-DNAME=a b"]
    with pytest.raises(UsageError, match="cannot be divided"):
        _words("'-O3")


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path) -> None:
    result = run(tmp_path, "zoo:digits", "--compiler", "gcc", path="")
    assert result.returncode == 5
    assert "pip install 'mcu-budget[measure]'" in result.stderr


@pytest.mark.slow
def test_hotword_from_a_warm_cache_without_an_arm_toolchain(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    first = run(tmp_path, "zoo:hotword", path="")
    assert first.returncode == 0, first.stderr
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = run(tmp_path, "zoo:hotword", path="")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time: how long a busy machine takes for it says nothing
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
    assert again.stdout == first.stdout
    assert "ziglang" in again.stdout
