"""`budget scenarios`: the ways of life that ship, as files to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Examples:  budget scenarios  ·  budget scenarios hotword > mine.toml  ·  "
        "budget check --scenario mine.toml"
    )(scenarios)


def scenarios(
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An id, or the path of a TOML file.")
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """List the scenarios that ship, one for each application, or print one as a file."""
    from budget.api.scenarios import list_scenarios, show_scenario
    from budget.report.scenarios import report_scenario, report_scenarios

    if id is None:
        report_scenarios(list_scenarios(), json=json)
    else:
        report_scenario(*show_scenario(id), json=json)
