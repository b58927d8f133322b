"""`budget sweep`: every combination of a plan, in one table."""

from __future__ import annotations

from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog="Example:  budget sweep plan.toml -o table.parquet")(sweep)


def sweep(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="A .toml file of axes, or a .csv of combinations.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The table: a .parquet or .csv file.")
    ],
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, such as tcp://10.0.0.1:8786.")
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Price and judge every combination of models, devices, sources, areas and rates of PLAN.

    A PLAN says, for instance, models = ["zoo:hotword"], devices = ["efm32pg12"], sources =
    ["indoor-light"], areas = { from = "1cm2", to = "1dm2", count = 50 }, rates = ["1/min", "1/s"].
    """
    from budget.api.sweep import sweep as run
    from budget.report.sweep import progress_shown, report_sweep

    with progress_shown() as progress:
        result = run(plan, output, scheduler=scheduler, progress=progress)
    report_sweep(result, json=json)
