"""Autotuning: what it tries is right, kept, and used only when asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from budget.api.emit import emit


def test_what_was_tried_is_kept_and_never_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("capstone")
    from budget.core.build import find_compiler
    from budget.errors import MissingToolError
    from budget.tuning import autotune

    try:
        find_compiler(None)
    except MissingToolError:
        pytest.skip("no compiler for Cortex-M")
    monkeypatch.setenv("BUDGET_CACHE", str(tmp_path / "builds"))
    plain = emit("zoo:digits", None, target="cortex-m4", optimise="time")
    tuned = emit("zoo:digits", None, target="cortex-m4", optimise="time", autotune=True)
    assert not plain.manifest["autotuned"] and tuned.manifest["autotuned"]
    assert plain.program.choice is not None and tuned.program.choice is not None
    (kept,) = (tmp_path / "autotune").glob("time-*.json")
    before = kept.read_bytes()
    monkeypatch.setattr(autotune, "measure_steps", lambda *_: pytest.fail("measured again"))
    again = emit("zoo:digits", None, target="cortex-m4", optimise="time", autotune=True)
    assert again.files == tuned.files and kept.read_bytes() == before
