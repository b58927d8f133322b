"""`budget shrink`: smaller until it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from budget.cli import options
from budget.cli.life import takes_life

if TYPE_CHECKING:
    from budget.scenario.schema import Scenario

_EXAMPLES = (
    "Examples:  budget shrink model.keras --device efm32pg12 --rate 1/s --source indoor-light "
    "--area 10cm2 --data words/ -o words_fits.tflite  ·  budget shrink zoo:hotword-large --device "
    "efm32pg12 --deadline 40ms -o fits.tflite --emit fits  ·  budget shrink frozen.pb --inputs x "
    "--outputs y --device stm32l4r5 --deadline 20ms --data inputs.npz --ways 'prune:keep=0.5 int8' "
    "-o small.tflite"
)
_DATA, _SEARCH, _TRAINING = "Data", "Search", "Training"


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog=_EXAMPLES)(shrink)


@takes_life
def shrink(
    model: options.ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tflite file to write.")],
    data: Annotated[
        str,
        typer.Option(
            help="Folder of class folders, .npz, or module:function; a zoo model's own if not "
            "given.",
            rich_help_panel=_DATA,
        ),
    ] = "",
    held_out: Annotated[
        str,
        typer.Option(
            help="Examples kept apart, likewise; a fifth of the data if not given.",
            rich_help_panel=_DATA,
        ),
    ] = "",
    labels: Annotated[
        str,
        typer.Option(
            help="File of the classes' names, in the order of the outputs.", rich_help_panel=_DATA
        ),
    ] = "",
    input_range: Annotated[
        str | None,
        typer.Option(
            help="What black and white become, such as -1,1; found out if not given.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    ways: Annotated[
        str,
        typer.Option(
            help="Ways to shrink, in quotes and separated by spaces: prune searches its strength, "
            "prune:keep=0.5 fixes it; 'prune low-rank int8' if not given.",
            rich_help_panel=_SEARCH,
        ),
    ] = "",
    min_accuracy: Annotated[
        str | None,
        typer.Option(
            help="Find the cheapest that is this accurate, such as 90%, not the most accurate.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Candidates to try; 10 if not given.", rich_help_panel=_SEARCH),
    ] = None,
    finalists: Annotated[
        int, typer.Option(min=1, help="Candidates to train in full.", rich_help_panel=_SEARCH)
    ] = 2,
    history: Annotated[
        str | None,
        typer.Option(
            help="The search's database, such as sqlite:///search.db; a later run goes on with it.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, such as tcp://10.0.0.1:8786.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    front: Annotated[
        list[Path] | None,
        typer.Option(
            help="Save the candidates: .json, .csv, .png, .svg or .pdf.", rich_help_panel=_SEARCH
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="Folder for what an interrupted run goes on with; a hidden one beside -o, removed "
            "at the end, if not given.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over the data; 14 if not given.", rich_help_panel=_TRAINING
        ),
    ] = None,
    copies: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Shifted and mixed copies of each example that the original answers; 6 if not "
            "given.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=0.0, help="Of Adam; 0.003 if not given.", rich_help_panel=_TRAINING),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Examples of a step; 64 if not given.", rich_help_panel=_TRAINING),
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            help="Accuracy that quantisation may cost before the network is trained with it; 0.5% "
            "if not given.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of everything drawn.", rich_help_panel=_TRAINING)
    ] = 0,
    emit: Annotated[Path | None, typer.Option(help="A folder for the C.")] = None,
    inputs: options.InputsOption = None,
    outputs: options.OutputsOption = None,
    json: options.JsonOption = False,
    *,
    scenario: Scenario,
) -> None:
    """Shrink MODEL until it fits a device and its energy; write it, and its C, and measure it.

    Exit status: 0 it fits, 1 nothing fits, 6 too close to call; 2 to 5 are errors; 130 interrupted.
    """
    from budget.api import shrink as api
    from budget.report.shrink import report_shrinkage, require_format, save_front, say
    from budget.shrinking.recovery import Training

    for path in front or ():
        require_format(path)
    given: dict[str, Any] = {
        "epochs": epochs,
        "rate": learning_rate,
        "batch": batch,
        "copies": copies,
    }
    try:
        result = api.shrink(
            model,
            output=output.expanduser(),
            scenario=scenario,
            data=data,
            held_out=held_out,
            labels=labels,
            input_range=_range(input_range),
            ways=ways.split() or api.DEFAULT_WAYS,
            trials=api.DEFAULT_TRIALS if trials is None else trials,
            finalists=finalists,
            min_accuracy=options.quantity("--min-accuracy", "ratio", min_accuracy),
            tolerance=_or(
                options.quantity("--tolerance", "ratio", tolerance), api.DEFAULT_TOLERANCE
            ),
            training=Training(**{k: v for k, v in given.items() if v is not None}),
            seed=seed,
            history=history,
            scheduler=scheduler,
            work=work,
            emit_to=emit,
            inputs=options.names(inputs),
            outputs=options.names(outputs),
            say=say,
        )
    except KeyboardInterrupt:
        say("interrupted: the same command goes on where it was")
        raise typer.Exit(130) from None
    for path in front or ():
        save_front(result, path.expanduser())
    report_shrinkage(result, json=json)
    raise typer.Exit(result.verdict.exit_code)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    from budget.errors import UsageError

    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"{text!r} is no range", where="--input-range", hint="write it as 0,1 or -1,1"
        ) from None
    return low, high
