"""`budget hear`: from sound to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Examples:  budget hear zoo:hotword clip.wav  ·  "
        "budget hear kws.tflite a.wav b.wav --front-end-spec kws.features.toml --json"
    )(hear)


def hear(
    model: options.ModelArgument,
    clips: Annotated[
        list[Path], typer.Argument(metavar="WAV…", help="Mono, 16 bits, at the front end's rate.")
    ],
    front_end_spec: Annotated[
        Path | None,
        typer.Option(help="The front end; NAME.features.toml beside the model if not given."),
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Run MODEL on sound, through the front end that stands before it on the device."""
    from budget.api.hear import hear as run
    from budget.report.hear import report_hearing

    report_hearing(run(model, clips, front_end=front_end_spec), json=json)
