"""The table of cycles: what others need is read as it is, and targets can be missed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cycles import SILICON, TARGETS, Row, baseline, missed, peers


@pytest.mark.parametrize("model", SILICON)
def test_peers_come_fastest_first_with_version_and_instructions(model: str) -> None:
    rows, every = peers(model), peers(model, every=True)
    cycles = [row.cycles or 0 for row in rows]
    assert cycles == sorted(cycles) and len(rows) < len(every)
    assert all((row.instructions or 0) < (row.cycles or 0) for row in every)
    assert all("(" in row.runtime and row.outputs for row in every)
    assert len({row.runtime for row in every}) >= 5
    assert min(row.cycles or 0 for row in every if "CMSIS" in row.runtime) <= baseline(model)


def test_what_is_slow_or_wrong_is_told() -> None:
    good = Row("kws", "budget", "time", 3_000_000, 4_000_000, 2_000_000, "exact")
    assert missed([good]) == []
    assert len(missed([replace(good, cycles=int(TARGETS["kws"]) + 1)])) == 1
    assert len(missed([replace(good, cycles=baseline("kws"))])) == 2
    assert "silicon" in missed([replace(good, waited_cycles=6_000_000)])[0]
    assert "wrong" in missed([replace(good, outputs="WRONG")])[0]
