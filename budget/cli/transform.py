"""`budget transform`: rewrites a TensorFlow graph as the Graph Transform Tool did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Example:  budget transform in.pb out.pb --inputs Mul --outputs softmax "
        "--transforms 'strip_unused_nodes fold_constants(ignore_errors=true) fold_batch_norms'"
    )(transform)


def transform(
    model: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="A .pb, .pbtxt, .tflite, .keras or .h5 file, a SavedModel folder, or zoo:NAME.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="A .pb, .pbtxt or .tflite file to write, or a SavedModel folder."
        ),
    ],
    transforms: Annotated[
        str,
        typer.Option(
            "--transforms",
            "-t",
            help="What to do, in order: name(parameter=value, …) name …; or a preset: deploy, "
            "missing-kernels, file-size or eight-bit.",
        ),
    ],
    inputs: options.InputsOption = None,
    outputs: options.OutputsOption = None,
    input_shape: options.InputShapeOption = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0, help="Largest change of any output; beyond it nothing is written, status 1."
        ),
    ] = None,
    compat: Annotated[
        str, typer.Option(help="gtt: the Graph Transform Tool's results bit for bit.")
    ] = "",
    seed: Annotated[
        int, typer.Option(min=0, help="Of the inputs that outputs are compared on.")
    ] = 0,
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Run the graph after each step.")
    ] = True,
    data: Annotated[
        Path | None,
        typer.Option(help="Inputs to compare outputs on instead, as 'budget run' reads them."),
    ] = None,
    weights_out: Annotated[
        Path | None,
        typer.Option(help="A file for the larger constants, mapped into memory (.c: for flash)."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", "-d", help="Price each step's energy there.")
    ] = "",
    runtime: options.RuntimeOption = None,
    json: options.JsonOption = False,
) -> None:
    """Rewrite the graph IN step by step; show what each step costs or saves, and write OUT."""
    from budget.api.transform import check_output_name, write_transformation
    from budget.api.transform import transform as run
    from budget.report.transform import report_transformation

    out = out.expanduser()
    weights = weights_out.expanduser() if weights_out else None
    check_output_name(out, weights)
    result = run(
        model,
        transforms,
        inputs=options.names(inputs),
        outputs=options.names(outputs),
        input_shapes=options.shapes(input_shape),
        compat=compat,
        tolerance=tolerance,
        compare=compare,
        seed=seed,
        examples=data,
        device=device,
        runtime=runtime or "",
    )
    if not result.failure:
        write_transformation(result, out, weights)
    report_transformation(result, json=json)
    if result.failure:
        raise typer.Exit(1)
