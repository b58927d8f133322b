"""Flash and RAM of the emitted program, predicted from a table of measured code sizes.

The table (code_bytes.json, made by tests/benchmarks/code_size.py) holds mean bytes of code and
most bytes of stack for Cortex-M4: of each step by the kernel function it calls and by which of its
literal arguments are 0, 1 or multiples of 4 (they decide what the compiler leaves out); of each
shared kernel; of the helper functions of each kernel file; of what is linked from the C library,
by the mathematical functions used; and of the interface. Functions in assembly are counted
instruction by instruction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from budget.codegen import kernels
from budget.codegen.context import StepCode
from budget.codegen.source import Source
from budget.codegen.thumb import assembly_functions
from budget.plan.program import Step

TABLE = "code_bytes.json"
_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\(")
_MATHS = re.compile(r"\b((?:exp|expm1|log|log1p|sqrt|pow|tanh|erf|floor|round|rint)f)\(")
_NUMBER = re.compile(r"\(?(-?[0-9]+)\)?$")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the emitted program needs; start-up code and the caller's own are left out.

    Attributes:
        constant_bytes: weights, biases, multipliers and other tables in flash.
        code_bytes: predicted machine code, with the C library's functions it calls.
        arena_bytes: RAM of activations, scratch and state.
        stack_bytes: predicted deepest stack below the caller of NAME_invoke.
        io_bytes: RAM of the caller's input and output buffers; 0 where they are in the arena.
        compiler: that the table was made with.
        unknown: kernels that the table lacks; a mean stands for them.
    """

    constant_bytes: int
    code_bytes: int
    arena_bytes: int
    stack_bytes: int
    io_bytes: int
    compiler: str
    unknown: tuple[str, ...]

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
            "core": "cortex-m4",
            "compiler": self.compiler,
            "excluded": "start-up code, the caller, the self-test",
            "kernels_not_in_table": list(self.unknown),
        }


@cache
def load_table() -> dict[str, Any]:
    """The table of code sizes that ships."""
    found = json.loads((resources.files("budget.codegen") / TABLE).read_text(encoding="utf-8"))
    return dict(found)


def step_key(source: Source, step: Step, code: StepCode) -> tuple[str, str]:
    """The kernel functions that a step calls, and the pattern of the literals it gives them."""
    called = [name for name in _called(code.statements) if name in source.sharing.functions]
    own = "own" if source.sharing.is_own(step, called) else "call"
    return f"{own} {'+'.join(called) or step.node.op}", pattern(code.statements)


def pattern(statements: Sequence[str]) -> str:
    """``0``, ``1``, ``4`` (a multiple of it) or ``n`` for each literal argument."""
    marks = []
    for statement in statements:
        for argument in re.split(r"[(),]", statement):
            number = _NUMBER.match(argument.strip())
            if number:
                value = int(number[1])
                marks.append(str(value) if value in (0, 1) else "4" if value % 4 == 0 else "n")
    return "".join(marks)


def predict(source: Source, table: Mapping[str, Any] | None = None) -> Footprint:
    """Predicts flash and RAM of the written steps.

    Args:
        source: the written steps.
        table: of measured sizes; the one that ships if not given.
    """
    whole = load_table() if table is None else table
    mode = whole["modes"][source.options.optimise]
    code, deepest = 0.0, 0
    unknown: list[str] = []
    for step, written in source.steps:
        key, marks = step_key(source, step, written)
        found = _step_entry(mode["steps"], key, marks)
        if found is None and key.startswith("call ") and f"own{key[4:]}" in mode["steps"]:
            found = mode["mean_call"]
        elif found is None:
            unknown.append(key.partition(" ")[2])
            found = mode["mean_step"]
        code += found[0]
        deepest = max(deepest, found[1])
    for name in sorted(source.sharing.shared):
        alone = _step_entry(mode["steps"], f"own {name}", "")
        code += mode["shared"].get(name, mode["mean_shared"] if alone is None else alone[0])
    written_by_hand = assembly(source)
    code += sum(size for size, _ in written_by_hand.values())
    deepest += max((stack for _, stack in written_by_hand.values()), default=0)
    for file in source.kernel_files:
        code += mode["helpers"].get(file, 0)
    code += _library_bytes(mode["library"], library_key(source))
    interface = mode["interface"]
    code += interface["base"] + interface["per_step"] * len(source.steps)
    return Footprint(
        sum(table.size_bytes for table in source.tables),
        round(code),
        source.program.arena_bytes,
        deepest + interface["stack"],
        _io_bytes(source),
        whole["compiler"],
        tuple(sorted(set(unknown))),
    )


def assembly(source: Source) -> dict[str, tuple[int, int]]:
    """Code and stack of the functions in assembly: of shared files, and of single steps."""
    parts = [kernels.text_of(file) for file in source.kernel_files]
    parts += dict.fromkeys(text for _, code in source.steps for text in code.functions)
    return assembly_functions("\n".join(parts))


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


def _step_entry(steps: Mapping[str, Any], key: str, marks: str) -> Sequence[Any] | None:
    """The entry of the same pattern, or the most similar one of the same kernel."""
    patterns = steps.get(key)
    if patterns is None:
        return None
    found = patterns.get(marks)
    if found is None:
        found = patterns[min(_distances(patterns, marks))[1]]
    entry: Sequence[Any] = found
    return entry


def _distances(patterns: Mapping[str, Any], marks: str) -> list[tuple[int, str]]:
    """Patterns with the number of places in which they differ from ``marks``."""
    return [
        (sum(a != b for a, b in zip(known, marks)) + abs(len(known) - len(marks)), known)
        for known in patterns
    ]


def _io_bytes(source: Source) -> int:
    if source.options.io == "arena":
        return 0
    ports = (*source.interface.inputs, *source.interface.outputs)
    return sum(
        port.type.element_count * 4 if port.converts else port.type.size_bytes for port in ports
    )
