"""What summaries and checks say of channels that are the same for every input."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from budget.analysis.costs import total_cost
from budget.api.check import check
from budget.api.summarize import summarize
from budget.report import check as check_report
from budget.report import text


def test_a_summary_tells_what_could_go() -> None:
    summary = summarize("zoo:tiny-vww")
    document = summary.to_json()["constant_channels"]
    assert 0 < document["removable"] < document["channels"]
    assert document["macs"] == total_cost(summary.model.graph).macs == summary.program.cost.macs
    assert document["macs_left"] < document["macs"] / 2
    assert document["weight_bytes_left"] < document["weight_bytes"] / 2
    line = text.removable(summary.removable)
    assert f"{document['removable']:,} of {document['channels']:,} removable" in line


@pytest.mark.parametrize(
    ("runtime", "removed"), [("tflm-cmsis-nn", False), ("x-cube-ai", True), ("plumerai", True)]
)
def test_a_check_counts_what_its_runtime_keeps(runtime: str, removed: bool) -> None:
    found = check("zoo:tiny-vww", device="stm32l4r5", runtime=runtime)
    document = found.to_json()["constant_channels"]
    assert document["removed"] is removed
    assert found.program.cost.macs == document["macs_left" if removed else "macs"]
    output = StringIO()
    Console(file=output, width=100).print(check_report.render(found))
    assert "constant channels" in output.getvalue()
    assert ("removed" if removed else "kept by this runtime") in output.getvalue()


def test_nothing_is_said_where_there_is_nothing() -> None:
    found = check("zoo:tiny-ad", device="stm32l4r5")
    assert found.removable.removable_count == 0
    output = StringIO()
    Console(file=output, width=100).print(check_report.render(found))
    assert "constant channels" not in output.getvalue()
