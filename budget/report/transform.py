"""How the steps of a transformation look."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.transform import Transformation
from budget.api.transform_price import Price
from budget.api.transform_witness import Change
from budget.report.console import err_console, out_console, print_json, print_notes
from budget.report.names import Parts


def report_transformation(result: Transformation, *, json: bool = False) -> None:
    """Prints a row for each step, or one JSON document; notes and failures on standard error."""
    if json:
        print_json(result.to_json())
        return
    prices = [result.before, *(step.price for step in result.steps)]
    shown = [item for item in _COLUMNS if any(item[1](price) for price in prices)]
    table = Table(title=result.name, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), pad_edge=False)  # fmt: skip
    table.add_column("step")
    for heading, _ in shown:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("change", justify="right", no_wrap=True)
    table.add_row("as read", *(cell(result.before) for _, cell in shown), "")
    for step in result.steps:
        lines: list[RenderableType] = [Parts(step.text)]
        if step.error:
            lines.append(Text("(failed, ignored)", "dim"))
        cells = [cell(step.price) for _, cell in shown]
        table.add_row(Group(*lines), *cells, _change(step.change))
    out_console().print(table)
    notes = []
    for step in result.steps:
        if step.error:
            notes.append(f"{step.text}: {step.error}")
        notes += [f"{step.text}: {note}" for note in step.notes]
        if step.change is not None and step.change.reason:
            notes.append(f"{step.text}: outputs not compared: {step.change.reason}")
        if step.price.reason:
            notes.append(f"{step.text}: MACs and arena are not known: {step.price.reason}")
    print_notes(tuple(dict.fromkeys(notes)))
    if result.failure:
        err_console().print(f"[bold]nothing was written:[/] {escape(result.failure)}")


def _bytes(value: int | None) -> str:
    return "" if value is None else units.format(value, "bytes")


_COLUMNS: tuple[tuple[str, Callable[[Price], str]], ...] = (
    ("nodes", lambda price: f"{price.node_count:,}"),
    ("weights", lambda price: _bytes(price.weight_bytes)),
    ("zip", lambda price: _bytes(price.compressed_bytes)),
    ("MACs", lambda price: "" if price.macs is None else units.format(price.macs, "")),
    ("arena", lambda price: _bytes(price.arena_bytes)),
    ("energy", lambda price: "" if price.energy is None
     else units.format(float(price.energy.value), "J")),
)  # fmt: skip


def _change(change: Change | None) -> str:
    if change is None or change.absolute is None:
        return "not compared"
    return "none" if change.absolute == 0 else f"{change.absolute:.2g}"
