"""The whole of a check must grow in proportion to the model: in calls made, and in seconds."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from counted_calls import calls_made

sys.path.insert(0, str(Path(__file__).parent))

import scale

from budget.api.check import check

RUNTIMES = ("budget-c", "tflm-cmsis-nn")
ATTEMPTS = 4
LONGEST_RATIO = 15  # for eight times the operators, on a busy machine too; a square would take 64


def checks(path: Path, *runtimes: str) -> None:
    """Whole checks, on a device that no such graph fits: remedies are sought, too."""
    for runtime in runtimes:
        check(path, device="stm32u575", runtime=runtime, rate_hz=1000.0).to_json()


def seconds_taken(path: Path) -> float:
    """Processor time of a check by this process."""
    start = time.process_time()
    checks(path, "budget-c")
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*scale.SHAPES, "graphdef"])
def test_twice_the_operators_are_twice_the_work(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "WIDTH", 50)

    def calls(count: int) -> int:
        path = scale.write(shape, count, tmp_path)
        return calls_made(lambda: checks(path, *RUNTIMES))

    calls(100)  # imports, profiles
    assert calls(800) <= scale.MAX_RATIO * calls(400)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*scale.SHAPES, "graphdef"])
def test_eight_times_the_operators_take_eight_times_as_long(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sees work that makes no calls; other programs disturb some attempts, never all."""
    monkeypatch.setattr(scale, "WIDTH", 50)
    small, large = (scale.write(shape, count, tmp_path) for count in (1000, 8000))
    seconds_taken(small)  # imports, profiles
    ratios = []
    for _ in range(ATTEMPTS):
        short_s = seconds_taken(small)
        ratios.append(seconds_taken(large) / short_s)
        if ratios[-1] <= LONGEST_RATIO:
            return
    pytest.fail(f"{ratios} times as long")


def test_files_hold_as_many_operators_as_they_claim(tmp_path: Path) -> None:
    from budget.readers import load

    for shape in (*scale.SHAPES, "graphdef"):
        graph = load(scale.write(shape, 1200, tmp_path))
        assert 1200 <= len(graph.nodes) <= 1202
