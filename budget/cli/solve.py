"""`budget solve`: the inverse question."""

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
        epilog="Examples:  budget solve zoo:hotword --for area --device stm32u575 --rate 1/s "
        "--source indoor-light  ·  budget solve 7.5MMAC --for energy-per-mac --rate 1/s "
        "--source 10uW/cm2 --area 10cm2"
    )(solve)


@takes_life
def solve(
    unknown: Annotated[
        str,
        typer.Option(
            "--for",
            help="area, rate, energy-per-mac, storage, clock, voltage, macs, deadline, or "
            "area,storage together.",
        ),
    ],
    model: options.LifeModelArgument = None,
    precision: options.PrecisionOption = None,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Find what one thing must be for MODEL (or a count such as 7.5MMAC) to hold with the rest.

    Exit status: 0 if there is an answer, 1 if nothing will do.
    """
    from budget.api.solve import solve as run
    from budget.report.solve import report_solution

    result = run(model, unknown=unknown, scenario=scenario, precision=precision)
    report_solution(result, json=json)
    raise typer.Exit(result.exit_code)
