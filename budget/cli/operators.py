"""`budget ops`: the operators this program knows."""

from __future__ import annotations

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("ops", epilog="Example:  budget ops")(operators)


def operators(json: options.JsonOption = False) -> None:
    """List every operator: its element types, what checks each, and whether C is written."""
    from budget.api.operators import list_operators
    from budget.report.operators import report_operators

    report_operators(list_operators(), json=json)
