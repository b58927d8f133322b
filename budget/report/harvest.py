"""How a comparison of energy sources looks."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from budget import units
from budget.api.harvest import Harvest, Row
from budget.hardware.figure import Quantity
from budget.report import text
from budget.report.console import out_console, print_json, print_notes
from budget.report.ledger import render_ledger
from budget.verdict import Status, Verdict

_SHORT = {Verdict.FITS: "fits", Verdict.DOES_NOT_FIT: "no", Verdict.TOO_CLOSE: "close"}
_PER_SOURCE = ("power", "cold-start-voltage", "cold-start-power", "storage")


def report_harvest(harvest: Harvest, *, json: bool = False) -> None:
    """Prints the ledger and one row for each source, or one JSON document."""
    if json:
        print_json(harvest.to_json())
        return
    console = out_console()
    console.print(render(harvest, wide=console.width >= 100))
    print_notes(harvest.notes)


def render(harvest: Harvest, *, wide: bool = False) -> Group:
    """What the device takes, what every source gives, and what to do."""
    return Group(
        _headline(harvest),
        render_ledger(harvest.ledger, wide=wide),
        _sources(harvest, wide=wide),
        _legend(harvest),
        _conclusion(harvest),
    )


def _headline(harvest: Harvest) -> Text:
    question, estimated = harvest.question, harvest.estimate
    line = Text.assemble(
        (estimated.model.name, "bold"), " on ", (estimated.device.name, "bold"), ", "
    )
    line.append(units.format_rate(question.rate_hz or 0.0))
    if question.area_m2 is not None:
        line.append(f", {units.format(question.area_m2, 'm2')}")
    line.append(f", converter {question.converter.id if question.converter else 'none'}")
    line.append(f", storage {question.storage.id if question.storage else 'ideal'}")
    return line


def _sources(harvest: Harvest, *, wide: bool) -> Table:
    rate = harvest.question.rate_hz or 0.0
    converted = harvest.question.converter is not None
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=0)
    headings = ["power", *(["stored"] if converted else []), "sustains", f"for {_rate(rate)}"]
    headings += ["first", "storage", *(["gap"] if wide or not converted else [])]
    table.add_column("source", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    show = text.interval if wide else text.middle
    for row in harvest.rows:
        cells = {
            "power": show(row.harvested),
            "stored": show(row.charging),
            "sustains": _sustains(row.rate),
            f"for {_rate(rate)}": _area(row, harvest),
            "first": text.middle(row.first) if math.isfinite(float(row.first.value)) else "never",
            "storage": text.middle(row.storage),
            "gap": text.middle(row.gap),
        }
        style = text.VERDICT_STYLE[row.verdict]
        chosen = (cells[heading] for heading in headings)
        table.add_row(row.source.id, *chosen, Text(_SHORT[row.verdict], style=style))
    return table


def _rate(rate_hz: float) -> str:
    return units.format(rate_hz, "1/s")


def _sustains(rate: Quantity) -> str:
    value = float(rate.value)
    return "nothing" if value <= 0 else _rate(value)


def _area(row: Row, harvest: Harvest) -> str:
    if row.area is not None:
        value = float(row.area.value)
        return text.middle(row.area) if math.isfinite(value) else "none"
    need, have = harvest.ledger.average, row.charging
    pieces = float(need.value) / float(have.value) if float(have.value) > 0 else math.inf
    return f"{math.ceil(pieces)} pcs" if math.isfinite(pieces) else "none"


def _legend(harvest: Harvest) -> Text:
    rate = _rate(harvest.question.rate_hz or 0.0)
    when = "while the source is there"
    if float(harvest.question.present_ratio) < 1:
        when = f"if it is there {units.format(harvest.question.present_ratio, 'ratio')} of a day"
    lines = (
        f"sustains: highest rate {when} · for {rate}: area for that",
        "first: time from an empty storage · storage: to ride through the gap, the",
        "longest time to expect without the source · verdicts weigh 90 % intervals",
    )
    return Text("\n".join(lines), style="dim")


def _conclusion(harvest: Harvest) -> Text:
    line = Text()
    common = [
        constraint
        for constraint in harvest.rows[0].check.constraints
        if constraint.name not in _PER_SOURCE and constraint.status is Status.FAIL
    ]
    for constraint in common:
        line.append(f"{constraint.name} is missed with every source: ", style="bold red")
        line.append(
            f"needs {text.interval(constraint.need)}, has {text.interval(constraint.have)}\n"
        )
    for verdict, words in (
        (Verdict.FITS, "will do"),
        (Verdict.TOO_CLOSE, "too close to call"),
    ):
        names = [row.source.id for row in harvest.rows if row.verdict is verdict]
        if names:
            line.append(f"{words}: ", style=text.VERDICT_STYLE[verdict])
            line.append(", ".join(names) + "\n")
    missed = [row for row in harvest.rows if row.verdict is Verdict.DOES_NOT_FIT]
    if missed and not common:
        nearest = max(missed, key=lambda row: float(row.rate.value))
        line.append("nearest miss: ", style="bold")
        line.append(nearest.source.id)
        remedies = [remedy.text for remedy in nearest.check.remedies]
        if remedies:
            line.append(" needs " + ", or ".join(remedies))
        for constraint in nearest.check.constraints:
            if constraint.name.startswith("cold") and constraint.status is Status.FAIL:
                line.append(f"; it does not start from empty: {text.middle(constraint.have)} of ")
                line.append(text.middle(constraint.need))
        line.append("\n")
    line.rstrip()
    return line
