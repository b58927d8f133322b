"""How the steps of a transformation look."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from budget import units
from budget.api.transform import Change, Price, Transformation
from budget.report.console import err_console, out_console, print_json, print_notes


def report_transformation(result: Transformation, *, json: bool = False) -> None:
    """Prints a row for each step, or one JSON document; notes and failures on standard error."""
    if json:
        print_json(result.to_json())
        return
    table = Table(title=result.name, title_justify="left", header_style="bold")
    table.add_column("step", overflow="fold")
    for heading in ("nodes", "weights", "compressed", "largest change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("as read", *_price(result.before), "")
    for step in result.steps:
        name = f"{escape(step.text)} [dim](failed, ignored)[/]" if step.error else escape(step.text)
        table.add_row(name, *_price(step.price), _change(step.change))
    out_console().print(table)
    notes = []
    for step in result.steps:
        if step.error:
            notes.append(f"{step.text}: {step.error}")
        notes += [f"{step.text}: {note}" for note in step.notes]
        if step.change is not None and step.change.reason:
            notes.append(f"{step.text}: outputs not compared: {step.change.reason}")
    print_notes(tuple(dict.fromkeys(notes)))
    if result.failure:
        err_console().print(f"[bold]nothing was written:[/] {escape(result.failure)}")


def _price(price: Price) -> tuple[str, str, str]:
    return (
        f"{price.node_count:,}",
        units.format(price.weight_bytes, "bytes"),
        units.format(price.compressed_bytes, "bytes"),
    )


def _change(change: Change | None) -> str:
    if change is None or change.absolute is None:
        return "not compared"
    return "none" if change.absolute == 0 else f"{change.absolute:.2g}"
