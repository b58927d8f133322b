"""What a run on the virtual core showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from budget.core.flash import Waits
from budget.core.profile import Count
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Quantity


@dataclass(frozen=True)
class MeasuredLayer:
    """One step of the emitted program.

    Attributes:
        index: place in the order.
        name: of the layer in the model.
        operator: canonical operator.
        macs: multiply-accumulates.
        count: instructions and cycles, with everything it called.
        waits: more cycles, waiting for flash.
        flash_bytes: its own code and its constants.
        share_ratio: of all cycles.
    """

    index: int
    name: str
    operator: str
    macs: int
    count: Count
    waits: Waits
    flash_bytes: int
    share_ratio: float

    @property
    def cycles(self) -> int:
        """With waiting for flash."""
        return self.count.cycles + self.waits.cycles

    @property
    def cycles_per_mac(self) -> float | None:
        """None for a step without multiply-accumulates."""
        return self.cycles / self.macs if self.macs else None

    def to_json(self) -> dict[str, Any]:
        """The layer as JSON values."""
        return {
            "index": self.index,
            "name": self.name,
            "operator": self.operator,
            "macs": self.macs,
            "cycles": self.cycles,
            "zero_wait_cycles": self.count.cycles,
            "fetch_wait_cycles": self.waits.fetch_cycles,
            "data_wait_cycles": self.waits.data_cycles,
            "instructions": self.count.instructions,
            "cycles_per_mac": self.cycles_per_mac,
            "share_ratio": self.share_ratio,
            "flash_bytes": self.flash_bytes,
        }


@dataclass(frozen=True)
class Measurement:
    """One call on the virtual core.

    Attributes:
        name: of the model or the program.
        core: that was timed.
        timing: what the cycles of its instructions are from.
        compiler: version; empty for a program that was built elsewhere.
        flags: of the compiler.
        count: instructions and cycles at zero wait states.
        wait_states: of the flash at the clock; None where no device was given or known.
        waits: cycles spent waiting for flash.
        cycles: of the call, with the error known from silicon where a device is meant.
        macs: multiply-accumulates; 0 where they are not known.
        layers: steps in order; empty for a program that was not emitted by us.
        functions: cycles by function, without what they called, the most first.
        flash_bytes: by kind: code, constants, data.
        static_ram_bytes: initialised and zeroed variables, a static arena included.
        io_bytes: input and output buffers of the caller.
        stack_bytes: deepest use.
        arena_bytes: declared; None where there is none.
        arena_used_bytes: highest byte that the inference changed.
        outputs_agree: whether every recorded output was found; None where none is recorded.
        tolerant: whether floating-point outputs were compared with a tolerance.
        device: None if none was asked for.
        clock_hz: of the device.
        latency: at that clock.
        energy: while it runs.
        notes: what to know of the figures.
    """

    name: str
    core: str
    timing: str
    count: Count
    wait_states: int | None
    waits: Waits
    cycles: Quantity
    functions: Mapping[str, Count]
    flash_bytes: Mapping[str, int]
    static_ram_bytes: int
    stack_bytes: int
    compiler: str = ""
    flags: tuple[str, ...] = ()
    macs: int = 0
    layers: tuple[MeasuredLayer, ...] = ()
    io_bytes: int = 0
    arena_bytes: int | None = None
    arena_used_bytes: int | None = None
    outputs_agree: bool | None = None
    tolerant: bool = False
    device: Device | None = None
    clock_hz: float | None = None
    latency: Quantity | None = None
    energy: Quantity | None = None
    notes: tuple[str, ...] = ()

    @property
    def cycles_per_mac(self) -> float | None:
        """None where the multiply-accumulates are not known."""
        return float(self.cycles.value) / self.macs if self.macs else None

    @property
    def bit_exact(self) -> bool | None:
        """Whether every recorded output was equal in every bit; None where that is not known."""
        return None if self.tolerant and self.outputs_agree else self.outputs_agree

    @property
    def ram_bytes(self) -> int:
        """Variables, arena, stack, and input and output buffers."""
        return self.static_ram_bytes + self.stack_bytes + self.io_bytes

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA

        return {"schema": SCHEMA, "command": "measure", **self.values()}

    def values(self) -> dict[str, Any]:
        """The measurement as JSON values."""
        return {
            "name": self.name,
            "core": {"id": self.core, "timing": self.timing},
            "compiler": self.compiler,
            "flags": list(self.flags),
            "device": None if self.device is None else self.device.id,
            "clock_hz": self.clock_hz,
            "cycles": self.cycles.to_json(),
            "zero_wait_cycles": self.count.cycles,
            "stall_cycles": self.count.stall_cycles,
            "wait_states": self.wait_states,
            "fetch_wait_cycles": self.waits.fetch_cycles,
            "data_wait_cycles": self.waits.data_cycles,
            "instructions": self.count.instructions,
            "macs": self.macs,
            "cycles_per_mac": self.cycles_per_mac,
            "bit_exact": self.bit_exact,
            "outputs_agree": self.outputs_agree,
            "latency": None if self.latency is None else self.latency.to_json(),
            "energy": None if self.energy is None else self.energy.to_json(),
            "flash_bytes": {**self.flash_bytes, "total": sum(self.flash_bytes.values())},
            "ram_bytes": {
                "static": self.static_ram_bytes,
                "stack": self.stack_bytes,
                "io": self.io_bytes,
                "total": self.ram_bytes,
            },
            "arena_bytes": self.arena_bytes,
            "arena_used_bytes": self.arena_used_bytes,
            "layers": [layer.to_json() for layer in self.layers],
            "functions": {
                name: {"cycles": count.cycles, "instructions": count.instructions}
                for name, count in self.functions.items()
            },
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Comparison:
    """Two measurements side by side."""

    first: Measurement
    second: Measurement

    @property
    def cycles_ratio(self) -> float:
        """Cycles of the first for each of the second."""
        return float(self.first.cycles.value) / max(float(self.second.cycles.value), 1.0)

    def to_json(self) -> dict[str, Any]:
        """The document that `--against … --json` prints."""
        document = self.first.to_json()
        document["against"] = self.second.values()
        document["cycles_ratio"] = self.cycles_ratio
        return document
