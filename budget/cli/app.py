"""The typer application: every command is registered here."""

from __future__ import annotations

from typing import Annotated

import typer

from budget import __version__
from budget.cli import (
    check,
    compare,
    emit,
    harvest,
    intermittent,
    measure,
    operators,
    profiles,
    scenarios,
    solve,
    summarize,
    transmit,
)

app = typer.Typer(
    name="budget",
    help="Will this neural network run on that microcontroller, on that energy?",
    epilog="Example:  budget check zoo:hotword --device efm32pg12 --rate 1/s "
    "--source indoor-light --area 10cm2",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"budget {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Will this neural network run on that microcontroller, on that energy?"""


for _module in (
    summarize,
    check,
    compare,
    harvest,
    solve,
    intermittent,
    transmit,
    emit,
    profiles,
    scenarios,
    operators,
    measure,
):
    _module.register(app)
