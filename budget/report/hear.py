"""How answers to sound look."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from budget.api.hear import Hearing
from budget.report.console import out_console, print_json
from budget.report.names import Parts


def report_hearing(hearing: Hearing, *, json: bool = False) -> None:
    """Prints one row for each clip, or one JSON document."""
    if json:
        print_json(hearing.to_json())
        return
    title = f"{hearing.model.name} behind {hearing.front_end.name}"
    table = Table(title=escape(title), title_justify="left", header_style="bold")
    table.add_column("file")
    table.add_column("from", justify="right")
    table.add_column("answer")
    table.add_column("value", justify="right")
    for answer in hearing.answers:
        table.add_row(
            Parts(answer.file),
            f"{answer.start_s:g} s",
            escape(answer.label or f"output {answer.best}"),
            f"{answer.values[answer.best]:.3g}",
        )
    out_console().print(table)
