"""How the guesses of a model look."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from budget.api.run import Run
from budget.report.console import out_console, print_json


def report_run(result: Run, *, json: bool = False) -> None:
    """Prints the best guesses for each example, or one JSON document."""
    if json:
        print_json(result.to_json())
        return
    for item in result.results:
        table = Table(
            title=f"{escape(result.name)}: {escape(item.example)}",
            title_justify="left",
            header_style="bold",
        )
        has_labels = any(guess.label for guess in item.guesses)
        if has_labels:
            table.add_column("label", overflow="fold")
        table.add_column("class", justify="right")
        table.add_column("score", justify="right")
        for guess in item.guesses:
            cells = (str(guess.index), f"{guess.score:.6g}")
            table.add_row(*((escape(guess.label), *cells) if has_labels else cells))
        out_console().print(table)
