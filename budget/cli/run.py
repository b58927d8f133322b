"""`budget run`: what a model makes of a picture, a sound or numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog="Example:  budget run model.tflite --input photo.png --labels labels.txt")(
        run
    )


def run(
    model: options.ModelArgument,
    input: Annotated[
        Path | None,
        typer.Option(
            "--input",
            "-i",
            help="A picture, a .wav file, a .npy or .npz file, or a folder of those; seeded "
            "random numbers if not given.",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Names of the classes, one on each line.")
    ] = None,
    mean: Annotated[
        float | None,
        typer.Option(help="Taken from each pixel; 128 if not given, nothing for 8-bit inputs."),
    ] = None,
    std: Annotated[
        float | None, typer.Option(help="What pixels are divided by then; 128 if not given.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many guesses to show.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of random inputs.")] = 0,
    inputs: options.InputsOption = None,
    outputs: options.OutputsOption = None,
    input_shape: options.InputShapeOption = None,
    json: options.JsonOption = False,
) -> None:
    """Run MODEL on the host and print its best guesses."""
    from budget.api.run import run as run_model
    from budget.report.run import report_run

    result = run_model(
        model,
        input,
        labels=labels,
        mean=mean,
        std=std,
        top=top,
        seed=seed,
        inputs=options.names(inputs),
        outputs=options.names(outputs),
        input_shapes=options.shapes(input_shape),
    )
    report_run(result, json=json)
