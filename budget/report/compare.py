"""How a comparison looks."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget.api.compare import Cell, Comparison
from budget.report import text
from budget.report.console import err_console, out_console, print_json, print_notes
from budget.verdict import Status


def report_compare(comparison: Comparison, *, json: bool = False) -> None:
    """Prints one row for each combination, or one JSON document."""
    if json:
        print_json(comparison.to_json())
        return
    out_console().print(render(comparison))
    for error in dict.fromkeys(cell.error for cell in comparison.cells if cell.error):
        err_console().print(f"[dim]not judged:[/] {escape(error)}", soft_wrap=True)
    print_notes(comparison.model.notes)


def render(comparison: Comparison) -> Table:
    """The matrix, one combination a row; columns that never differ are left out."""
    cells = comparison.cells
    with_runtime = len({cell.runtime for cell in cells}) > 1
    with_source = any(cell.source for cell in cells)
    table = Table(title=comparison.model.name, title_justify="left", header_style="bold")
    table.add_column("device", no_wrap=True)
    if with_runtime:
        table.add_column("runtime")
    if with_source:
        table.add_column("source", no_wrap=True)
    for heading in ("latency", "energy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("missed")
    for cell in cells:
        row: list[str | Text] = [cell.device]
        row += [cell.runtime] if with_runtime else []
        row += [cell.source] if with_source else []
        table.add_row(*row, *_result(cell))
    return table


def _result(cell: Cell) -> list[str | Text]:
    if cell.check is None:
        return ["–", "–", Text("not judged", style="dim"), ""]
    check = cell.check
    missed = ", ".join(
        f"{constraint.name} {text.margin(constraint.margin_ratio)}"
        for constraint in check.constraints
        if constraint.status in {Status.FAIL, Status.UNSURE}
    )
    verdict = Text(text.VERDICT_TEXT[check.verdict], style=text.VERDICT_STYLE[check.verdict])
    return [
        text.middle(check.inference.latency),
        text.middle(check.inference.energy),
        verdict,
        missed,
    ]
