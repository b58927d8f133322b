"""`budget summarize`: what a model is and costs."""

from __future__ import annotations

from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        epilog="Examples:  budget summarize model.tflite --per-layer  ·  "
        "budget summarize zoo:hotword --front-end"
    )(summarize)


def summarize(
    model: options.ModelArgument,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="One row for every operator that runs.")
    ] = False,
    dump: Annotated[bool, typer.Option("--dump", help="Print the graph itself, as text.")] = False,
    precision: options.PrecisionOption = None,
    as_is: options.AsIsOption = False,
    front_end: options.FrontEndOption = False,
    front_end_spec: options.FrontEndSpecOption = None,
    inputs: options.InputsOption = None,
    outputs: options.OutputsOption = None,
    input_shape: options.InputShapeOption = None,
    json: options.JsonOption = False,
) -> None:
    """Show MODEL as read and as deployed: inputs, outputs, operators, parameters, MACs, memory."""
    from budget.api.summarize import summarize as run
    from budget.report.summarize import report_dump, report_summary

    result = run(
        model,
        precision=precision,
        as_is=as_is,
        front_end=front_end_spec or front_end,
        inputs=options.names(inputs),
        outputs=options.names(outputs),
        input_shapes=options.shapes(input_shape),
    )
    if dump:
        report_dump(result)
    else:
        report_summary(result, per_layer=per_layer, json=json)
