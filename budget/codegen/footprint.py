"""Flash and RAM of the emitted program, predicted from a table of measured sizes.

The table (code_bytes.json, made by tests/benchmarks/code_size.py) holds, for Cortex-M4 and each
compiler, bytes of code and of stack of steps by the kernel function they call and by their literal
arguments, which decide what the compiler leaves out and what it keeps on the stack; code of each
shared kernel, of the helper functions of each kernel file, and of what is linked from the C
library, by the mathematical functions used; and the interface. Stack is what a step was seen to
change, on painted memory. Functions in assembly are counted instruction by instruction. Kernels
that are tuned for cores without DSP instructions were measured on Cortex-M3 and M0+, with GCC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import log2
from pathlib import Path
from typing import Any

from budget.codegen import kernels
from budget.codegen.context import StepCode
from budget.codegen.options import EmitOptions
from budget.codegen.source import Source
from budget.codegen.thumb import assembly_functions
from budget.plan.program import Step

TABLE = "code_bytes.json"
GCC = "arm-none-eabi-gcc"
_TABLE_CORE = "cortex-m4"
_ALIGNMENT_BYTES = 8  # of the arena, which holds numbers of 64 bits where the model has any
NEAREST = 3
"""So many entries of the most similar shapes say what a step without an entry needs."""
_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\(")
_WORD = re.compile(r"\b[a-z_][a-z0-9_]*\b")
_MATHS = re.compile(r"\b((?:exp|expm1|log|log1p|sqrt|pow|tanh|erf|floor|round|rint)f)\(")
_NUMBER = re.compile(r"\(?(-?[0-9]+)\)?$")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the emitted program needs; start-up code and the caller's own are left out.

    Attributes:
        constant_bytes: weights, biases, multipliers and other tables in flash.
        code_bytes: predicted machine code, with the C library's functions it calls.
        arena_bytes: RAM of activations, scratch and state, in whole words of 8 bytes.
        stack_bytes: predicted deepest stack below the caller of NAME_invoke.
        io_bytes: RAM of the caller's input and output buffers; 0 where they are in the arena.
        compiler: that the table was made with.
        unknown: kernels that the table lacks; a mean stands for them.
        core: whose code the table holds for the target's own kernels.
    """

    constant_bytes: int
    code_bytes: int
    arena_bytes: int
    stack_bytes: int
    io_bytes: int
    compiler: str
    unknown: tuple[str, ...]
    core: str

    @property
    def flash_bytes(self) -> int:
        """Constants and code."""
        return self.constant_bytes + self.code_bytes

    @property
    def ram_bytes(self) -> int:
        """Arena, stack, and the caller's buffers."""
        return self.arena_bytes + self.stack_bytes + self.io_bytes

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {
            "flash_bytes": self.flash_bytes,
            "ram_bytes": self.ram_bytes,
            "constant_bytes": self.constant_bytes,
            "code_bytes": self.code_bytes,
            "arena_bytes": self.arena_bytes,
            "stack_bytes": self.stack_bytes,
            "io_bytes": self.io_bytes,
            "core": self.core,
            "compiler": self.compiler,
            "excluded": "start-up code, the caller, the self-test",
            "kernels_not_in_table": list(self.unknown),
        }


@cache
def load_table() -> dict[str, Any]:
    """The table of sizes that ships."""
    return dict(json.loads(Path(__file__).with_name(TABLE).read_text(encoding="utf-8")))


def compilers() -> tuple[str, ...]:
    """The compilers that the table knows."""
    return tuple(load_table()["compilers"])


def step_key(source: Source, step: Step, code: StepCode) -> tuple[str, str]:
    """The kernel functions that a step calls, and the literals it gives them."""
    called = [name for name in _called(code.statements) if name in source.sharing.functions]
    own = "own" if source.sharing.is_own(step, called) else "call"
    numbers = ",".join(map(str, literals(code.statements)))
    return f"{own} {'+'.join(called) or step.node.op}", numbers


def literals(statements: Sequence[str]) -> list[int]:
    """The literal integers among the arguments of statements, in order."""
    return [number for text in statements for number in _literals_of(text)]


@lru_cache(maxsize=4096)
def _literals_of(statement: str) -> tuple[int, ...]:
    parts = [part.strip() for part in re.split(r"[(),]", statement)]
    return tuple(int(number[1]) for number in map(_NUMBER.match, parts) if number)


def predict(
    source: Source, table: Mapping[str, Any] | None = None, compiler: str = GCC
) -> Footprint:
    """Predicts flash and RAM of the written steps.

    Args:
        source: the written steps.
        table: of measured sizes; the one that ships if not given.
        compiler: one of those in the table.
    """
    tables = load_table() if table is None else table
    whole = tables["compilers"][compiler]
    mode, core = whole["modes"][source.options.optimise], _TABLE_CORE
    if compiler == GCC:
        mode, core = _with_core(mode, tables.get("cores", {}), source.options)
    by_hand = assembly(source)
    code, deepest = 0.0, 0
    unknown: list[str] = []
    known: dict[tuple[str, str], tuple[float, int] | None] = {}
    for step, written in source.steps:
        key, numbers = step_key(source, step, written)
        if (key, numbers) not in known:
            known[key, numbers] = _step_entry(mode["steps"], key, numbers)
        found = known[key, numbers]
        if found is None and key.startswith("call ") and f"own{key[4:]}" in mode["steps"]:
            found = mode["mean_call"]
        elif found is None:
            unknown.append(key.partition(" ")[2])
            found = mode["mean_step"]
        code += found[0]
        deepest = max(deepest, found[1] + named_stack(written, by_hand))
    for name in sorted(source.sharing.shared):
        alone = _step_entry(mode["steps"], f"own {name}", "")
        code += mode["shared"].get(name, mode["mean_shared"] if alone is None else alone[0])
    code += sum(size for size, _ in by_hand.values())
    for file in source.kernel_files:
        code += mode["helpers"].get(file, 0)
    code += _library_bytes(mode["library"], library_key(source))
    interface = mode["interface"]
    code += interface["base"] + interface["per_step"] * len(source.steps)
    return Footprint(
        sum(table.size_bytes for table in source.tables),
        round(code),
        -(-max(source.program.arena_bytes, 1) // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES,
        deepest + interface["stack"].get(entry_key(source), max(interface["stack"].values())),
        _io_bytes(source),
        whole["version"],
        tuple(sorted(set(unknown))),
        core,
    )


def _with_core(
    mode: Mapping[str, Any], cores: Mapping[str, Any], options: EmitOptions
) -> tuple[Mapping[str, Any], str]:
    """The table of a mode with what was measured of kernels for the target alone, and its core."""
    core = "cortex-m0plus" if options.target == "cortex-m0" else options.target
    own = cores.get(core, {}).get(options.optimise)
    if own is None:
        return mode, _TABLE_CORE
    return {**mode, **{name: {**mode[name], **known} for name, known in own.items()}}, core


def assembly(source: Source) -> dict[str, tuple[int, int]]:
    """Code and stack of the functions in assembly: of shared files, and of single steps."""
    parts = [kernels.text_of(file) for file in source.kernel_files]
    parts += dict.fromkeys(text for _, code in source.steps for text in code.functions)
    return assembly_functions("\n".join(parts))


def named_stack(code: StepCode, by_hand: Mapping[str, tuple[int, int]]) -> int:
    """Deepest stack of the functions in assembly that a step names."""
    names = set(_WORD.findall("\n".join(code.statements))) & set(by_hand)
    return max((by_hand[name][1] for name in names), default=0)


def entry_key(source: Source) -> str:
    """What the stack above the steps depends on: the form of the interface and its arguments."""
    ports = len(source.interface.inputs) + len(source.interface.outputs)
    count = 0 if source.options.io == "arena" else ports
    return f"{source.options.arena} {source.options.io} {min(count, 6)}"


def library_key(source: Source) -> str:
    """The mathematical functions of the C library that the program's kernels mention."""
    text = "".join(kernels.text_of(file) for file in source.kernel_files)
    return "+".join(sorted(set(_MATHS.findall(text))))


def _library_bytes(known: Mapping[str, int], key: str) -> int:
    """Bytes of the C library behind these functions, or behind the most similar set of them."""
    wanted = set(key.split("+"))
    return known[min(known, key=lambda other: (len(wanted ^ set(other.split("+"))), other))]


def _called(statements: Sequence[str]) -> Iterator[str]:
    for statement in statements:
        yield from _CALL.findall(statement)


def _step_entry(
    steps: Mapping[str, Mapping[str, Sequence[int]]], key: str, numbers: str
) -> tuple[float, int] | None:
    """Code and stack of the same literals, or of the most similar ones of the same kernel."""
    known = steps.get(key)
    if known is None:
        return None
    if numbers in known:
        return known[numbers][0], known[numbers][1]
    wanted = _integers(numbers)
    ranked = sorted((_distance(_integers(other), wanted), other) for other in known)
    near = [known[other] for _, other in ranked[:NEAREST]]
    weights = [1 / (distance + 0.01) for distance, _ in ranked[:NEAREST]]
    size = sum(w * entry[0] for w, entry in zip(weights, near)) / sum(weights)
    votes: dict[int, float] = {}
    for weight, entry in zip(weights, near):
        votes[entry[1]] = votes.get(entry[1], 0.0) + weight
    return size, max(votes, key=lambda stack: (votes[stack], stack))


@cache
def _integers(numbers: str) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers.split(",") if number)


def _distance(a: Sequence[int], b: Sequence[int]) -> float:
    """How differently a compiler treats two lists of literals: by their kind, then by size."""
    total = 20.0 * abs(len(a) - len(b))
    for x, y in zip(a, b):
        total += 10 * (_kind(x) != _kind(y)) + abs(log2((1 + abs(x)) / (1 + abs(y))))
    return total


def _kind(value: int) -> int:
    """0, 1, a multiple of 4, another even number, an odd one."""
    return value if value in (0, 1) else 4 if value % 4 == 0 else 2 if value % 2 == 0 else 3


def _io_bytes(source: Source) -> int:
    if source.options.io == "arena":
        return 0
    ports = (*source.interface.inputs, *source.interface.outputs)
    return sum(
        port.type.element_count * 4 if port.converts else port.type.size_bytes for port in ports
    )
