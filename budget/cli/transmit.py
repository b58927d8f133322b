"""`budget transmit`: infer on the device, or send what it senses."""

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
        epilog="Example:  budget transmit zoo:hotword --device stm32u575 --rate 1/s "
        "--features zoo:hotword --messages 1%"
    )(transmit)


@takes_life
def transmit(
    model: options.LifeModelArgument = None,
    radios: Annotated[
        str | None, typer.Option(help="Radio ids, comma-separated; all of them if not given.")
    ] = None,
    raw: Annotated[str | None, typer.Option(help="Data sensed in one cycle, such as 32kB.")] = None,
    precision: options.PrecisionOption = None,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Compare, for every radio, sending what MODEL's device senses with inferring there."""
    from budget.api.transmit import transmit as run
    from budget.report.transmit import report_transmit

    size = options.quantity("--raw", "size", raw)
    result = run(
        model,
        radios=options.names(radios) or None,
        raw_bytes=None if size is None else int(size),
        scenario=scenario,
        precision=precision,
    )
    report_transmit(result, json=json)
