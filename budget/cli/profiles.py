"""`budget devices`, `sources`, `runtimes` …: the profiles, each figure with its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from budget.cli import options

_COMMANDS = {
    "devices": ("device", "Microcontrollers and compute engines", "efm32pg12"),
    "sources": ("harvester", "Where energy can come from", "indoor-light"),
    "converters": ("converter", "Converters between source, storage and device", "bq25570"),
    "storage": ("storage", "Batteries and capacitors", "cr2032"),
    "radios": ("radio", "Radios and what a message costs", "ble-nrf52840"),
    "sensors": ("sensor", "Sensors and what they draw", "vm1010"),
    "checkpoints": ("checkpoint", "Memories that keep a computation through a blackout", "fram"),
    "runtimes": ("runtime", "The software that runs models", "tflm-cmsis-nn"),
}


def register(app: typer.Typer) -> None:
    """Adds one command for each kind of profile."""
    for command, (noun, title, example) in _COMMANDS.items():
        app.command(
            command,
            help=f"{title}: all of them, or the page of one with every figure's source.",
            epilog=f"Examples:  budget {command}  ·  budget {command} {example}",
        )(_make(noun, title))


def _make(noun: str, title: str) -> Callable[..., None]:
    def show(
        id: Annotated[
            str | None, typer.Argument(metavar="[ID]", help="An id, or the path of a TOML file.")
        ] = None,
        json: options.JsonOption = False,
    ) -> None:
        from budget.api.profiles import list_profiles, show_profile
        from budget.report.profiles import report_list, report_page

        if id is None:
            report_list(list_profiles(noun), title=title, json=json)
        else:
            report_page(show_profile(noun, id), json=json)

    return show
