"""Figures in prose are those of the tables and computations that they come from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from budget.plan import plan
from budget.readers import load
from budget.transforms.lower import lower

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("benchmarks", "plan")]
README = (ROOT / "README.md").read_text()
PROSE = " ".join(README.split())
NETWORKS = {"keywords": "kws", "wake words": "vww", "images": "ic", "anomalies": "ad"}


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """First cell → other cells of the table under a row of headings."""
    lines = page[page.index(heading) :].splitlines()[2:]
    found = {}
    for line in lines:
        if not line.startswith("|"):
            break
        first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
        found[first] = rest
    return found


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


def documented() -> dict[str, dict[str, float]]:
    """Cycles by model and column, as docs/kernel_cycles.md has them in full."""
    page = (ROOT / "docs" / "kernel_cycles.md").read_text()
    heads = ("time", "balanced", "TFLM", "time, 5", "balanced, 5", "silicon")
    found = {
        model: dict(zip(heads, map(number, cells), strict=True))
        for model, cells in rows(page, "| model | time | balanced |").items()
    }
    for model, cells in rows(page, "| model | size | size, 5").items():
        found[model] |= {"size": number(cells[0]), "size, 5": number(cells[1])}
    return found


def test_cycles_are_those_of_the_full_table() -> None:
    order = ("time", "balanced", "size", "TFLM", "time, 5", "balanced, 5", "silicon")
    full = documented()
    for network, cells in rows(README, "| network | `time` |").items():
        told = full[NETWORKS[network]]
        assert [number(cell) for cell in cells] == [
            pytest.approx(told[column] / 1e6, rel=0.005) for column in order
        ]


def test_others_cycles_are_those_of_their_file() -> None:
    from cycles import SILICON, peers

    for model, told in documented().items():
        least = min(row.cycles or 0 for row in peers(model, every=True) if "CMSIS" in row.runtime)
        assert told["TFLM"] == least
        assert told["silicon"] == SILICON[model]
        beaten = {"kws": True, "vww": True, "ic": True, "ad": False}[model]
        assert (told["time, 5"] < told["silicon"]) is beaten
    assert "Anomalies, whose weights are read once each, miss silicon's figure" in PROSE


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["time", "balanced", "size"])
@pytest.mark.parametrize("model", ["kws", "ad"])
def test_our_cycles_are_measured_as_told(models: Path, model: str, mode: str) -> None:
    pytest.importorskip("unicorn")
    from cycles import DEVICE

    from budget.api.measure import measure
    from budget.errors import MissingToolError

    told = documented()[model]
    path = models / f"{model}_int8.tflite"
    try:
        plain = measure(path, core="cortex-m4", optimise=mode, compiler="gcc")
    except MissingToolError:
        pytest.skip("no arm-none-eabi-gcc")
    waited = measure(path, device=DEVICE, optimise=mode, compiler="gcc")
    assert plain.bit_exact and waited.bit_exact
    assert (plain.count.cycles, int(waited.cycles.value)) == (told[mode], told[f"{mode}, 5"])


def test_silicon_over_the_virtual_core() -> None:
    page = (ROOT / "docs" / "virtual_core.md").read_text()
    found = rows(page, "| code | at zero wait states")
    integer, zero = [], []
    for name, (at_zero, at_five, silicon, ratio) in found.items():
        assert number(silicon) / number(at_five) == pytest.approx(number(ratio), abs=0.001)
        if "floating" in name:
            assert f"{100 * (1 - number(ratio)):.0f} % less for one in floating point" in PROSE
        else:
            integer.append(number(ratio))
            zero.append(number(silicon) / number(at_zero))
    assert len(integer) == 7
    less, more = 100 * (1 - min(integer)), 100 * (max(integer) - 1)
    assert f"between {less:.0f} % less and {more:.0f} % more for seven integer networks" in PROSE
    low, high = (100 * (bound(zero) - 1) for bound in (min, max))
    assert f"silicon took {low:.0f} to {high:.0f} % more for those seven" in PROSE


def test_arenas_that_others_need_are_predicted_as_told(models: Path) -> None:
    from test_tflm_arena import ON_CORTEX_M4

    for model, (_, used) in ON_CORTEX_M4.items():
        graph = lower(load(models / f"{model}_int8.tflite"))
        predicted = plan(graph, runtime="tflm-cmsis-nn").arena_bytes
        assert abs(predicted / used - 1) < 0.01
        exact = f"{model} {used:,} B" if predicted == used else f"{model} {predicted:,} of {used:,}"
        assert exact in PROSE
