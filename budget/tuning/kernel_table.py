"""Measures kernels on the virtual core and makes the table of cycles that plans and estimates read.

Programs are emitted, built and run once; each step's cycles, and its cycles of waiting for flash,
become one sample. A step whose output differs from the integer meaning of its operator in any bit
does not enter the table. For each operator and variant the weights of what its kernel does how
often (`budget.plan.kernel_features`) are fitted to the samples: least squares of relative errors,
weights not negative.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from budget.codegen import EmitOptions
from budget.codegen.emit import render_library
from budget.codegen.footprint import GCC, load_table
from budget.codegen.options import Optimise
from budget.codegen.source import Source, function_name, write_steps
from budget.core.build import OPTIMISE_FLAGS, build, find_compiler
from budget.core.elf import Elf, load_elf
from budget.core.flash import FlashTiming, Waits
from budget.core.machine import FirmwareError, Machine
from budget.core.timed import timed_call
from budget.core.timing import timing_of
from budget.graph import Array
from budget.ops.interpreter import run
from budget.plan.kernel_cycles import kernel_key
from budget.plan.kernel_features import Shape, code_features, features_of, signature
from budget.plan.program import Program, Step
from budget.plan.variants import kind_of

CORE = "cortex-m4"
# STM32L4 at its highest clock: five wait states, caches of 1 KiB and 256 bytes
FLASH = FlashTiming(5, 8, 32, 1024, 256)
_NAME = "m"
_DEFINED = re.compile(r"^static [^(;=]*\bvoid ([a-z0-9_]+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured step.

    Attributes:
        key: operator, element type and variant.
        signature: shapes and attributes.
        features: counts.
        cycles: at zero wait states.
        wait_cycles: for each wait state.
        code: what its code consists of.
        code_bytes: of the step and of the functions written for it.
        shared: name of the code that it shares with other steps, and its bytes where no other
            kind of step shares the program; else None.
    """

    key: str
    signature: str
    features: Mapping[str, float]
    cycles: int
    wait_cycles: float
    code: Mapping[str, float]
    code_bytes: int
    shared: tuple[str, int | None]


def random_inputs(program: Program, seed: int = 0) -> dict[str, Array]:
    """Inputs over the whole range of each input's type."""
    generator = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name in program.graph.inputs:
        type = program.types[name]
        if type.dtype.is_float:
            found[name] = generator.normal(0, 1, type.shape).astype(type.dtype.numpy)
        else:
            dtype: Any = type.dtype.numpy
            info = np.iinfo(dtype)
            found[name] = generator.integers(info.min, info.max + 1, type.shape, dtype)
    return found


_ENTRIES = [f"{_NAME}_init", f"{_NAME}_invoke"]


def _built(
    program: Program, mode: Optimise, compiler: str | None, flags: Sequence[str]
) -> tuple[Source, Elf]:
    """What is written of a program, and built."""
    written = write_steps(program, EmitOptions(_NAME, CORE, mode))
    image = build(
        {path: text.encode() for path, text in render_library(written).items()},
        CORE,
        keep=_ENTRIES,
        compiler=find_compiler(compiler),
        flags=(*OPTIMISE_FLAGS[mode], *flags),
    )
    return written, load_elf(image.data)


def measure_steps(
    program: Program, mode: Optimise, compiler: str | None = "gcc", flags: Sequence[str] = ()
) -> list[Sample]:
    """Samples of every step of a program that was planned for the core and mode.

    Raises:
        FirmwareError: an output differs from the interpreter's.
        MissingToolError: no emulator or compiler.
    """
    written, elf = _built(program, mode, compiler, flags)
    machine = Machine(elf)
    graph, types = program.graph, program.types
    places = {n: machine.allocate(types[n].size_bytes) for n in (*graph.inputs, *graph.outputs)}
    inputs = random_inputs(program)

    def prepare() -> Sequence[int]:
        machine.call(_ENTRIES[0])
        for name in graph.inputs:
            machine.write(places[name], np.ascontiguousarray(inputs[name]).tobytes())
        return list(places.values())

    functions = {function_name(step): step for step in program.steps if step.kernel}
    # the compiler may append to the names: .constprop.0
    scopes = [s for name, s in elf.symbols.items() if s.is_function and _stem(name) in functions]
    timed = timed_call(machine, _ENTRIES[1], prepare, timing_of(CORE), scopes=scopes, flash=FLASH)
    _require_equal(program, machine, places, inputs)
    waits = timed.waits or [Waits()] * (len(timed.profile.scopes) + 1)
    spent: dict[str, tuple[int, int]] = dict.fromkeys(functions, (0, 0))
    # what the compiler split off a function (.part.0) is counted apart
    for (name, count), wait in zip(timed.profile.scopes, waits[1:], strict=True):
        cycles, waited = spent[_stem(name)]
        spent[_stem(name)] = cycles + count.cycles, waited + wait.cycles
    return _samples(program, written, elf, spent)


def _samples(
    program: Program, written: Source, elf: Elf, spent: Mapping[str, tuple[int, int]]
) -> list[Sample]:
    functions = {function_name(step): step for step in program.steps if step.kernel}
    own = {
        function_name(step): _DEFINED.findall("\n".join(code.functions))
        for step, code in written.steps
    }
    kinds = {shared_name(step) for step in functions.values()}
    alone = _shared_bytes(elf, functions, own) if len(kinds) == 1 else None
    samples = []
    for name, step in functions.items():
        cycles, waited = spent[name]
        shape = Shape(step.node, program.types, step.cost)
        if shape.is_constant:  # the compiler leaves the whole layer out
            continue
        samples.append(
            Sample(
                kernel_key(shape, step.variant),
                signature(shape),
                features_of(shape, step.variant),
                cycles,
                waited / FLASH.wait_states,
                code_features(shape, step.variant, own=step.index in written.sharing.own),
                _code_bytes(elf, name, own[name]),
                (shared_name(step), alone),
            )
        )
    return samples


def shared_name(step: Step) -> str:
    """Of the code that steps of an operator and kind of variant share."""
    return f"{step.node.op} {kind_of(step.variant)}".strip()


def _code_bytes(elf: Elf, function: str, written: Sequence[str]) -> int:
    """Of a step's function, what the compiler split off it, and the functions written for it."""
    split = [s.size_bytes for n, s in elf.symbols.items() if s.is_function and _stem(n) == function]
    found = (elf.symbols.get(name) for name in set(written))  # in assembly and in plain C
    return sum(split) + sum(symbol.size_bytes for symbol in found if symbol is not None)


def _shared_bytes(elf: Elf, functions: Iterable[str], own: Mapping[str, Sequence[str]]) -> int:
    """Of kernels that belong to no step."""
    others = {*functions, *(name for names in own.values() for name in names)}
    return sum(
        symbol.size_bytes
        for name, symbol in elf.symbols.items()
        if symbol.is_function
        and _stem(name) not in others
        and (_stem(name).startswith("armv7em_") or _stem(name).endswith(("_s8", "_s8_shared")))
    )


def _stem(name: str) -> str:
    return name.partition(".")[0]


def _require_equal(
    program: Program, machine: Machine, places: Mapping[str, int], inputs: Mapping[str, Array]
) -> None:
    expected = run(program.graph, inputs)
    for name, values in expected.items():
        type = program.types[name]
        if type.dtype.is_float:
            continue
        found = np.frombuffer(machine.read(places[name], type.size_bytes), type.dtype.numpy)
        if not np.array_equal(found.reshape(type.shape), values):
            raise FirmwareError(
                "a kernel is wrong: its output differs from the interpreter's",
                where=name,
                hint="it must not enter the table; run the emitter's tests",
            )


def make_table(
    samples: Mapping[str, Iterable[Sample]], exact: Mapping[str, Iterable[Sample]]
) -> dict[str, Any]:
    """The table.

    Args:
        samples: of each mode, to fit weights to.
        exact: of each mode, shapes to keep as they are; fitted to as well.
    """
    modes = {}
    for mode, found in samples.items():
        kept = list(exact.get(mode, ()))
        groups: dict[str, list[Sample]] = defaultdict(list)
        for sample in (*found, *kept):
            groups[sample.key].append(sample)
        measured: dict[str, dict[str, list[float]]] = defaultdict(dict)
        for sample in kept:
            entry = [sample.cycles, round(sample.wait_cycles, 1)]
            measured[sample.key][sample.signature] = entry
        modes[mode] = {
            "kernels": {key: fit(group) for key, group in sorted(groups.items())},
            "measured": {key: dict(sorted(rows.items())) for key, rows in sorted(measured.items())},
            "shared": _shared_sizes([*found, *kept]),
            "interface": _interface(mode),
        }
    return {
        "core": CORE,
        "compiler": find_compiler("gcc").version,
        "timing": timing_of(CORE).source,
        "flash": "5 wait states, words of 8 bytes, caches of 1 KiB and 256 bytes",
        "modes": modes,
    }


def _interface(mode: str) -> dict[str, float]:
    """Bytes of code around the steps, as the emitter's own table has them."""
    found = load_table()["compilers"][GCC]["modes"][mode]
    interface = found["interface"]
    calls = [
        size
        for key, known in found["steps"].items()
        if key.startswith("call armv7em_")
        for size, _ in known.values()
    ]
    return {
        "base": interface["base"] + found["library"][""],
        "per_step": interface["per_step"],
        "call": round(fmean(calls or [0]), 2),
    }


def render(table: Mapping[str, Any]) -> str:
    """The table's text: a line for each kernel and each measured shape."""
    text = json.dumps(table, indent=1, sort_keys=True)
    # innermost lists and objects on one line
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda m: re.sub(r"\s*\n\s*", " ", m[0]), text) + "\n"


def _shared_sizes(samples: Iterable[Sample]) -> dict[str, int]:
    """The middle of what was found of each."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        name, size = sample.shared
        if size is not None:
            sizes[name].append(size)
    return {name: int(np.median(found)) for name, found in sorted(sizes.items())}


def fit(samples: Sequence[Sample]) -> dict[str, Any]:
    """Weights of one kernel, and how far nine in ten samples are off at most.

    The error of ``wait_cycles`` is a share of all cycles at the flash's wait states.
    """
    names = [name for name in samples[0].features if any(s.features[name] for s in samples)]
    counts = np.array([[sample.features[name] for name in names] for sample in samples], float)
    found: dict[str, Any] = {"samples": len(samples)}
    # waiting is judged by what it adds: a relative error of nearly nothing is no harm
    wait_states = FLASH.wait_states
    waited = np.array([s.cycles + wait_states * s.wait_cycles for s in samples]) / wait_states
    for kind, scale in (("cycles", None), ("wait_cycles", waited)):
        values = np.array([float(getattr(sample, kind)) for sample in samples])
        size = np.maximum(values if scale is None else scale, 20.0)
        weights = _weights(counts / size[:, None], values / size)
        found[kind] = {
            name: float(f"{weight:.5g}")
            for name, weight in zip(names, weights, strict=True)
            if weight > 0
        }
        errors = np.abs(counts @ weights - values) / size
        found[f"{kind}_error_ratio"] = round(float(np.quantile(errors, 0.9)), 4)
    found["code"] = _code_weights(samples)
    return found


def _code_weights(samples: Sequence[Sample]) -> dict[str, float]:
    """Bytes of each thing that code consists of."""
    names = [name for name in samples[0].code if any(s.code[name] for s in samples)]
    counts = np.array([[sample.code[name] for name in names] for sample in samples], float)
    sizes = np.array([float(sample.code_bytes) for sample in samples])
    weights = np.linalg.lstsq(counts, sizes, rcond=None)[0]
    return {name: round(float(weight), 2) for name, weight in zip(names, weights, strict=True)}


def _weights(counts: Any, values: Any) -> Any:
    from scipy.optimize import nnls

    largest = np.maximum(np.abs(counts).max(0), 1e-12)
    weights, _ = nnls(counts / largest, values, maxiter=10000)
    return weights / largest
