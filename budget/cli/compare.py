"""`budget compare`: a matrix of verdicts."""

from __future__ import annotations

from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Example:  budget compare zoo:hotword --devices efm32pg12,stm32l4r5,rp2040 "
        "--sources indoor-light,outdoor-light --area 10cm2 --rate 1/s"
    )(compare)


def compare(
    model: options.ModelArgument,
    devices: Annotated[
        str | None, typer.Option(help="Device ids, comma-separated; all of them if not given.")
    ] = None,
    runtimes: Annotated[
        str | None, typer.Option(help="Runtime ids, comma-separated; the default one if not given.")
    ] = None,
    sources: Annotated[
        str | None, typer.Option(help="Harvester ids, comma-separated; none if not given.")
    ] = None,
    rate: options.RateOption = None,
    deadline: options.DeadlineOption = None,
    area: options.AreaOption = None,
    precision: options.PrecisionOption = None,
    json: options.JsonOption = False,
) -> None:
    """Compare devices, runtimes and energy sources for MODEL, one verdict each.

    Exit status: 0 if anything fits, else 6 if anything is too close to call, else 1.
    """
    from budget.api.compare import compare as run
    from budget.report.compare import report_compare

    result = run(
        model,
        devices=options.names(devices) or None,
        runtimes=options.names(runtimes) or None,
        sources=options.names(sources) or None,
        rate_hz=options.quantity("--rate", "rate", rate),
        deadline_s=options.quantity("--deadline", "time", deadline),
        area_m2=options.quantity("--area", "area", area),
        precision=precision,
    )
    report_compare(result, json=json)
    raise typer.Exit(result.exit_code)
