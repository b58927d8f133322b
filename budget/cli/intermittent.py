"""`budget intermittent`: inference from a capacitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from budget.cli import options
from budget.cli.life import takes_life

if TYPE_CHECKING:
    from budget.scenario.schema import Scenario


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Example:  budget intermittent zoo:hotword --device stm32u575 --storage "
        "470uF:3.3V:1.8V --source indoor-light --area 10cm2"
    )(intermittent)


@takes_life
def intermittent(
    model: options.LifeModelArgument = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(help="Memories for checkpoints ('budget checkpoints'), comma-separated."),
    ] = None,
    precision: options.PrecisionOption = None,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Spread an inference of MODEL over the charges of a capacitor, with checkpoints between.

    Exit status: 0 if an inference ends, 1 if it never does, 6 if that is too close to call.
    """
    from budget.api.intermittent import from_capacitor
    from budget.report.intermittent import report_intermittent

    result = from_capacitor(
        model,
        memories=options.names(checkpoints) or None,
        scenario=scenario,
        precision=precision,
    )
    report_intermittent(result, json=json)
    raise typer.Exit(result.exit_code)
