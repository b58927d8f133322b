"""`budget measure`: emitted firmware on a virtual core."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from budget.cli import options


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(epilog=_EXAMPLES)(measure)


_EXAMPLES = (
    "Examples:  budget measure zoo:hotword --device stm32l4r5  ·  budget emit model.tflite -o out "
    "&& budget measure out --core cortex-m4  ·  budget measure firmware.elf --symbol invoke"
)


def measure(
    program: Annotated[
        str,
        typer.Argument(
            metavar="PROGRAM",
            help="A model, a folder that 'budget emit' wrote, or an ELF file with --symbol.",
        ),
    ],
    core: Annotated[
        str | None,
        typer.Option(help="cortex-m0plus, -m3, -m4, -m7 or -m33; the device's if not given."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", "-d", help="Whose clock, flash and power to use.")
    ] = None,
    clock: options.ClockOption = None,
    compiler: Annotated[
        str | None, typer.Option(help="gcc or zig; the first that is installed if not given.")
    ] = None,
    flags: Annotated[
        str, typer.Option(help="More flags for the compiler, as one text: --flags='-O3'.")
    ] = "",
    optimise: Annotated[
        str, typer.Option(help="For a model: emit for time, size or balanced.")
    ] = "balanced",
    autotune: Annotated[
        bool, typer.Option("--autotune", help="For a model: as for 'budget emit'.")
    ] = False,
    precision: options.PrecisionOption = None,
    symbol: Annotated[
        str | None, typer.Option(help="For an ELF file: the function to call and time.")
    ] = None,
    setup: Annotated[
        list[str] | None, typer.Option(help="For an ELF file: functions to call before it.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another folder, model or ELF file, side by side.")
    ] = None,
    json: options.JsonOption = False,
) -> None:
    """Run PROGRAM on a virtual Cortex-M: cycles by layer, memory, exactness, time and energy."""
    from functools import partial

    from budget.api.measure import measure as run_on_core
    from budget.api.measurement import Comparison
    from budget.report.measure import report_comparison, report_measurement

    run = partial(
        run_on_core,
        core=core,
        device=device,
        clock_hz=options.quantity("--clock", "frequency", clock),
        compiler=compiler,
        flags=_words(flags),
        symbol=symbol,
        setup=setup or (),
        optimise=optimise,
        precision=precision,
        autotune=autotune,
    )
    if against is None:
        report_measurement(run(program), json=json)
    else:
        report_comparison(Comparison(run(program), run(against)), json=json)


def _words(flags: str) -> list[str]:
    from budget.errors import UsageError

    try:
        return shlex.split(flags)
    except ValueError as error:
        raise UsageError(
            f"{flags!r} cannot be divided: {error}", where="--flags", hint="close the quotation"
        ) from None
