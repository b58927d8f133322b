"""How the list of operators looks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from budget.api.operators import OperatorEntry
from budget.graph import DType
from budget.report.console import out_console, print_json
from budget.report.names import Parts

_TYPES = (DType.FLOAT32, DType.INT8, DType.INT16)


def report_operators(entries: Sequence[OperatorEntry], *, json: bool = False) -> None:
    """Prints one row for each operator, or one JSON document."""
    if json:
        operators = [
            {
                "name": entry.facets.name,
                "summary": entry.facets.summary,
                "witnesses": {t.value: entry.facets.witnesses.get(t) for t in _TYPES},
                "cases": entry.facets.case_count,
                "emit": entry.can_emit,
            }
            for entry in entries
        ]
        print_json({"schema": 1, "command": "ops", "operators": operators})
        return
    table = Table(
        title="operators, and the program that checks each",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.title_justify = "left"
    table.add_column("operator", no_wrap=True)
    table.add_column("what it does")
    for dtype in _TYPES:
        table.add_column(dtype.value, no_wrap=True)
    table.add_column("C", no_wrap=True)
    for entry in entries:
        cells = [entry.facets.witnesses.get(dtype, "–") for dtype in _TYPES]
        emit = "yes" if entry.can_emit else "–"
        table.add_row(entry.facets.name, Parts(entry.facets.summary), *cells, emit)
    out_console().print(table)
