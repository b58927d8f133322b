"""`budget scoreboard`: estimates against published silicon."""

from __future__ import annotations

from typing import Annotated

import typer

from budget.cli import options
from budget.cli.threads import single_thread


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog="Example:  budget scoreboard --by board --rows")(scoreboard)


def scoreboard(
    by: Annotated[
        str | None,
        typer.Option(help="runtime, core, board or network, with every comparison."),
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="List every measurement.")] = False,
    json: options.JsonOption = False,
) -> None:
    """Compare estimates with every published measurement in the project, none of them seen before.

    Latency and energy come from cross-validation: a model, or a board, is left out of the fit that
    predicts it. Exit status: 0.
    """
    single_thread()
    from budget.api.scoreboard import scoreboard as run
    from budget.errors import UsageError

    known = ("runtime", "core", "board", "network")
    if by is not None and by not in known:
        raise UsageError(
            f"there are no scores by {by!r}", where="--by", hint=f"choose from {', '.join(known)}"
        )
    from budget.report.scoreboard import report_scoreboard

    report_scoreboard(run(), by=by, rows=rows, json=json)
