"""The whole of a check must grow in proportion to the model: calls are counted, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import scale

from budget.api.check import check
from budget.writers.tflite import write_tflite


def calls_made(run: Callable[[], object]) -> int:
    """Function calls, built-in ones included."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("shape", list(scale.SHAPES))
def test_twice_the_operators_are_twice_the_work(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "WIDTH", 50)

    def calls(count: int) -> int:
        path = tmp_path / f"{count}.tflite"
        write_tflite(scale.SHAPES[shape](count), path)
        return calls_made(lambda: check(path, device="stm32u575", rate_hz=1.0).to_json())

    calls(100)  # imports, profiles
    assert calls(800) <= scale.MAX_RATIO * calls(400)


def test_files_hold_as_many_operators_as_they_claim(tmp_path: Path) -> None:
    from budget.readers import load

    for shape in (*scale.SHAPES, "graphdef"):
        graph = load(scale.write(shape, 1200, tmp_path))
        assert 1200 <= len(graph.nodes) <= 1202
