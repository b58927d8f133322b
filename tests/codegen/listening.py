"""Emitted front ends on this machine and on the virtual core."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from host import WARNINGS

from budget.codegen import EmitOptions, emit
from budget.core.build import build, find_compiler
from budget.core.elf import load_elf
from budget.core.machine import Machine
from budget.core.profile import Pricer, Profile
from budget.core.timing import timing_of
from budget.features import FeatureSpec, Named
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops.shaping import ReshapeAttributes
from budget.plan.program import Program


def any_model(spec: FeatureSpec) -> Graph:
    """A network that only reads the features: the front end is what is tested."""
    quant = QuantParams.per_tensor(spec.scale, spec.zero_point)
    type = TensorType((1, spec.frames, spec.coefficients), DType.INT8, quant)
    builder = GraphBuilder("any")
    builder.input("features", type)
    builder.tensor("out", type)
    builder.node("reshape", ["features"], ["out"], ReshapeAttributes(type.shape))
    builder.output("out")
    return builder.build()


class Listening:
    """Emitted front end and model as a shared library on this machine."""

    def __init__(
        self,
        program: Program,
        spec: FeatureSpec,
        folder: Path,
        options: EmitOptions | None = None,
        flags: Sequence[str] = ("-O1",),
    ) -> None:
        options = options or EmitOptions("heard")
        self.program, self.spec, self.name = program, spec, options.name
        files = emit(program, options, front_end=Named(spec, "test.features.toml", ""))
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        library = folder / "lib.so"
        sources = sorted(str(path) for path in folder.glob("*.c"))
        command = ["gcc", *WARNINGS, *flags, "-fPIC", "-shared", "-o", str(library), *sources]
        done = subprocess.run([*command, "-lm"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:4000]
        self.library = ctypes.CDLL(str(library))
        self.start()

    def start(self) -> None:
        self.function("init")()
        self.function("listen_init")()

    def function(self, suffix: str) -> ctypes._CFuncPtr:  # type: ignore[name-defined]
        return getattr(self.library, f"{self.name}_{suffix}")

    def listen(self, audio: np.ndarray, pieces: Iterable[int] = ()) -> int:
        """Hears sound, in pieces of these sizes and the rest at once; frames made."""
        made, audio = 0, np.ascontiguousarray(audio, np.int16)
        for count in (*pieces, len(audio)):
            part, audio = audio[:count], audio[count:]
            made += self.function("listen")(part.ctypes.data_as(ctypes.c_void_p), len(part))
        return made

    def features(self) -> np.ndarray:
        """What the model would read now."""
        function = self.function("features")
        function.restype = ctypes.POINTER(ctypes.c_int8)
        found = np.ctypeslib.as_array(function(), (self.spec.frames, self.spec.coefficients))
        return found.copy()

    def answer(self) -> tuple[int, np.ndarray]:
        """Status, and the model's first output."""
        type = self.program.types[self.program.graph.outputs[0]]
        found = np.zeros(type.shape, type.dtype.numpy)
        return self.function("answer")(found.ctypes.data_as(ctypes.c_void_p)), found


class VirtualListening:
    """Emitted front end and model on a virtual core."""

    def __init__(self, program: Program, spec: FeatureSpec, target: str = "cortex-m4") -> None:
        options = EmitOptions("heard", target=target)
        files = emit(
            program, options, selftest=False, front_end=Named(spec, "test.features.toml", "")
        )
        sources = {path: text for path, text in files.items() if path.endswith((".c", ".h"))}
        keep = [f"heard_{name}" for name in ("init", "listen_init", "listen", "features", "answer")]
        image = build(
            sources,
            target,
            keep=keep,
            compiler=find_compiler("gcc"),
            flags=(options.compiler_flag,),
        )
        self.elf, self.spec, self.program = load_elf(image.data), spec, program
        self.machine = Machine(self.elf)
        self.pricer = Pricer(self.machine, timing_of(target))
        self.place = self.machine.allocate(2 * spec.clip_samples)
        type = program.types[program.graph.outputs[0]]
        self.output = self.machine.allocate(type.size_bytes)
        self.machine.call("heard_init")
        self.machine.call("heard_listen_init")

    def listen(self, audio: np.ndarray) -> Profile:
        """Hears sound; its cycles, with each stage as a scope."""
        self.machine.write(self.place, np.ascontiguousarray(audio, np.int16).tobytes())
        stages = [s for s in self.elf.symbols.values() if s.name.startswith("front_end_")]
        run = self.machine.call("heard_listen", [self.place, len(audio)], count=True, scopes=stages)
        self.stack_bytes = run.stack_bytes
        return self.pricer.profile(run)

    def features(self) -> np.ndarray:
        """What the model would read now."""
        count = self.spec.frames * self.spec.coefficients
        place = self.machine.call("heard_features").result
        data = self.machine.read(place, count)
        return np.frombuffer(data, np.int8).reshape(self.spec.shape)

    def answer(self) -> np.ndarray:
        """The model's first output."""
        assert self.machine.call("heard_answer", [self.output]).result == 0
        type = self.program.types[self.program.graph.outputs[0]]
        data = self.machine.read(self.output, type.size_bytes)
        return np.frombuffer(data, type.dtype.numpy).reshape(type.shape)


def whole_clip(spec: FeatureSpec) -> FeatureSpec:
    """The same without the samples behind the last frame."""
    return replace(spec, clip_samples=spec.length_samples + spec.step_samples * (spec.frames - 1))
