"""Builds emitted C on the host and calls it."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from budget.codegen import EmitOptions, emit
from budget.graph import Array
from budget.plan.program import Program

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow"]
WARNINGS += ["-Wdouble-promotion", "-Werror"]


def write(program: Program, folder: Path, options: EmitOptions, *, selftest: bool = False) -> None:
    """Writes the emitted files into a folder; recording a self-test takes its time."""
    for path, content in emit(program, options, selftest=selftest).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


class HostModel:
    """Emitted C as a shared library on this machine."""

    def __init__(
        self, program: Program, folder: Path, options: EmitOptions, flags: Sequence[str] = ("-O1",)
    ) -> None:
        write(program, folder, options)
        self.program = program
        self.name = options.name
        library = folder / f"lib{options.name}.so"
        command = ["gcc", *WARNINGS, *flags, "-fPIC", "-shared", "-o", str(library)]
        command += [str(folder / f"{options.name}.c"), "-lm"]
        subprocess.run(command, check=True, capture_output=True, text=True)
        self.library = ctypes.CDLL(str(library))
        self.function("init")()

    def function(self, suffix: str) -> ctypes._CFuncPtr:  # type: ignore[name-defined]
        return getattr(self.library, f"{self.name}_{suffix}")

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One inference."""
        graph, types = self.program.graph, self.program.types
        arrays = [np.ascontiguousarray(inputs[name]) for name in graph.inputs]
        results = {
            name: np.empty(types[name].shape, types[name].dtype.numpy) for name in graph.outputs
        }
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (*arrays, *results.values())]
        assert self.function("invoke")(*pointers) == 0
        return results


def random_inputs(program: Program, seed: int) -> dict[str, Array]:
    """Inputs over the whole range of each input's type."""
    generator = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name in program.graph.inputs:
        type = program.types[name]
        if type.dtype.is_float:
            found[name] = generator.normal(0, 1, type.shape).astype(np.float32)
        else:
            info = np.iinfo(type.dtype.numpy)
            found[name] = generator.integers(info.min, info.max + 1, type.shape, type.dtype.numpy)
    return found
