"""Measures the code of emitted programs and makes the table that predictions read.

Programs are compiled with ``arm-none-eabi-gcc`` for Cortex-M4 in each mode of optimisation;
tests/benchmarks/code_size.py chooses the programs and writes budget/codegen/code_bytes.json.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from budget.codegen.emit import render_library
from budget.codegen.footprint import assembly, library_key, step_key
from budget.codegen.kernels import text_of
from budget.codegen.options import OPTIMISE, EmitOptions
from budget.codegen.source import Source, function_name, write_steps
from budget.errors import MissingToolError
from budget.plan.program import Program

COMPILER = "arm-none-eabi-gcc"
CPU = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
_NODE = re.compile(r'node: \{ title: "([^"]+)"(?: label: "([^"]*?)(\d+) bytes \(([a-z,]+)\)")?')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FUNCTION = re.compile(r"^static (?:inline )?[a-z0-9_]+(?: \*)? ?([a-z0-9_]+)\(", re.M)
_NAME = "m"


@dataclass(frozen=True, slots=True)
class Measured:
    """One emitted program, compiled.

    Attributes:
        sizes: bytes of code by function, without what the compiler appends to names.
        stacks: deepest stack of each function with all that it calls.
        linked_bytes: flash after the linker has dropped what is unused, start-up and caller
            left out: code, constants, and what of the C library is called.
        library_bytes: the part of it that comes from the C library and the compiler's own.
    """

    sizes: Mapping[str, int]
    stacks: Mapping[str, int]
    linked_bytes: int
    library_bytes: int


def measure(source: Source, compiler: str = COMPILER, cpu: Iterable[str] = tuple(CPU)) -> Measured:
    """Compiles and links a written program.

    Raises:
        MissingToolError: the compiler is not installed.
    """
    if shutil.which(compiler) is None:
        raise MissingToolError(
            f"{compiler} is not installed", hint="Debian has it as gcc-arm-none-eabi"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in render_library(source).items():
            (folder / path).write_text(text)
        (folder / "main.c").write_text(_caller(source))
        flags = [*cpu, source.options.compiler_flag, "-ffunction-sections", "-fdata-sections"]
        prefix = source.options.name
        _run([compiler, *flags, "-fcallgraph-info=su", "-c", f"{prefix}.c"], folder)
        _run([compiler, *flags, "-c", "main.c"], folder)
        link = ["-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections,-e,main,-Map,map"]
        objects = [f"{prefix}.o", "main.o"]
        _run([compiler, *flags, *link, "-o", "linked", *objects, "-lm"], folder)
        tools = compiler.removesuffix("gcc")
        ours = _symbols(_run([f"{tools}nm", "-S", f"{prefix}.o"], folder))
        linked = _sections((folder / "map").read_text())
        library = sum(size for file, size in linked if file not in objects)
        total = library + sum(size for file, size in linked if file == f"{prefix}.o")
        by_hand = {name: stack for name, (_, stack) in assembly(source).items()}
        stacks = _stacks((folder / f"{prefix}.ci").read_text(), by_hand)
        return Measured(ours, stacks, total, library)


def make_table(programs: Iterable[Program]) -> dict[str, Any]:
    """The table of a number of programs: mean code, deepest stack."""
    programs = list(programs)
    version = _run([COMPILER, "--version"], Path()).splitlines()[0]
    with ThreadPoolExecutor() as pool:
        modes = dict(zip(OPTIMISE, pool.map(partial(_make_mode, programs), OPTIMISE)))
    return {"compiler": version, "cpu": " ".join(CPU), "library": "newlib nano", "modes": modes}


def _make_mode(programs: Iterable[Program], mode: str) -> dict[str, Any]:
    options = EmitOptions(_NAME, optimise=mode)  # type: ignore[arg-type]
    steps: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    shared: dict[str, list[int]] = defaultdict(list)
    helpers: dict[str, list[int]] = defaultdict(list)
    library: dict[str, list[int]] = defaultdict(list)
    bases, per_step, stack = [], [], 0
    for program in programs:
        source = write_steps(program, options)
        measured = measure(source)
        by_hand = assembly(source)
        left = {name: size for name, size in measured.sizes.items() if name not in by_hand}
        deepest_by_hand = max((stack for _, stack in by_hand.values()), default=0)
        for step, code in source.steps:
            name = function_name(step)
            key, marks = step_key(source, step, code)
            deepest = max(measured.stacks.get(name, 0) - deepest_by_hand, 0)
            steps[key][marks].append((left.pop(name, 0), deepest))
        for name in source.sharing.shared:
            found = left.pop(f"{name}_shared", 0) or left.pop(name, 0)
            shared[name].append(found)
        for file in source.kernel_files:
            functions = _FUNCTION.findall(text_of(file))
            helpers[file].append(sum(left.pop(name, 0) for name in functions))
        switch = left.pop(f"{_NAME}_step", 0)
        per_step.append(switch / max(len(source.steps), 1))
        bases.append(sum(left.values()))
        library[library_key(source)].append(measured.library_bytes)
        whole = measured.stacks.get(f"{_NAME}_invoke", 0)
        inner = max((measured.stacks.get(function_name(s), 0) for s, _ in source.steps), default=0)
        stack = max(stack, whole - inner)
    found_steps = {
        key: {
            marks: [round(fmean(size for size, _ in values)), max(deep for _, deep in values)]
            for marks, values in sorted(patterns.items())
        }
        for key, patterns in sorted(steps.items())
    }
    calls = [e for key, p in found_steps.items() if key.startswith("call ") for e in p.values()]
    entries = [entry for patterns in found_steps.values() for entry in patterns.values()]
    found_shared = {name: round(fmean(sizes)) for name, sizes in sorted(shared.items())}
    return {
        "flags": options.compiler_flag,
        "steps": found_steps,
        "mean_step": [round(fmean(e[0] for e in entries)), max(e[1] for e in entries)],
        "mean_call": [
            round(fmean([e[0] for e in calls] or [0])),
            max((e[1] for e in calls), default=0),
        ],
        "shared": found_shared,
        "mean_shared": round(fmean(found_shared.values() or [0])),
        "helpers": {name: round(fmean(sizes)) for name, sizes in sorted(helpers.items())},
        "library": {key: round(fmean(sizes)) for key, sizes in sorted(library.items())},
        "interface": {
            "base": round(fmean(bases)),
            "per_step": round(fmean(per_step), 2),
            "stack": stack,
        },
    }


def _caller(source: Source) -> str:
    """A program that calls init and invoke and nothing else."""
    name, interface = source.options.name, source.interface
    lines = [f'#include "{name}.h"']
    arguments = []
    if source.options.arena == "caller":
        lines.append(f"static {name}_context context;")
        arguments.append("&context")
    context = ", ".join(arguments)
    if source.options.io != "arena":
        for port in (*interface.inputs, *interface.outputs):
            lines.append(f"{port.c_type} {port.parameter}[{port.type.element_count}];")
            arguments.append(port.parameter)
    call = f"{name}_init({context}); return {name}_invoke({', '.join(arguments)});"
    return "\n".join([*lines, f"int main(void) {{ {call} }}", ""])


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def _plain(symbol: str) -> str:
    """A function's name without ``.constprop.0``, ``.isra.0``, ``.part.0``."""
    return symbol.rpartition(":")[2].partition(".")[0]


def _symbols(text: str) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 4 and parts[2] in "tT":
            found[_plain(parts[3])] += int(parts[1], 16)
    return found


def _sections(text: str) -> list[tuple[str, int]]:
    """File and bytes of every section in flash, from the linker's map."""
    found = []
    placed = text.partition("Linker script and memory map")[2]
    row = r"^ (\.(?:text|rodata|data)\S*)\s+0x[0-9a-f]+\s+(0x[0-9a-f]+) (\S+)$"
    for match in re.finditer(row, placed, re.M):
        file = re.sub(r".*[/\\]", "", match[3])
        found.append((file, int(match[2], 16)))
    return found


def _stacks(text: str, by_hand: Mapping[str, int]) -> dict[str, int]:
    """Deepest stack of every function: its own frame and the deepest of what it calls.

    The compiler knows nothing of functions in assembly; only these are called through pointers.
    """
    frames = {match[1]: int(match[3] or 0) for match in _NODE.finditer(text)}
    frames |= {name: by_hand[_plain(name)] for name in frames if _plain(name) in by_hand}
    frames["__indirect_call"] = max(by_hand.values(), default=0)
    calls: dict[str, set[str]] = defaultdict(set)
    for match in _EDGE.finditer(text):
        calls[match[1]].add(match[2])
    deepest: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in deepest:
            inner = max((depth(callee) for callee in calls[name]), default=0)
            deepest[name] = frames.get(name, 0) + inner
        return deepest[name]

    found: dict[str, int] = {}
    for name in frames:
        found[_plain(name)] = max(found.get(_plain(name), 0), depth(name))
    return found
