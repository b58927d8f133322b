"""How a gate looks: one table of all entries, and why those that fail do."""

from __future__ import annotations

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from budget.api.gate import Gate, Outcome
from budget.report import text
from budget.report.console import err_console, out_console, print_json
from budget.report.names import Parts
from budget.verdict import Constraint, Status


def report_gate(gate: Gate, *, json: bool = False) -> None:
    """Prints the table, or one JSON document."""
    if json:
        print_json(gate.to_json())
        return
    out_console().print(Group(_table(gate), *_reasons(gate), _last_line(gate)))
    for outcome in gate.outcomes:
        if outcome.check is not None:
            for note in outcome.check.notes:
                err_console().print(
                    f"[dim]note:[/] {escape(outcome.plan.name)}: {escape(note)}", soft_wrap=True
                )


def _table(gate: Gate) -> Table:
    table = Table(title=escape(gate.file), title_justify="left", header_style="bold")
    table.add_column("entry")
    for heading in ("flash", "RAM", "latency", "energy"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for outcome in gate.outcomes:
        amounts = ["–"] * 4
        if outcome.check is not None:
            inference = outcome.check.inference
            needs = {c.name: c.need for c in outcome.constraints}
            shown = (
                needs.get("flash") or inference.flash,
                needs.get("ram") or inference.ram,
                inference.latency,
                inference.energy,
            )
            amounts = [text.middle(quantity) for quantity in shown]
        table.add_row(Parts(outcome.plan.name), *amounts, _verdict(outcome))
    return table


def _verdict(outcome: Outcome) -> Text:
    if outcome.verdict is None:
        return Text("error", style="bold red")
    shown = text.VERDICT_TEXT[outcome.verdict]
    if outcome.verdict.exit_code == 6 and outcome.exit_code == 0:
        shown += " (passes)"
    return Text(shown, style=text.VERDICT_STYLE[outcome.verdict])


def reason(constraint: Constraint) -> str:
    """``flash: needs 1.2 MiB, has 1 MiB``."""
    have = text.interval(constraint.have)
    return f"{constraint.name}: needs {text.interval(constraint.need)}, has {have}"


def reasons_of(outcome: Outcome) -> list[str]:
    """Why an entry does not pass: its error, or the constraints that are missed or unsure."""
    if outcome.error is not None:
        return [str(outcome.error)]
    wrong = (Status.FAIL, Status.UNSURE)
    return [reason(c) for c in outcome.constraints if c.status in wrong]


def remedies_of(outcome: Outcome) -> list[str]:
    """What would help: the error's hint, or the check's remedies."""
    if outcome.error is not None:
        return [outcome.error.hint] if outcome.error.hint else []
    remedies = outcome.check.remedies if outcome.check is not None else ()
    return [f"{remedy.constraint} needs {remedy.text}" for remedy in remedies]


def _reasons(gate: Gate) -> list[Text]:
    lines = []
    for outcome in gate.outcomes:
        for why in reasons_of(outcome):
            style = "bold red" if outcome.exit_code not in (0, 6) else "yellow"
            lines.append(Text.assemble((outcome.plan.name, style), f": {why}"))
        lines += [Text(f"  {remedy}", style="dim") for remedy in remedies_of(outcome)]
    return lines


def _last_line(gate: Gate) -> Text:
    passed = sum(outcome.exit_code == 0 for outcome in gate.outcomes)
    style = "bold green" if gate.exit_code == 0 else "bold red"
    return Text(f"{passed} of {len(gate.outcomes)} pass", style=style)
