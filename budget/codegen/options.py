"""What the user decides about the emitted C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from budget.errors import UsageError
from budget.ops import Rounding

TARGETS = ("portable", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


@dataclass(frozen=True, slots=True)
class EmitOptions:
    """Options of `emit`.

    Attributes:
        name: prefix of every symbol and file.
        target: core to write for; ``portable`` is plain C99.
        optimise: ``time`` lets the compiler specialise a kernel for every layer, ``size`` shares
            one copy of each kernel, ``balanced`` shares where specialising gains little.
        arena: ``static`` keeps the arena in the emitted file, ``caller`` in a context struct.
        io: element type at the interface: the model's own, or ``float`` (converted on the way).
        rounding: which family of TensorFlow Lite's integer kernels to equal.
    """

    name: str = "model"
    target: str = "portable"
    optimise: Literal["time", "size", "balanced"] = "balanced"
    arena: Literal["static", "caller"] = "static"
    io: Literal["model", "float", "arena"] = "model"
    rounding: Rounding = Rounding.TFLITE

    def __post_init__(self) -> None:
        for label, value, allowed in (
            ("--target", self.target, TARGETS),
            ("--optimise", self.optimise, ("time", "size", "balanced")),
            ("--arena", self.arena, ("static", "caller")),
            ("--io", self.io, ("model", "float", "arena")),
        ):
            if value not in allowed:
                raise UsageError(
                    f"{value!r} is not possible", where=label, hint=f"one of {', '.join(allowed)}"
                )
