"""Reference networks: small trained models that ship as files, and architectures built by code.

``zoo:hotword`` names a file that ships (`shipped_path`); ``zoo:mobilenet_v1?alpha=0.25`` an
architecture with random weights (`load`), for what does not depend on weights: counts, memory,
time, energy.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budget.errors import UsageError

if TYPE_CHECKING:
    from budget.graph.graph import Graph

MODELS = Path(__file__).parent / "models"

ARCHITECTURES = (
    "autoencoder",
    "digits_cnn",
    "ds_cnn",
    "hotword_fc",
    "inception_v1",
    "mobilenet_v1",
    "mobilenet_v2",
    "resnet8",
)


def shipped() -> tuple[str, ...]:
    """Names of the models that ship as files, in alphabetical order."""
    return tuple(sorted(path.stem for path in MODELS.glob("*.tflite")))


def names() -> tuple[str, ...]:
    """Every name that may stand behind ``zoo:``, shipped models first."""
    return shipped() + ARCHITECTURES


def shipped_path(name: str) -> Path | None:
    """The .tflite file of a shipped model; None for an architecture.

    Raises:
        UsageError: the zoo has no such name, or options follow the name of a shipped model.
    """
    plain, _, query = name.partition("?")
    if plain in ARCHITECTURES:
        return None
    if plain not in shipped():
        raise _unknown(plain)
    if query:
        raise UsageError(
            f"{plain!r} is a file that ships and takes no options", where=f"zoo:{name}"
        )
    return MODELS / f"{plain}.tflite"


def load(name: str, **options: Any) -> Graph:
    """An architecture with seeded random weights as a canonical float graph.

    Args:
        name: such as ``mobilenet_v1``, options behind a question mark:
            ``mobilenet_v1?alpha=0.25&resolution=96&classes=2``.
        options: the same as keywords; they win over those in the name.

    Raises:
        UsageError: no such architecture or option, or a value that makes no sense; a shipped
            model is a file for a reader, see `shipped_path`.
    """
    plain, _, query = name.partition("?")
    if plain not in ARCHITECTURES:
        if plain in shipped():
            raise UsageError(
                f"{plain!r} is a file that ships, not an architecture",
                where=f"zoo:{name}",
                hint="read the file that budget.zoo.shipped_path names",
            )
        raise _unknown(plain)
    graph: Graph = import_module("budget.zoo.architectures").build(plain, query, options)
    return graph


def _unknown(name: str) -> UsageError:
    return UsageError(
        f"the zoo has no {name!r}", where=f"zoo:{name}", hint=f"it has {', '.join(names())}"
    )
