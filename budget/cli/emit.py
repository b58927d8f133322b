"""`budget emit`: the C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog=_EXAMPLES)(emit)


_EXAMPLES = (
    "Examples:  budget emit zoo:hotword -o hotword --target cortex-m4  ·  "
    "budget emit zoo:hotword -o hotword --front-end  ·  "
    "budget emit model.tflite -o out --device stm32l4r5 --flash 64KiB --optimise time"
)


def emit(
    model: options.ModelArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    name: Annotated[
        str | None, typer.Option(help="Prefix of files and symbols; the model's name if not given.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="portable, or a core: cortex-m0plus, cortex-m3, cortex-m4 …; the device's if not "
            "given, else portable."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", help="Choose kernels for its flash, RAM and wait states."),
    ] = None,
    clock: options.ClockOption = None,
    flash: Annotated[str | None, typer.Option(help="Flash for the network, such as 64KiB.")] = None,
    ram: Annotated[str | None, typer.Option(help="RAM for the network, such as 20KiB.")] = None,
    autotune: Annotated[
        bool,
        typer.Option(
            "--autotune", help="Time more kernels than the table has on the virtual core; kept."
        ),
    ] = False,
    optimise: Annotated[
        str,
        typer.Option(help="time: kernels specialised for each layer; size: shared; balanced."),
    ] = "balanced",
    arena: Annotated[
        str, typer.Option(help="static, or caller: all state in a struct that the caller owns.")
    ] = "static",
    io: Annotated[
        str, typer.Option(help="model's element types, float, or arena: pointers, nothing copied.")
    ] = "model",
    rounding: Annotated[
        str, typer.Option(help="Equal the integer kernels of tflite or those of tflm.")
    ] = "tflite",
    weights: Annotated[
        str, typer.Option(help="Constants in a header, or in a source file of their own.")
    ] = "header",
    data: Annotated[
        Path | None,
        typer.Option(help="Representative inputs (.npy, .npz, or a folder of them)."),
    ] = None,
    precision: options.PrecisionOption = None,
    keep_channels: Annotated[
        bool, typer.Option("--keep-channels", help="Keep channels that no input can change.")
    ] = False,
    front_end: options.FrontEndOption = False,
    front_end_spec: options.FrontEndSpecOption = None,
    inputs: options.InputsOption = None,
    outputs: options.OutputsOption = None,
    input_shape: options.InputShapeOption = None,
    json: options.JsonOption = False,
) -> None:
    """Write MODEL as C99 that needs nothing but a compiler and gives the same numbers."""
    from budget.api.emit import emit as run
    from budget.report.emit import report_emission

    result = run(
        model,
        out,
        name=name,
        target=target,
        device=device,
        clock_hz=options.quantity("--clock", "frequency", clock),
        flash_bytes=options.whole("--flash", "size", flash),
        ram_bytes=options.whole("--ram", "size", ram),
        autotune=autotune,
        optimise=optimise,
        arena=arena,
        io=io,
        rounding=rounding,
        weights=weights,
        data=data,
        precision=precision,
        remove_constant_channels=not keep_channels,
        front_end=front_end_spec or front_end,
        inputs=options.names(inputs),
        outputs=options.names(outputs),
        input_shapes=options.shapes(input_shape),
    )
    report_emission(result, json=json)
