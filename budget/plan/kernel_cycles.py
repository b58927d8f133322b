"""Cycles of our own kernels on a core, from a table that was measured.

For each mode of optimisation, operator and variant the table (kernel_cycles.json, made by
tests/benchmarks/kernel_cycles.py with budget.tuning.kernel_table) holds weights of the counts in
`budget.plan.kernel_features`, and the cycles of the very shapes that common networks have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from budget.graph import TensorType
from budget.plan.kernel_features import (
    Shape,
    code_features,
    features_of,
    is_own,
    signature,
)
from budget.plan.program import Program, Step
from budget.plan.variants import kind_of
from budget.records import record

TABLE = "kernel_cycles.json"


@record
class KernelCycles:
    """What a step takes.

    Attributes:
        cycles: at zero wait states.
        wait_cycles: more for each wait state of the flash, with the caches the table was made for.
        is_measured: whether this very shape was measured.
    """

    cycles: float
    wait_cycles: float
    is_measured: bool


@cache
def load_table() -> dict[str, Any]:
    """The table that ships."""
    return dict(json.loads(_content()))


def table_sha256() -> str:
    """Hash of the table that ships, for what was decided by it."""
    import hashlib

    return hashlib.sha256(_content()).hexdigest()


def _content() -> bytes:
    return (Path(__file__).parent / TABLE).read_bytes()


def predicted_cycles(
    step: Step,
    program: Program,
    core: str = "cortex-m4",
    optimise: str = "balanced",
    table: Mapping[str, Any] | None = None,
) -> KernelCycles | None:
    """Cycles of a step; None where the table does not know the core or the kernel.

    Args:
        step: of the program.
        program: planned for our own runtime.
        core: such as ``cortex-m4``.
        optimise: mode that it will be emitted in.
        table: the one that ships if not given.
    """
    if not step.kernel:
        return KernelCycles(0.0, 0.0, True)
    shape = Shape(step.node, program.types, step.cost)
    return cycles_of(shape, step.variant, core, optimise, table)


def cycles_of(
    shape: Shape,
    variant: str,
    core: str,
    optimise: str,
    table: Mapping[str, Any] | None = None,
) -> KernelCycles | None:
    """The same for shapes and a variant alone."""
    whole = load_table() if table is None else table
    if core != whole["core"]:
        return None
    mode = whole["modes"][optimise]
    key = kernel_key(shape, variant)
    exact = mode["measured"].get(key, {}).get(signature(shape))
    if exact is not None:
        return KernelCycles(exact[0], exact[1], True)
    kernel = mode["kernels"].get(key)
    if kernel is None:
        return None
    counts = features_of(shape, variant)
    totals = [
        sum(weight * counts[name] for name, weight in kernel[kind].items())
        for kind in ("cycles", "wait_cycles")
    ]
    return KernelCycles(totals[0], totals[1], False)


def code_of(
    shape: Shape,
    variant: str,
    optimise: str,
    table: Mapping[str, Any] | None = None,
    *,
    own: bool = True,
) -> int:
    """Bytes of code of a step and of the functions written for it; 0 where it is not known.

    Args:
        shape: of the step.
        variant: of its kernel.
        optimise: mode that it will be emitted in.
        table: the one that ships if not given.
        own: whether the kernel is compiled into the step.
    """
    whole = load_table() if table is None else table
    mode, key = whole["modes"][optimise], kernel_key(shape, variant)
    exact = mode["measured"].get(key, {}).get(signature(shape))
    if exact is not None and len(exact) > 2:
        return int(exact[2])
    kernel = mode["kernels"].get(key)
    if kernel is None:
        return 0
    counts = code_features(shape, variant, own=own)
    weights: Mapping[str, float] = kernel["code"]
    return max(0, round(sum(weight * counts[name] for name, weight in weights.items())))


def shared_code(name: str, optimise: str, table: Mapping[str, Any] | None = None) -> int:
    """Bytes of the code that steps of an operator and kind of variant share."""
    whole = load_table() if table is None else table
    return int(whole["modes"][optimise]["shared"].get(name, 0))


def program_code(program: Program) -> int | None:
    """Bytes of code of a program emitted as ``balanced``; None where the table lacks a kernel.

    Functions that are written for a shape serve all steps of that shape: more of them are calls.

    Args:
        program: planned for our own runtime.
    """
    mode = load_table()["modes"]["balanced"]
    interface = mode["interface"]
    sizes: dict[tuple[str, str], int] = {}
    shared: set[str] = set()
    code: float = interface["base"]
    macs = program.cost.macs
    for step in program.steps:
        if not step.kernel:
            continue
        shape = Shape(step.node, program.types, step.cost)
        if kernel_key(shape, step.variant) not in mode["kernels"]:
            return None
        code += interface["per_step"]
        own = is_own(step.cost, macs, "balanced")
        if not own:
            shared.add(f"{step.node.op} {kind_of(step.variant)}".strip())
        function = step.variant, signature(shape)
        is_again = function in sizes
        if not is_again:
            sizes[function] = code_of(shape, step.variant, "balanced", own=own)
        code += interface["call"] if is_again and step.variant else sizes[function]
    shared_bytes: float = sum(mode["shared"].get(name, 0) for name in shared)
    return round(code + shared_bytes)


def kernel_key(shape: Shape, variant: str) -> str:
    """Operator, element type and variant."""
    types: list[TensorType] = [shape.x, shape.y]
    return " ".join([shape.node.op, types[0].dtype.value, variant]).strip()
