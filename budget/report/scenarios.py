"""How scenarios look: a list, and one as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from budget import units
from budget.report.console import out_console, print_json
from budget.scenario.schema import Scenario


def report_scenarios(scenarios: Sequence[Scenario], *, json: bool = False) -> None:
    """Prints one row for each scenario."""
    if json:
        document = {"schema": 1, "command": "scenarios"}
        print_json({**document, "scenarios": [asdict(found) for found in scenarios]})
        return
    table = Table(title="Ways of life", title_justify="left", header_style="bold")
    table.add_column("id", no_wrap=True)
    table.add_column("application")
    table.add_column("rate", no_wrap=True)
    for found in scenarios:
        rate = units.format(found.rate_hz, "1/s") if found.rate_hz else "–"
        table.add_row(found.id, found.name, rate)
    out_console().print(table)


def report_scenario(scenario: Scenario, content: str, *, json: bool = False) -> None:
    """Prints one scenario's file, to be changed and given to ``--scenario``."""
    if json:
        print_json({"schema": 1, "command": "scenario", "scenario": asdict(scenario)})
        return
    out_console().out(content.rstrip(), highlight=False)
