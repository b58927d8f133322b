"""The typer application: every command is registered here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from budget import __version__
from budget.cli.examples import show_examples

# Module under budget.cli: the commands it registers, in the order in which help lists them.
_MODULES: dict[str, tuple[str, ...]] = {
    "summarize": ("summarize",),
    "check": ("check",),
    "compare": ("compare",),
    "harvest": ("harvest",),
    "solve": ("solve",),
    "intermittent": ("intermittent",),
    "transmit": ("transmit",),
    "sweep": ("sweep",),
    "transform": ("transform",),
    "run": ("run",),
    "diff": ("diff",),
    "shrink": ("shrink",),
    "emit": ("emit",),
    "hear": ("hear",),
    "measure": ("measure",),
    "profiles": (
        *("devices", "sources", "converters", "storage", "radios", "sensors"),
        *("checkpoints", "runtimes"),
    ),
    "provenance": ("provenance",),
    "scenarios": ("scenarios",),
    "operators": ("ops",),
    "calibrate": ("calibrate",),
    "scoreboard": ("scoreboard",),
}


def application(words: Sequence[str] = ()) -> typer.Typer:
    """The application, with all commands or only the one that the command line names.

    Describing a command to typer takes milliseconds, so the others are left out where the first
    word is a command; help, completion and mistakes see all of them.

    Args:
        words: of the command line, without the program's name.
    """
    app = typer.Typer(
        name="budget",
        help="Will this neural network run on that microcontroller, on that energy?",
        epilog="Examples:  budget check zoo:hotword --device efm32pg12 --rate 1/s "
        "--source indoor-light --area 10cm2  ·  budget devices stm32l4r5  ·  budget check",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    named = [module for module, commands in _MODULES.items() if words[:1] and words[0] in commands]
    for module in named or _MODULES:
        import_module(f"budget.cli.{module}").register(app)
    show_examples(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"budget {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Will this neural network run on that microcontroller, on that energy?"""
