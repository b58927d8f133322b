"""`budget check`: the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from budget.cli import options
from budget.cli.life import takes_life

if TYPE_CHECKING:
    from budget.scenario.schema import Scenario


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog=_EXAMPLES)(check)


_EXAMPLES = (
    "Examples:  budget check zoo:hotword --device efm32pg12 --rate 1/s --source indoor-light "
    "--area 10cm2  ·  budget check model.tflite --device stm32l4r5 --deadline 50ms --json  ·  "
    "budget check zoo:inception_v1 --device dsp-20pj --rate 1/s --source outdoor-light --area 3cm2"
)


@takes_life
def check(
    model: options.LifeModelArgument = None,
    precision: options.PrecisionOption = None,
    as_is: options.AsIsOption = False,
    inputs: options.InputsOption = None,
    outputs: options.OutputsOption = None,
    input_shape: options.InputShapeOption = None,
    front_end: Annotated[
        bool,
        typer.Option(
            "--front-end",
            help="Count what makes the input of sound, too, as specified "
            "in NAME.features.toml beside the model.",
        ),
    ] = False,
    explain: options.ExplainOption = False,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Decide whether MODEL runs on a device: every constraint, its margin, and what would help.

    Exit status: 0 fits, 1 does not fit, 6 too close to call; 2 to 5 are errors.
    """
    from budget.api.check import check as run
    from budget.report.check import report_check

    if front_end:
        from budget.api.front_ends import with_front_end

        scenario = with_front_end(scenario, model)
    result = run(
        model,
        scenario=scenario,
        precision=precision,
        as_is=as_is,
        inputs=options.names(inputs),
        outputs=options.names(outputs),
        input_shapes=options.shapes(input_shape),
    )
    report_check(result, explain=explain, json=json)
    raise typer.Exit(result.verdict.exit_code)
