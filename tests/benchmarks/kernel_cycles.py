"""Writes budget/plan/kernel_cycles.json: kernels measured on the virtual Cortex-M4.

    python tests/benchmarks/kernel_cycles.py            measure, fit, write; some minutes
    python tests/benchmarks/kernel_cycles.py --size     the same of what only size runs
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
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
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
from budget.transforms.cluster import SIZES, cluster  # noqa: E402
from budget.transforms.constant_channels import remove_constant_channels  # noqa: E402
from budget.transforms.patches import band_counts, compute_in_bands, find_regions  # noqa: E402
from budget.tuning.kernel_table import (  # noqa: E402
    CORE,
    Sample,
    fit,
    make_table,
    measure_steps,
    render,
)
from budget.tuning.ways import every_way  # noqa: E402

MODES = ("balanced", "time", "size")
CUTS = ("slice int8", "concat int8")
NETWORKS = (
    "ic", "vww", "kws", "ad", "zoo:tiny-ic", "zoo:tiny-vww", "zoo:tiny-kws", "zoo:tiny-ad",
    "zoo:hotword", "zoo:digits",
)  # fmt: skip


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


def lone_layers(seed: int) -> Iterator[Layers]:
    """Graphs of two layers of one kind of kernel, which show the code that its steps share."""
    found = Layers(seed)
    for channels in (8, 16):
        found.convolution((4, 4, channels), 8)
    yield found
    found = Layers(seed)
    for height in (9, 11):
        found.convolution((height, 1, 8), 8, (3, 1))
    yield found
    found = Layers(seed)
    for depth in (16, 32):
        found.fully_connected(depth, 8)
    yield found
    found = Layers(seed)
    for size in (3, 4):
        found.add((1, size, size, 8), 1.0, Activation.NONE)
    yield found
    found = Layers(seed)
    for size in (3, 4):
        found.average((size, size, 8), (size, size), (size, size))
    yield found


def ways(graph: Any, mode: str) -> Iterator[Program]:
    """With every tuned implementation; there are none for size."""
    return every_way(graph, "portable" if mode == "size" else CORE, mode)


def network(name: str) -> Any:
    """Graph of a network."""
    folder = Path(os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models"))
    return prepare(name if name.startswith("zoo:") else folder / f"{name}_int8.tflite").graph


def networks() -> Iterator[tuple[str, Any]]:
    """Name and graph of every network whose steps are kept."""
    for name in NETWORKS:
        yield name, network(name)


def jobs() -> Iterator[tuple[str, str, int | str]]:
    """What to measure: mode, source, and seed or name; those that take longest first."""
    for mode in MODES:
        for name in NETWORKS:
            # kernels for size take up to a thousand million cycles: small networks show them
            if mode != "size" or "tiny" in name or "digits" in name:
                yield mode, "network", name
    for mode in MODES:
        for seed in (100, 200) if mode != "size" else (100,):
            yield mode, "layers", seed
        if mode != "size":
            yield mode, "portable layers", 500
            yield mode, "lone layers", 600


def measured(job: tuple[str, str, int | str]) -> list[Sample]:
    """Samples of one job."""
    mode, source, which = job
    if source == "network":
        graph = remove_constant_channels(network(str(which))).graph
        programs = list(ways(graph, mode))
    else:
        make = lone_layers if source == "lone layers" else layers
        graphs = [found.graph() for found in make(int(which))]
        programs = [
            program
            for graph in graphs
            for program in ([plan(graph)] if source == "portable layers" else ways(graph, mode))
        ]
    samples = [sample for program in programs for sample in measure_steps(program, mode)]
    print(*job, file=sys.stderr, flush=True)
    return samples


def write(workers: int) -> None:
    """Measures everything and writes the table."""
    samples: dict[str, list[Sample]] = {mode: [] for mode in MODES}
    exact: dict[str, list[Sample]] = {mode: [] for mode in MODES}
    found = list(jobs())
    with ProcessPoolExecutor(workers) as pool:
        for (mode, source, _), measurements in zip(found, pool.map(measured, found)):
            (exact if source == "network" else samples)[mode].extend(measurements)
    place = Path(plan_package.__file__).parent / TABLE
    place.write_text(render(make_table(samples, exact)))


def clustered() -> Iterator[Sample]:
    """Layers with code books of both sizes, which are used for size alone."""
    for found in layers(700):
        for size in SIZES:
            program = plan(cluster(found.graph(), size)[0], optimise="size")
            if any(step.variant for step in program.steps):
                yield from (s for s in measure_steps(program, "size") if "codebook" in s.key)


def banded() -> Iterator[Sample]:
    """Small networks in bands of rows, which are cut and joined for size alone."""
    for name in ("zoo:digits", "zoo:tiny-ic"):
        graph = remove_constant_channels(network(name)).graph
        for region in find_regions(graph):
            for count in band_counts(graph.type_of(region.last).shape[1])[:2]:
                program = plan(compute_in_bands(graph, region, count), optimise="size")
                yield from (s for s in measure_steps(program, "size") if s.key in CUTS)


def add_for_size() -> None:
    """Fits the kernels of code books and bands and writes them into the table."""
    place = Path(plan_package.__file__).parent / TABLE
    table = json.loads(place.read_text())
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in (*clustered(), *banded()):
        groups[sample.key].append(sample)
    table["modes"]["size"]["kernels"] |= {key: fit(group) for key, group in groups.items()}
    place.write_text(render(table))


def compare(program: Program, mode: str) -> tuple[float, float, float]:
    """Predicted over measured, less one: zero wait states, five; and with weights only."""
    measured = measure_steps(program, mode)
    steps = [
        step
        for step in program.steps
        if step.kernel and not Shape(step.node, program.types, step.cost).is_constant
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
    if "--check" in sys.argv[1:]:
        check()
    elif "--size" in sys.argv[1:]:
        add_for_size()
    else:
        write(int(os.environ.get("WORKERS", os.cpu_count() or 1)))
        add_for_size()
