"""`budget diff`: whether two models compute the same, and where they part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog="Example:  budget diff float.tflite int8.tflite --inputs photos/")(diff)


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The model that is right.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The model that is compared with it.")],
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--inputs",
            "-i",
            help="A folder, a .npy or .npz file, a picture or a .wav file; seeded random numbers "
            "if not given.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Of random inputs.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of random inputs.")] = 0,
    least_snr: Annotated[
        float, typer.Option(help="Signal to noise, in decibels, below which two layers part.")
    ] = 20.0,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Largest difference of any output; beyond it the status is 1."),
    ] = None,
    mean: Annotated[float | None, typer.Option(help="Taken from each pixel.")] = None,
    std: Annotated[float | None, typer.Option(help="What pixels are divided by then.")] = None,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="One row for every pair of layers.")
    ] = False,
    input_shape: options.InputShapeOption = None,
    json: options.JsonOption = False,
) -> None:
    """Run A and B on the same inputs and show how far their outputs and layers are apart."""
    from budget.api.diff import diff as compare
    from budget.report.diff import report_difference

    result = compare(
        a,
        b,
        inputs,
        count=count,
        seed=seed,
        least_snr_db=least_snr,
        mean=mean,
        std=std,
        input_shapes=options.shapes(input_shape),
    )
    report_difference(result, per_layer=per_layer, json=json)
    if tolerance is not None and not all(item.largest <= tolerance for item in result.outputs):
        raise typer.Exit(1)
