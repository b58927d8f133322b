"""What the user decides about the emitted C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from budget.codegen.names import require_prefix
from budget.errors import UsageError
from budget.ops import Rounding

TARGETS = (
    "portable",
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
)
Optimise = Literal["time", "size", "balanced"]
Arena = Literal["static", "caller"]
Io = Literal["model", "float", "arena"]
Weights = Literal["header", "source"]
OPTIMISE: tuple[Optimise, ...] = get_args(Optimise)
ARENA: tuple[Arena, ...] = get_args(Arena)
IO: tuple[Io, ...] = get_args(Io)
WEIGHTS: tuple[Weights, ...] = get_args(Weights)


Choice = TypeVar("Choice", bound=str)


def choose(value: str, allowed: Sequence[Choice], option: str) -> Choice:
    """What an option's text stands for.

    Args:
        value: as the user writes it.
        allowed: what it may be.
        option: as on the command line, to name in errors.

    Raises:
        UsageError: it is something else.
    """
    for item in allowed:
        if item == value:
            return item
    raise UsageError(
        f"{value!r} is not possible", where=option, hint=f"one of {', '.join(allowed)}"
    )


@dataclass(frozen=True, slots=True)
class EmitOptions:
    """Options of `emit`.

    Attributes:
        name: prefix of every symbol and file.
        target: core to write for; ``portable`` is plain C99.
        optimise: ``time`` lets the compiler specialise a kernel for every layer, ``size`` shares
            one copy of each kernel, ``balanced`` shares where specialising gains little.
        arena: ``static`` keeps the arena in the emitted file, ``caller`` in a context struct.
        io: element type at the interface: the model's own, or ``float`` (converted on the way);
            ``arena`` hands out pointers into the arena and copies nothing.
        rounding: which family of TensorFlow Lite's integer kernels to equal.
        weights: ``header`` keeps constants private to NAME.c, ``source`` in NAME_weights.c.
    """

    name: str = "model"
    target: str = "portable"
    optimise: Optimise = "balanced"
    arena: Arena = "static"
    io: Io = "model"
    rounding: Rounding = Rounding.TFLITE
    weights: Weights = "header"

    def __post_init__(self) -> None:
        require_prefix(self.name)
        given: tuple[tuple[str, str, Sequence[str]], ...] = (
            ("--target", self.target, TARGETS),
            ("--optimise", self.optimise, OPTIMISE),
            ("--arena", self.arena, ARENA),
            ("--io", self.io, IO),
            ("--rounding", self.rounding, tuple(Rounding)),
            ("--weights", self.weights, WEIGHTS),
        )
        for option, value, allowed in given:
            choose(value, allowed, option)

    @property
    def upper(self) -> str:
        """Prefix of every macro."""
        return self.name.upper()

    @property
    def kernel_target(self) -> str:
        """Core whose tuned kernels may be used: they cost flash and RAM, so none for ``size``."""
        return "portable" if self.optimise == "size" else self.target

    @property
    def compiler_flag(self) -> str:
        """The level of optimisation that suits the choice."""
        return "-Os" if self.optimise == "size" else "-O2"
