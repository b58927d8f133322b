"""Arguments and options that several commands share, and the text they are written in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from budget.errors import UsageError


def quantity(option: str, dimension: str, text: str | None) -> float | None:
    """An option's text as an SI number, naming the option in the error."""
    if text is None:
        return None
    from budget import units

    try:
        return units.parse(text, dimension)
    except UsageError as error:
        raise UsageError(error.what, where=option, hint=error.hint) from None


def whole(option: str, dimension: str, text: str | None) -> int | None:
    """The same as an integer: bytes."""
    found = quantity(option, dimension, text)
    return None if found is None else int(found)


def names(text: str | None) -> tuple[str, ...]:
    """``a,b,c`` as a tuple; empty if not given."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def shapes(texts: list[str] | None) -> dict[str, tuple[int, ...]]:
    """``NAME=1,224,224,3`` as a mapping; without a name, the shape of the only input."""
    result: dict[str, tuple[int, ...]] = {}
    for text in texts or ():
        name, _, shape = text.rpartition("=")
        try:
            extents = tuple(int(part) for part in shape.replace("x", ",").split(","))
        except ValueError:
            raise UsageError(
                f"{text!r} is not a shape",
                where="--input-shape",
                hint="write it as 1,224,224,3 or NAME=1,224,224,3",
            ) from None
        result[name] = extents
    return result


def completion(kind: str | None) -> Callable[[str], list[str]] | None:
    """What the shell offers for an id: the profiles of a kind, or the zoo's models."""
    if kind is None:
        return None

    def offer(incomplete: str) -> list[str]:
        if kind == "models":
            from budget import zoo

            known = [f"zoo:{name}" for name in zoo.names()]
        else:
            from budget.hardware import library

            known = getattr(library, kind)()
        return [name for name in known if name.startswith(incomplete)]

    return offer


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A .tflite, .pb, .pbtxt, .keras or .h5 file, a SavedModel folder, or zoo:NAME.",
        autocompletion=completion("models"),
    ),
]
LifeModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        help="A .tflite, .pb, .pbtxt, .keras or .h5 file, a SavedModel folder, or zoo:NAME; the "
        "scenario's if not given.",
        autocompletion=completion("models"),
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
DeviceOption = Annotated[
    str, typer.Option("--device", "-d", help="A device's id ('budget devices') or a TOML file.")
]
RuntimeOption = Annotated[
    str | None,
    typer.Option("--runtime", help="The software that runs the model ('budget runtimes')."),
]
ClockOption = Annotated[str | None, typer.Option(help="Core clock, such as 40MHz.")]
VoltageOption = Annotated[str | None, typer.Option(help="Supply voltage, such as 3.3V.")]
RateOption = Annotated[str | None, typer.Option(help="Inferences, such as 1/s or 2/min.")]
DeadlineOption = Annotated[
    str | None, typer.Option(help="Longest allowed latency, such as 50ms; 1/rate if not given.")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", help="Where energy comes from ('budget sources').")
]
AreaOption = Annotated[str | None, typer.Option(help="Area of the harvester, such as 10cm2.")]
PrecisionOption = Annotated[
    str | None,
    typer.Option(help="What the device will run: int8, int16x8 or float32; the file's own if any."),
]
AsIsOption = Annotated[
    bool, typer.Option("--as-is", help="Judge the raw graph: fold and fuse nothing.")
]
InputsOption = Annotated[
    str | None, typer.Option("--inputs", help="Tensors to feed, comma-separated.")
]
OutputsOption = Annotated[
    str | None, typer.Option("--outputs", help="Tensors wanted, comma-separated.")
]
InputShapeOption = Annotated[
    list[str] | None,
    typer.Option("--input-shape", help="Shape of an input, such as 1,224,224,3 or NAME=1,96,96,1."),
]
FrontEndOption = Annotated[
    bool,
    typer.Option(
        "--front-end",
        help="Also what makes the input of sound, as specified in NAME.features.toml beside the "
        "model.",
    ),
]
FrontEndSpecOption = Annotated[
    Path | None, typer.Option(help="The same, with another specification.")
]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Show every figure used, with its source.")
]
