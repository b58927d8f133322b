"""Measured RAM against planned RAM, for the networks whose architecture the zoo can build.

Memory does not depend on weights, so an architecture with random weights has the plan of the
trained network. TFLM's truth is its own arena on an emulated Cortex-M4; Cube.AI's is ST's tables:
activations plus the runtime's own data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from budget.estimate.inference import ram_need
from budget.hardware import library
from budget.plan import plan
from budget.plan.precision import Precision
from budget.plan.program import Program
from budget.tuning.measurements import Measurement

# How far off TFLM's arena may be and still count as told.
_ARENA_RATIO = 1.02


@dataclass(frozen=True)
class RamCheck:
    """RAM of one network under one runtime, in bytes."""

    row: Measurement
    measured_bytes: int
    predicted_bytes: float
    low_bytes: float
    high_bytes: float

    @property
    def error_ratio(self) -> float:
        """How far the prediction is off, relative to the measurement."""
        return abs(self.predicted_bytes / self.measured_bytes - 1.0)

    @property
    def is_inside(self) -> bool:
        """Whether the measurement lies in the 90 % interval."""
        return self.low_bytes <= self.measured_bytes <= self.high_bytes


def architecture_of(network: str) -> str | None:
    """Name of a measured network in the zoo; None where the zoo cannot build it."""
    named = {
        "ad": "autoencoder",
        "ic": "resnet8",
        "kws": "ds_cnn",
        "vww": "mobilenet_v1?alpha=0.25&resolution=96&classes=2",
        "resnet_v1_8_32_int8": "resnet8",
    }
    if network in named:
        return named[network]
    found = re.fullmatch(r"(mobilenet_v[12])_([\d.]+)_(\d+)(_fft)?_int8", network)
    if found is None:
        return None
    return f"{found[1]}?alpha={found[2]}&resolution={found[3]}&classes=5"


def check_ram(rows: Iterable[Measurement]) -> list[RamCheck]:
    """Every row with a RAM figure of a network that the zoo can build, each figure once."""
    found: dict[object, RamCheck] = {}
    for row in rows:
        sizes = row.bytes_by_name
        name = architecture_of(row.network)
        if name is None or not ({"arena", "activation"} & sizes.keys()):
            continue
        runtime = library.runtime(row.runtime)
        if "arena" in sizes:
            program = _planned(name, row.runtime, False)
            arena = program.arena_bytes
            check = RamCheck(row, sizes["arena"], arena, arena / _ARENA_RATIO, arena * _ARENA_RATIO)
        else:
            program = _planned(name, row.runtime, runtime.removes_constant_channels)
            need = ram_need(program, runtime)
            stack = runtime.ram.stack_bytes.value if runtime.ram.stack_bytes else 0.0
            measured = sizes["activation"] + sizes.get("runtime_ram", 0)
            check = RamCheck(
                row,
                measured,
                float(need.value) - stack,
                float(need.low) - stack,
                float(need.high) - stack,
            )
        found.setdefault((row.runtime, row.version, row.network, check.measured_bytes), check)
    return list(found.values())


@lru_cache(maxsize=64)
def _planned(name: str, runtime: str, removes: bool) -> Program:
    from budget import zoo

    return plan(
        zoo.load(name),
        runtime=runtime,
        precision=Precision.INT8,
        remove_constant_channels=removes,
    )
