"""The chain from a result back to its sources."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from budget import units
from budget.hardware.figure import Figure, Kind


def render_figures(figures: Sequence[Figure]) -> Group:
    """Every figure used, with value, interval, kind and place, and the references behind them."""
    table = Table(title="figures used", title_justify="left", header_style="bold")
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right")
    table.add_column("90 % interval", justify="right")
    table.add_column("kind")
    table.add_column("source", overflow="fold")
    titles: dict[str, str] = {}
    for figure in sorted(figures, key=lambda f: f.key):
        source = "you"
        if figure.reference is not None:
            url = f" <{figure.reference.url}>" if figure.reference.url else ""
            titles[figure.reference.id] = f"{figure.reference.title}{url}"
            source = ", ".join(part for part in (figure.reference.id, figure.where) if part)
        style = "yellow" if figure.kind >= Kind.RECALLED else ""
        table.add_row(
            escape(figure.key),
            units.format(figure.value, figure.unit),
            f"{units.format(figure.low, figure.unit)} – {units.format(figure.high, figure.unit)}",
            f"[{style}]{figure.kind}[/]" if style else str(figure.kind),
            escape(source + (f"; at {figure.at}" if figure.at else "")),
        )
    references = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    references.add_column(style="dim", no_wrap=True)
    references.add_column()
    for id, title in sorted(titles.items()):
        references.add_row(id, escape(title))
    return Group(table, references)
