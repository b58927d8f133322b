"""Measures emitted programs and makes the table that predictions of flash and RAM read.

Programs are compiled for Cortex-M4 in each mode of optimisation and linked by GNU ld with newlib
nano; their steps run one by one on the virtual core over painted memory, which shows the stack
that each changes. tests/benchmarks/code_size.py chooses the programs and writes
budget/codegen/code_bytes.json.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import util
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from budget.codegen.emit import render_library
from budget.codegen.footprint import (
    GCC,
    assembly,
    entry_key,
    library_key,
    named_stack,
    step_key,
)
from budget.codegen.kernels import text_of
from budget.codegen.options import ARENA, IO, OPTIMISE, EmitOptions, Optimise
from budget.codegen.source import Source, function_name, write_steps
from budget.core.elf import load_elf
from budget.core.machine import Machine
from budget.errors import MissingToolError
from budget.plan.program import Program

COMPILER = GCC
CPU = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
_ZIG = "thumb-freestanding-eabihf"
COMPILERS: Mapping[str, tuple[str, ...]] = {
    # name: how to compile; GNU ld links what each of them makes
    GCC: (GCC, *CPU),
    "clang": ("clang", "--target=arm-none-eabi", *CPU, "-fshort-enums"),
    "ziglang": (
        *(sys.executable, "-m", "ziglang", "cc", "-target", _ZIG, "-mcpu=cortex_m4+vfp4d16sp"),
        *("-fno-sanitize=undefined", "-fno-unwind-tables", "-g0"),
    ),
}
_FUNCTION = re.compile(r"^static (?:inline )?[a-z0-9_]+(?: \*)? ?([a-z0-9_]+)\(", re.M)
_NAME = "m"
_LINK = [
    *("-nostartfiles", "--specs=nano.specs"),
    "-Wl,--gc-sections,-e,main,-Map,map,--no-warn-rwx-segments,-Ttext=0x1000,-Tdata=0x20000000",
]

Make = Callable[[EmitOptions], Iterable[Program]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One emitted program, compiled and run.

    Attributes:
        sizes: bytes of code by function, without what the compiler appends to names.
        stacks: bytes of stack that each step's function, and NAME_invoke, changed.
        linked_bytes: flash after the linker has dropped what is unused, start-up and caller
            left out: code, constants, and what of the C library is called.
        library_bytes: the part of it that comes from the C library and the compiler's own.
        static_bytes: RAM of the program's own variables.
    """

    sizes: Mapping[str, int]
    stacks: Mapping[str, int]
    linked_bytes: int
    library_bytes: int
    static_bytes: int


def measure(source: Source, compiler: str = COMPILER, cpu: Sequence[str] | None = None) -> Measured:
    """Compiles, links and runs a written program.

    Args:
        source: written for the core.
        compiler: one of `COMPILERS`.
        cpu: flags of GCC for another core than Cortex-M4.

    Raises:
        MissingToolError: the compiler, or the GNU tools that link, are not installed.
    """
    require_compiler(compiler)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in render_library(source).items():
            (folder / path).write_text(text)
        (folder / "main.c").write_text(_caller(source))
        prefix = source.options.name
        flags = [source.options.compiler_flag, "-ffunction-sections", "-fdata-sections"]
        flags += _headers(compiler)
        command = COMPILERS[compiler] if cpu is None else (GCC, *cpu)
        for unit in (prefix, "main"):
            _run([*command, *flags, "-c", f"{unit}.c", "-o", f"{unit}.o"], folder)
        objects = [f"{prefix}.o", "main.o"]
        _run([GCC, *(cpu or CPU), *_LINK, "-o", "linked", *objects, "-lm"], folder)
        ours = _symbols(_run(["arm-none-eabi-nm", "-S", f"{prefix}.o"], folder))
        linked = _sections((folder / "map").read_text(), "text|rodata|data|ARM")
        library = sum(size for file, size in linked if file not in objects)
        total = library + sum(size for file, size in linked if file == objects[0])
        variables = _sections((folder / "map").read_text(), "bss|data(?!.rel.ro)|COMMON")
        static = sum(size for file, size in variables if file == objects[0])
        stacks = _stacks(source, (folder / "linked").read_bytes())
        return Measured(ours, stacks, total, library, static)


def require_compiler(compiler: str) -> None:
    """Checks that a compiler and the GNU tools are there.

    Raises:
        MissingToolError: they are not.
    """
    command = COMPILERS.get(compiler, (compiler,))
    missing = [name for name in (GCC, command[0]) if shutil.which(name) is None]
    if compiler == "ziglang" and util.find_spec("ziglang") is None:
        missing.append("the package ziglang")
    if missing:
        raise MissingToolError(
            f"{missing[-1]} is not installed",
            hint="Debian has gcc-arm-none-eabi and clang, PyPI has ziglang",
        )


def make_table(programs: Make, names: Iterable[str] = COMPILERS) -> dict[str, Any]:
    """The table of a number of programs: code, and stack that was changed.

    Args:
        programs: makes them for a choice of options.
        names: of compilers.
    """
    jobs = [(name, mode) for name in names for mode in OPTIMISE]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda job: _make_mode(programs, *job), jobs))
    found: dict[str, Any] = {}
    for (name, mode), table in zip(jobs, made):
        version = _run([COMPILERS[name][0], *_version(name)], Path()).splitlines()[0].strip()
        entry = found.setdefault(name, {"version": version, "modes": {}})
        entry["modes"][mode] = table
    return {"cpu": " ".join(CPU), "library": "newlib nano", "compilers": found}


def _version(compiler: str) -> list[str]:
    return ["-m", "ziglang", "cc", "--version"] if compiler == "ziglang" else ["--version"]


Sizes = defaultdict[str, list[tuple[int, float]]]


@dataclass
class _Found:
    """What was measured of one mode so far, each by its key in the table.

    Sizes come with the number of inputs and outputs of the program that they are from.
    """

    steps: dict[str, dict[str, list[tuple[int, int]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    shared: Sizes = field(default_factory=lambda: defaultdict(list))
    helpers: Sizes = field(default_factory=lambda: defaultdict(list))
    library: Sizes = field(default_factory=lambda: defaultdict(list))
    interface: Sizes = field(default_factory=lambda: defaultdict(list))
    entries: dict[str, int] = field(default_factory=dict)

    def add(self, source: Source, measured: Measured) -> None:
        """Adds a program."""
        by_hand = assembly(source)
        ports = len(source.interface.inputs) + len(source.interface.outputs)
        left = {name: size for name, size in measured.sizes.items() if name not in by_hand}
        for step, code in source.steps:
            name = function_name(step)
            key, numbers = step_key(source, step, code)
            stack = max(measured.stacks[name] - named_stack(code, by_hand), 0)
            self.steps[key][numbers].append((left.pop(name, 0), stack))
        for name in source.sharing.shared:
            size = left.pop(f"{name}_shared", 0) or left.pop(name, 0)
            self.shared[name].append((ports, size))
        for file in source.kernel_files:
            functions = _FUNCTION.findall(text_of(file))
            self.helpers[file].append((ports, sum(left.pop(name, 0) for name in functions)))
        switch = left.pop(f"{_NAME}_step", 0)
        self.interface["per_step"].append((ports, switch / max(len(source.steps), 1)))
        self.interface["base"].append((ports, sum(left.values())))
        self.library[library_key(source)].append((ports, measured.library_bytes))
        inner = max((measured.stacks[function_name(s)] for s, _ in source.steps), default=0)
        whole = measured.stacks[f"{_NAME}_invoke"]
        if inner > _INTERFACE_STACK:
            key = entry_key(source)
            self.entries[key] = max(self.entries.get(key, 0), whole - inner)

    def table(self) -> dict[str, Any]:
        """Means of sizes, and the most of stack."""
        steps = {
            key: {
                numbers: [round(fmean(size for size, _ in seen)), max(stack for _, stack in seen)]
                for numbers, seen in sorted(by_numbers.items())
            }
            for key, by_numbers in sorted(self.steps.items())
        }
        calls = [e for key, p in steps.items() if key.startswith("call ") for e in p.values()]
        shared = _means(self.shared)
        return {
            "steps": steps,
            "mean_step": _mean([entry for known in steps.values() for entry in known.values()]),
            "mean_call": _mean(calls),
            "shared": shared,
            "mean_shared": round(fmean(shared.values() or [0])),
            "helpers": _means(self.helpers),
            "library": _means(self.library),
            "interface": {
                **_means(self.interface, 2),
                "stack": dict(sorted(self.entries.items())),
            },
        }


def _means(sizes: Sizes, digits: int | None = None) -> dict[str, float]:
    """The mean of each, over the programs with the fewest inputs and outputs: they are networks."""
    found = {}
    for key, seen in sorted(sizes.items()):
        fewest = min(ports for ports, _ in seen)
        found[key] = round(fmean(size for ports, size in seen if ports == fewest), digits)
    return found


def _mean(entries: list[list[int]]) -> list[int]:
    """Mean code and most stack."""
    return [
        round(fmean([entry[0] for entry in entries] or [0])),
        max((entry[1] for entry in entries), default=0),
    ]


_INTERFACE_STACK = 64
"""Steps that need less than this do not tell what lies above them: copying needs as much."""


def _make_mode(programs: Make, compiler: str, mode: Optimise) -> dict[str, Any]:
    found = _Found()
    options = EmitOptions(_NAME, "cortex-m4", mode)
    first: Program | None = None
    for program in programs(options):
        first = first or program
        source = write_steps(program, options)
        found.add(source, measure(source, compiler))
    if first is not None:
        for arena, io in product(ARENA, IO):
            if (arena, io) == (options.arena, options.io):
                continue  # as all programs above
            source = write_steps(first, replace(options, arena=arena, io=io))
            stacks = measure(source, compiler).stacks
            inner = max(stacks[function_name(step)] for step, _ in source.steps)
            found.entries[entry_key(source)] = stacks[f"{_NAME}_invoke"] - inner
    return {"flags": options.compiler_flag, **found.table()}


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


def _headers(compiler: str) -> list[str]:
    """Where compilers without a C library find the headers of newlib."""
    if compiler == GCC:
        return []
    root = _run([GCC, "-print-sysroot"], Path()).strip()
    folder = Path(root) / "include" if root else Path("/usr/lib/arm-none-eabi/include")
    return ["-isystem", str(folder), "-isystem", "/usr/include/newlib"]


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


def _sections(text: str, kinds: str) -> list[tuple[str, int]]:
    """File and bytes of every section of these kinds, from the linker's map."""
    found = []
    placed = text.partition("Linker script and memory map")[2]
    row = rf"^ \.?(?:{kinds})\S*\s+0x[0-9a-f]+\s+(0x[0-9a-f]+) (\S+)$"
    for match in re.finditer(row, placed, re.M):
        file = re.sub(r".*[/\\]", "", match[2])
        found.append((file, int(match[1], 16)))
    return found


def _stacks(source: Source, linked: bytes) -> dict[str, int]:
    """Stack that each step changes when it runs on its own, and that NAME_invoke changes."""
    machine = Machine(load_elf(linked))
    symbols, prefix = machine.elf.symbols, source.options.name
    room = machine.allocate(source.program.arena_bytes + 64)
    names = {_plain(name): name for name in symbols if name.startswith("step_")}
    call = partial(machine.call, limit_s=600.0)
    found = {}
    for step, _ in source.steps:
        name = function_name(step)
        found[name] = call(names[name], [room]).stack_bytes
    arguments = [room] if source.options.arena == "caller" else []
    call(f"{prefix}_init", arguments)
    if source.options.io != "arena":
        for port in (*source.interface.inputs, *source.interface.outputs):
            arguments.append(machine.allocate(4 * port.type.element_count))
    found[f"{prefix}_invoke"] = call(f"{prefix}_invoke", arguments).stack_bytes
    return found
