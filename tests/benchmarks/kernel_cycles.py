"""Writes budget/plan/kernel_cycles.json: kernels measured on the virtual Cortex-M4.

    python tests/benchmarks/kernel_cycles.py            measure, fit, write; two to four minutes
    python tests/benchmarks/kernel_cycles.py --check    compare the table with new measurements

Weights are fitted to layers of random shapes and to the steps of the networks named here; those
networks' steps are kept as measured, too. --check prints, for networks and for layers that the
table has not seen, the cycles predicted before emission over those measured after it. BUDGET_MODELS
is the folder of MLPerf Tiny's models.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "codegen"))

from layers import Layers  # noqa: E402

from budget import plan as plan_package  # noqa: E402
from budget.api.models import prepare  # noqa: E402
from budget.ops import Activation, Padding  # noqa: E402
from budget.plan import plan  # noqa: E402
from budget.plan.kernel_cycles import TABLE, predicted_cycles  # noqa: E402
from budget.plan.kernel_features import Shape  # noqa: E402
from budget.plan.program import Program  # noqa: E402
from budget.tuning.kernel_table import CORE, Sample, make_table, measure_steps  # noqa: E402

MODES = ("balanced", "time", "size")
SHIPPED = ("hotword", "digits", "tiny-kws", "tiny-vww", "tiny-ic", "tiny-ad")
SHARED = ("kws", "vww", "ic", "ad")


def layers(seed: int) -> Iterator[Layers]:
    """Graphs of random layers, one family each."""
    random = np.random.default_rng(seed)

    def pick(*values: int) -> int:
        return int(random.choice(values))

    def image(most: int) -> tuple[int, int]:
        return int(random.integers(2, most)), int(random.integers(2, most))

    found = Layers(seed)
    for _ in range(14):
        found.convolution((*image(14), 4 * pick(1, 2, 4, 6, 8, 16, 24, 32)), pick(4, 6, 8, 16, 32))
    for _ in range(6):
        height, width = image(6)
        found.convolution((height, width, 4 * pick(1, 2, 4, 8)), pick(8, 10, 16, 32),
                          (height, width))  # fmt: skip
    yield found
    found = Layers(seed + 1)
    for _ in range(16):
        window = pick(1, 2, 3, 3, 3, 5), pick(2, 3, 3, 3, 4, 5)
        pads = Padding(window[0] // 2, window[0] // 2, window[1] // 2, window[1] // 2)
        height, width = image(12)
        found.convolution(
            (height + 6, width + 6, pick(1, 2, 3, 3, 4, 8, 8, 16, 20)), pick(4, 6, 8, 16, 24),
            window, (pick(1, 1, 2), pick(1, 1, 2)), pads,
        )  # fmt: skip
    yield found
    found = Layers(seed + 2)
    for _ in range(16):
        size = pick(3, 3, 3, 3, 5, 2)
        pads = Padding(size // 2, size // 2, size // 2, size // 2)
        stride = pick(1, 1, 2)
        height, width = image(26)
        found.convolution(
            (height + 4, width + 4, pick(4, 8, 8, 6, 16, 32)), None, (size, size), (stride, stride),
            pads,
        )  # fmt: skip
    yield found
    found = Layers(seed + 3)
    for _ in range(10):
        found.fully_connected(4 * pick(2, 8, 16, 31, 32, 64, 100), pick(8, 10, 16, 32, 64, 100))
    for _ in range(3):
        found.fully_connected(pick(8, 30, 64), pick(2, 3, 5))
    for _ in range(5):
        shape = (1, *image(12), pick(3, 8, 16))
        found.add(shape, pick(1, 2, 3) / 2.0, Activation.NONE)
    for _ in range(5):
        window = pick(2, 3, 4), pick(2, 3, 4)
        found.average((window[0] * pick(1, 3), window[1] * pick(1, 2), pick(4, 8, 30)), window,
                      window)  # fmt: skip
    yield found
    found = Layers(seed + 4)
    for _ in range(6):
        found.convolution(
            (4 * pick(1, 2, 3), 8 * pick(1, 2), 4 * pick(1, 2, 3, 4, 5, 8)), 4 * pick(1, 2, 4, 5),
            (3, 3), (1, 1), Padding(1, 1, 1, 1),
        )  # fmt: skip
    yield found


def planned(graph: Any, mode: str, *, removes: bool = True) -> Program:
    """As `emit` does, but whole tensors at a time."""
    target = "portable" if mode == "size" else CORE
    return plan(graph, remove_constant_channels=removes, target=target, optimise=mode)


def networks() -> Iterator[tuple[str, Any]]:
    """Name and graph of every network whose steps are kept."""
    folder = Path(os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models"))
    for name in SHARED:
        path = folder / f"{name}_int8.tflite"
        if path.is_file():
            yield name, prepare(path).graph
    for name in SHIPPED:
        yield f"zoo:{name}", prepare(f"zoo:{name}").graph


def write() -> None:
    """Measures everything and writes the table."""
    samples: dict[str, list[Sample]] = {mode: [] for mode in MODES}
    exact: dict[str, list[Sample]] = {mode: [] for mode in MODES}
    for mode in MODES:
        for seed in (100, 200, 400) if mode != "size" else (100,):
            for found in layers(seed):
                program = planned(found.graph(), mode, removes=False)
                samples[mode] += measure_steps(program, mode)
        for found in layers(500) if mode != "size" else ():
            # the kernels that every core has, in this mode, too
            samples[mode] += measure_steps(plan(found.graph()), mode)
        for name, graph in networks():
            if mode == "size" and "tiny" not in name and "digits" not in name:
                continue  # up to a thousand million cycles of kernels that these show
            exact[mode] += measure_steps(planned(graph, mode), mode)
            print(mode, name, file=sys.stderr, flush=True)
    place = Path(plan_package.__file__).parent / TABLE
    place.write_text(json.dumps(make_table(samples, exact), indent=1, sort_keys=True) + "\n")


def compare(program: Program, mode: str) -> tuple[float, float, float]:
    """Predicted over measured, less one: zero wait states, five; and with weights only."""
    measured = measure_steps(program, mode)
    steps = [
        step
        for step in program.steps
        if step.kernel
        and not Shape(step.node, program.types, step.cost, mode == "time").is_constant
    ]
    blind = without_exact()
    rows = [predicted_cycles(step, program, CORE, mode) for step in steps]
    fitted = [predicted_cycles(step, program, CORE, mode, blind) for step in steps]
    cycles = sum(sample.cycles for sample in measured)
    waited = sum(sample.cycles + 5 * sample.wait_cycles for sample in measured)
    return (
        sum(row.cycles if row else 0 for row in rows) / cycles - 1,
        sum(row.cycles + 5 * row.wait_cycles if row else 0 for row in rows) / waited - 1,
        sum(row.cycles if row else 0 for row in fitted) / cycles - 1,
    )


def without_exact() -> dict[str, Any]:
    """The table with its fitted weights only."""
    table: dict[str, Any] = json.loads(
        (Path(plan_package.__file__).parent / TABLE).read_text(encoding="utf-8")
    )
    for mode in table["modes"].values():
        mode["measured"] = {}
    return table


def check() -> None:
    """Prints the agreement."""
    print("mode      network         predicted over measured: at 0 wait states, at 5; weights only")
    for mode in ("balanced", "time"):
        rows = [(name, planned(graph, mode)) for name, graph in networks()]
        unseen = ("points", "windows", "depthwise", "others", "winograd")
        for name, found in zip(unseen, layers(300), strict=True):
            rows.append((f"unseen {name}", planned(found.graph(), mode, removes=False)))
        for name, program in rows:
            errors = "  ".join(f"{100 * error:+7.2f} %" for error in compare(program, mode))
            print(f"{mode:9} {name:16} {errors}", flush=True)


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else write()
