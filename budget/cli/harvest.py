"""`budget harvest`: every energy source side by side, or one of them over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from budget.cli import options
from budget.cli.life import takes_life
from budget.errors import UsageError

if TYPE_CHECKING:
    from budget.scenario.schema import Scenario

_TIME = "Over time"


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Examples:  budget harvest zoo:hotword --device efm32pg12 --rate 1/s --area 10cm2  "
        "·  budget harvest --scenario hotword --sources indoor-light,outdoor-light  ·  "
        "budget harvest zoo:hotword -d stm32u575 --rate 1/min --source amorphous-500lx "
        "--area 20cm2 --converter bq25570 --storage lipo-12mah --day office-light --seeds 20"
    )(harvest)


@takes_life
def harvest(
    model: options.LifeModelArgument = None,
    sources: Annotated[
        str | None, typer.Option(help="Harvester ids, comma-separated; all of them if not given.")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(
            help="Simulate days: office-light, living-room, outdoor:LATITUDE:SEASON, "
            "machine-shifts, body-movement or always.",
            rich_help_panel=_TIME,
        ),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            help="Simulate a CSV file, such as time (s),power (uW); or irradiance, lux, level, "
            "density, voltage.",
            rich_help_panel=_TIME,
        ),
    ] = None,
    trace_resistance: Annotated[
        str | None,
        typer.Option(help="That a trace's voltage was measured over.", rich_help_panel=_TIME),
    ] = None,
    days: Annotated[
        int | None, typer.Option(help="How many days to simulate.", rich_help_panel=_TIME)
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="How many random weathers.", rich_help_panel=_TIME)
    ] = 0,
    start: Annotated[
        str, typer.Option(help="How full the storage begins.", rich_help_panel=_TIME)
    ] = "100%",
    turn_on: Annotated[
        str | None,
        typer.Option(help="Voltage at which a capacitor starts the load.", rich_help_panel=_TIME),
    ] = None,
    size: Annotated[
        bool,
        typer.Option(
            "--size", help="Find the least storage and area that never fail.", rich_help_panel=_TIME
        ),
    ] = False,
    plot: Annotated[
        str | None, typer.Option(help="Draw into a .png, .svg or .pdf.", rich_help_panel=_TIME)
    ] = None,
    precision: options.PrecisionOption = None,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Compare what every energy source would do for MODEL; with --day or --trace: live with one.

    Exit status: 0 if any source will do, else 6 if any is too close to call, else 1. Over time:
    0 if no inference is missed, 6 if only in some weathers, else 1.
    """
    if day is None and trace is None:
        _refuse_time(
            {"--days": days, "--seeds": seeds, "--size": size, "--plot": plot,
             "--turn-on": turn_on, "--trace-resistance": trace_resistance}
        )  # fmt: skip
        _compare(model, sources, precision, scenario, json=json)
    from budget.api.simulate import simulate
    from budget.report.simulate import report_simulation

    if sources is not None:
        raise UsageError(
            "over time one source is simulated", where="--sources", hint="name it with --source"
        )
    resistance = options.quantity("--trace-resistance", "resistance", trace_resistance)
    result = simulate(
        model,
        scenario=scenario,
        day=day,
        trace=trace,
        trace_resistance_ohm=resistance,
        days=days,
        seeds=seeds,
        start_ratio=options.quantity("--start", "ratio", start) or 0.0,
        turn_on_v=options.quantity("--turn-on", "voltage", turn_on),
        precision=precision,
    )
    sizing = None
    if size:
        from budget.api.size import size_estimate

        sizing = size_estimate(result.estimate, result.question, result.life)
    if plot is not None:
        from budget.report.plot import save_plot

        save_plot(result, plot)
    report_simulation(result, sizing=sizing, json=json)
    raise typer.Exit(result.exit_code)


def _compare(
    model: str | None, sources: str | None, precision: str | None, scenario: Scenario, *, json: bool
) -> None:
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


def _refuse_time(given: dict[str, object]) -> None:
    for option, value in given.items():
        if value:
            raise UsageError(
                "time is simulated with a day or a trace",
                where=option,
                hint="add --day office-light, or --trace FILE.csv",
            )
