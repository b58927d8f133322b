"""How a ledger looks: each step's energy, time and share, as bars."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from budget import units
from budget.report import text
from budget.scenario.ledger import Ledger

_BAR_WIDTH = 16


def render_ledger(ledger: Ledger, *, wide: bool = False) -> Group:
    """One row for each entry and one for the sum.

    Args:
        ledger: at a single rate.
        wide: name what does each step, too.
    """
    rate = float(ledger.rate_hz)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=0)
    table.add_column("step", no_wrap=True)
    if wide:
        table.add_column("by", style="dim", no_wrap=True)
    table.add_column("energy a cycle", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    for entry in ledger.entries:
        share = float(ledger.share_ratio(entry))
        row = [entry.name] + ([entry.detail] if wide else [])
        row += [
            text.interval(entry.interval),
            text.middle(entry.time),
            f"{share:6.1%} {text.bar(share, _BAR_WIDTH)}",
        ]
        table.add_row(*row)
    line = Text(" sum ", style="bold")
    line.append(f"{text.interval(ledger.energy)} every {units.format(1 / rate, 's')}: ")
    line.append(f"{text.interval(ledger.average)} on average")
    return Group(table, line)
