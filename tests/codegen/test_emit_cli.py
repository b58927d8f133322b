"""`budget emit` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def run(*arguments: str, width: int = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "budget", "emit", *arguments],
        capture_output=True,
        text=True,
        env={"COLUMNS": str(width), "PATH": "", "HOME": "/nonexistent", "NO_COLOR": "1"},
    )


def test_tells_what_was_written(tmp_path: Path) -> None:
    result = run("zoo:hotword", "-o", str(tmp_path / "out"), "--target", "cortex-m4")
    assert result.returncode == 0, result.stderr
    for word in ("flash", "RAM", "MACs", "steps", "arena", "rounding", "TensorFlow Lite"):
        assert word in result.stdout
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or str(path.relative_to(tmp_path / "out")) in result.stdout


@pytest.mark.parametrize("width", [80, 120])
def test_table_keeps_the_width(tmp_path: Path, width: int) -> None:
    lines = run("zoo:digits", "-o", str(tmp_path), width=width).stdout.splitlines()
    assert lines
    assert max(map(len, lines)) <= width


def test_json_is_one_document(tmp_path: Path) -> None:
    result = run("zoo:hotword", "-o", str(tmp_path), "--rounding", "tflm", "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert document["command"] == "emit"
    assert document["manifest"]["rounding"] == "tflm"
    assert document["manifest"] == json.loads((tmp_path / "hotword.json").read_text())
    assert document["files"] == {
        str(path.relative_to(tmp_path)): path.stat().st_size
        for path in tmp_path.rglob("*")
        if path.is_file()
    }


def test_warns_loudly_without_representative_data(tmp_path: Path) -> None:
    result = run("zoo:digits_cnn", "-o", str(tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    assert "WARNING" in result.stderr
    assert "--data" in result.stderr
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((4, 8, 8, 1), np.float32))
    given = run("zoo:digits_cnn", "-o", str(tmp_path / "out"), "--data", str(tmp_path / "x.npy"))
    assert given.returncode == 0, given.stderr
    assert "WARNING" not in given.stderr


def test_errors_have_a_hint_and_a_status(tmp_path: Path) -> None:
    result = run("zoo:hotword", "-o", str(tmp_path), "--name", "while")
    assert result.returncode == 2
    assert "hint:" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
