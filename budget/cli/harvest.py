"""`budget harvest`: every energy source side by side."""

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
        epilog="Examples:  budget harvest zoo:hotword --device efm32pg12 --rate 1/s --area 10cm2  "
        "·  budget harvest --scenario hotword --sources indoor-light,outdoor-light"
    )(harvest)


@takes_life
def harvest(
    model: options.LifeModelArgument = None,
    sources: Annotated[
        str | None, typer.Option(help="Harvester ids, comma-separated; all of them if not given.")
    ] = None,
    precision: options.PrecisionOption = None,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Compare what every energy source would do for MODEL: rate, area, first start, storage.

    Exit status: 0 if any source will do, else 6 if any is too close to call, else 1.
    """
    from budget.api.harvest import harvest as run
    from budget.report.harvest import report_harvest

    result = run(
        model,
        sources=options.names(sources) or None,
        scenario=scenario,
        precision=precision,
    )
    report_harvest(result, json=json)
    raise typer.Exit(result.exit_code)
