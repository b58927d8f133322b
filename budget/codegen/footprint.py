"""Flash and RAM of the emitted program, predicted from tables of measured code sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from budget.codegen.source import Source


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the emitted program needs.

    Attributes:
        constant_bytes: weights, biases, multipliers and other tables in flash.
        arena_bytes: RAM of activations, scratch and state.
        io_bytes: RAM of the caller's input and output buffers; 0 where they are in the arena.
    """

    constant_bytes: int
    arena_bytes: int
    io_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {
            "constant_bytes": self.constant_bytes,
            "arena_bytes": self.arena_bytes,
            "io_bytes": self.io_bytes,
        }


def predict(source: Source) -> Footprint:
    """Predicts flash and RAM of the written steps."""
    interface = source.interface
    io_bytes = 0
    if source.options.io != "arena":
        for port in (*interface.inputs, *interface.outputs):
            width = 4 if port.converts else 1
            io_bytes += port.type.element_count * width if port.converts else port.type.size_bytes
    return Footprint(
        sum(table.size_bytes for table in source.tables),
        source.program.arena_bytes,
        io_bytes,
    )
