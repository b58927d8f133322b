"""Measures kernels on the virtual core and makes the table of cycles that plans and estimates read.

Programs are emitted, built and run once; each step's cycles, and its cycles of waiting for flash,
become one sample. A step whose output differs from the integer meaning of its operator in any bit
does not enter the table. For each operator and variant the weights of what its kernel does how
often (`budget.plan.kernel_features`) are fitted to the samples: least squares of relative errors,
weights not negative.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from budget.codegen import EmitOptions, emit
from budget.codegen.source import function_name
from budget.core.build import OPTIMISE_FLAGS, build, find_compiler
from budget.core.elf import load_elf
from budget.core.flash import FlashTiming, Waits
from budget.core.machine import FirmwareError, Machine
from budget.core.timed import timed_call
from budget.core.timing import timing_of
from budget.graph import Array
from budget.ops.interpreter import run
from budget.plan.kernel_cycles import kernel_key
from budget.plan.kernel_features import Shape, features_of, signature
from budget.plan.program import Program

CORE = "cortex-m4"
# STM32L4 at its highest clock: five wait states, caches of 1 KiB and 256 bytes
FLASH = FlashTiming(5, 8, 32, 1024, 256)
_NAME = "m"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured step.

    Attributes:
        key: operator, element type and variant.
        signature: shapes and attributes.
        features: counts.
        cycles: at zero wait states.
        wait_cycles: for each wait state.
    """

    key: str
    signature: str
    features: Mapping[str, float]
    cycles: int
    wait_cycles: float


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


def measure_steps(program: Program, mode: str, compiler: str = "gcc") -> list[Sample]:
    """Samples of every step of a program that was planned for the core and mode.

    Raises:
        FirmwareError: an output differs from the interpreter's.
        MissingToolError: no emulator or compiler.
    """
    options = EmitOptions(_NAME, CORE, mode)  # type: ignore[arg-type]
    sources = {
        path: content
        for path, content in emit(program, options).items()
        if path.endswith((".c", ".h")) and "selftest" not in path and "/" not in path
    }
    keep = [f"{_NAME}_init", f"{_NAME}_invoke"]
    flags = OPTIMISE_FLAGS[mode]
    image = build(sources, CORE, keep=keep, compiler=find_compiler(compiler), flags=flags)
    elf = load_elf(image.data)
    machine = Machine(elf)
    graph, types = program.graph, program.types
    places = {n: machine.allocate(types[n].size_bytes) for n in (*graph.inputs, *graph.outputs)}
    inputs = random_inputs(program)

    def prepare() -> Sequence[int]:
        machine.call(keep[0])
        for name in graph.inputs:
            machine.write(places[name], np.ascontiguousarray(inputs[name]).tobytes())
        return list(places.values())

    functions = {function_name(step): step for step in program.steps if step.kernel}
    # the compiler may append to the names: .constprop.0
    scopes = [s for name, s in elf.symbols.items() if s.is_function and _stem(name) in functions]
    timed = timed_call(machine, keep[1], prepare, timing_of(CORE), scopes=scopes, flash=FLASH)
    _require_equal(program, machine, places, inputs)
    waits = timed.waits or [Waits()] * (len(timed.profile.scopes) + 1)
    spent: dict[str, tuple[int, int]] = dict.fromkeys(functions, (0, 0))
    # what the compiler split off a function (.part.0) is counted apart
    for (name, count), wait in zip(timed.profile.scopes, waits[1:], strict=True):
        cycles, waited = spent[_stem(name)]
        spent[_stem(name)] = cycles + count.cycles, waited + wait.cycles
    samples = []
    for name, (cycles, waited) in spent.items():
        step = functions[name]
        shape = Shape(step.node, types, step.cost, mode == "time")
        if shape.is_constant:  # the compiler leaves the whole layer out
            continue
        key, counts = kernel_key(shape, step.variant), features_of(shape, step.variant)
        samples.append(Sample(key, signature(shape), counts, cycles, waited / FLASH.wait_states))
    return samples


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
        }
    return {
        "core": CORE,
        "compiler": find_compiler("gcc").version,
        "timing": timing_of(CORE).source,
        "flash": "5 wait states, words of 8 bytes, caches of 1 KiB and 256 bytes",
        "modes": modes,
    }


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
    return found


def _weights(counts: Any, values: Any) -> Any:
    from scipy.optimize import nnls

    largest = np.maximum(np.abs(counts).max(0), 1e-12)
    weights, _ = nnls(counts / largest, values, maxiter=10000)
    return weights / largest
