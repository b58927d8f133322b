"""How the cost of a change looks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.against import Change, Comparison
from budget.report import text
from budget.report.console import out_console
from budget.report.names import OneLine

_COLUMNS = (
    ("MACs", "macs", ""),
    ("weights", "weight_bytes", "bytes"),
    ("RAM", "live_bytes", "bytes"),
    ("cycles", "cycles", "cycles"),
    ("energy", "energy", "J"),
)


def report_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Prints, for each entry, what it needs before and after, and the layers that changed."""
    console = out_console()
    for comparison in comparisons:
        if comparison.name:
            console.print(Text(comparison.name, style="bold"))
        console.print(_needs(comparison))
        changed = [layer for layer in comparison.layers if layer.is_change]
        if changed:
            console.print(_layers(changed))
        same = len(comparison.layers) - len(changed)
        console.print(Text(f"{len(changed)} layers changed, {same} did not", style="dim"))
    if not comparisons:
        console.print("nothing to compare: no entry has the name of an old one")


def _needs(comparison: Comparison) -> Table:
    before, after = comparison.verdicts
    title = f"{before} → {after}" if before != after else f"{after}, as before"
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("needs")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    for name, unit, old, new in comparison.needs:
        row = ["–" if v is None else units.format(v, unit) for v in (old, new)]
        table.add_row(escape(text.constraint_name(name)), *row, _change(old, new))
    return table


def _layers(changed: Sequence[Change]) -> Table:
    table = Table(header_style="bold")
    table.add_column("layer")
    table.add_column("operator")
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in changed:
        cells = []
        for _, key, unit in _COLUMNS:
            old = None if layer.before is None else layer.before.get(key)
            new = None if layer.after is None else layer.after.get(key)
            if old == new:
                cells.append("")
            elif old is None or new is None:
                sign, value = ("+", new) if old is None else ("-", old)
                cells.append(sign + (units.format(value or 0.0, unit) if unit else f"{value:,.0f}"))
            else:
                cells.append(_change(old, new))
        mark = "+ " if layer.before is None else "- " if layer.after is None else ""
        name = OneLine(mark + text.layer_name(layer.name))
        table.add_row(name, OneLine(layer.operator), *cells)
    return table


def _change(old: float | None, new: float | None) -> str:
    if old is None or new is None:
        return "new" if old is None else "gone"
    if old == new:
        return "="
    if not old:
        return "new"
    return f"×{new / old:.3g}" if new >= 2 * old else f"{new / old - 1:+.1%}"
