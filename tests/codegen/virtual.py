"""Builds emitted C for a virtual Cortex-M and calls it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from budget.codegen import EmitOptions, emit
from budget.core.build import build, find_compiler
from budget.core.elf import load_elf
from budget.core.machine import Machine
from budget.core.profile import Pricer, Profile
from budget.core.timing import timing_of
from budget.graph import Array
from budget.plan.program import Program

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
CLANG = ("-Wno-unused-command-line-argument",)


class VirtualModel:
    """Emitted C on a virtual core."""

    def __init__(self, program: Program, options: EmitOptions, compiler: str = "gcc") -> None:
        sources = {
            path: content
            for path, content in emit(program, options).items()
            if path.endswith((".c", ".h")) and "selftest" not in path and "/" not in path
        }
        self.program = program
        self.name = options.name
        keep = [f"{options.name}_{suffix}" for suffix in ("init", "invoke")]
        flags = (options.compiler_flag, *STRICT, *(CLANG if compiler == "zig" else ()))
        image = build(
            sources, options.target, keep=keep, compiler=find_compiler(compiler), flags=flags
        )
        self.elf = load_elf(image.data)
        self.machine = Machine(self.elf)
        self.pricer = Pricer(self.machine, timing_of(options.target))
        self.machine.call(keep[0])
        graph, types = program.graph, program.types
        self.places = {
            name: self.machine.allocate(types[name].size_bytes)
            for name in (*graph.inputs, *graph.outputs)
        }

    def run(
        self, inputs: Mapping[str, Array], *, count: bool = False
    ) -> tuple[dict[str, Array], Profile | None]:
        """One inference: its outputs and, if asked for, its cycles."""
        graph, types = self.program.graph, self.program.types
        for name in graph.inputs:
            self.machine.write(self.places[name], np.ascontiguousarray(inputs[name]).tobytes())
        steps = [s for s in self.elf.symbols.values() if s.name.startswith("step_")]
        run = self.machine.call(
            f"{self.name}_invoke", list(self.places.values()), count=count, scopes=steps
        )
        results = {}
        for name in graph.outputs:
            data = self.machine.read(self.places[name], types[name].size_bytes)
            found = np.frombuffer(data, types[name].dtype.numpy)
            results[name] = found.reshape(types[name].shape)
        self.last = run
        return results, self.pricer.profile(run) if count else None

    def mix(self) -> list[tuple[str, dict[str, int]]]:
        """What each step of the last counted run spent its cycles on."""
        return self.pricer.mix(self.last)
