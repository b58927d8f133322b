"""Code and stack of the kernels that are tuned for other cores than Cortex-M4, measured there.

What `budget.tuning.code_size` measures on Cortex-M4 serves all cores for the kernels that they
share; those for cores without DSP instructions run nowhere else and are measured on these.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from budget.codegen.footprint import step_key
from budget.codegen.kernels import text_of
from budget.codegen.options import EmitOptions, Optimise
from budget.codegen.source import function_name, write_steps
from budget.tuning.code_size import Make, measure

CORES: Mapping[str, tuple[str, ...]] = {
    "cortex-m0plus": ("-mcpu=cortex-m0plus", "-mthumb"),
    "cortex-m3": ("-mcpu=cortex-m3", "-mthumb"),
}
MODES: tuple[Optimise, ...] = ("balanced", "time")
_PREFIX = "scalar"
_FUNCTION = re.compile(r"^(?:static|SCALAR_SCALING)\b[^(;=]*?\b([a-z0-9_]+)\(", re.M)


def measure_core(programs: Make, core: str) -> dict[str, Any]:
    """By mode: code and stack of steps, code of shared kernels, code of helper functions by file.

    Args:
        programs: makes them for a choice of options.
        core: one of `CORES`.
    """
    return {mode: _mode(programs, core, mode) for mode in MODES}


def _mode(programs: Make, core: str, mode: Optimise) -> dict[str, Any]:
    steps: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    shared: dict[str, list[int]] = defaultdict(list)
    helpers: dict[str, list[int]] = defaultdict(list)
    for program in programs(EmitOptions("m", core, mode)):
        source = write_steps(program, EmitOptions("m", core, mode))
        found = measure(source, cpu=CORES[core])
        for step, code in source.steps:
            key, numbers = step_key(source, step, code)
            if _PREFIX in key:
                name = function_name(step)
                steps[key][numbers].append((found.sizes.get(name, 0), found.stacks[name]))
        for name in source.sharing.shared:
            if name.startswith(_PREFIX):
                sizes = (found.sizes.get(each, 0) for each in (f"{name}_shared", name))
                shared[name].append(next((size for size in sizes if size), 0))
        called = source.sharing.functions
        for file in source.kernel_files:
            if file.startswith(_PREFIX):
                names = set(_FUNCTION.findall(text_of(file))) - called
                helpers[file].append(sum(found.sizes.get(name, 0) for name in names))
    return {
        "steps": {
            key: {
                numbers: [round(fmean(size for size, _ in seen)), max(stack for _, stack in seen)]
                for numbers, seen in sorted(known.items())
            }
            for key, known in sorted(steps.items())
        },
        "shared": {name: round(fmean(sizes)) for name, sizes in sorted(shared.items())},
        "helpers": {file: round(fmean(sizes)) for file, sizes in sorted(helpers.items())},
    }
