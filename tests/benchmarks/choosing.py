"""Cost of choosing kernels: seconds of processor time for each model, and growth with layers.

    python tests/benchmarks/choosing.py [--autotune]

For each model: layers with a choice, combinations, seconds to price all implementations and find
the best set without limit and with half of the flash that the fastest set takes more than the
smallest. Then networks of 10 to 320 layers, drawn. --autotune adds the seconds that measuring a
small model's further implementations takes, in an empty cache and in a warm one. BUDGET_MODELS is
the folder of MLPerf Tiny's models.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from math import log10, prod
from pathlib import Path

from budget.api.models import prepare
from budget.graph import Graph
from budget.ops import Padding
from budget.plan.alternatives import alternatives
from budget.plan.chooser import Limits, choose_variants
from budget.plan.precision import deployed_types

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "codegen"))

from layers import Layers  # noqa: E402

MODELS = ("kws", "vww", "ic", "ad", "zoo:hotword", "zoo:tiny-vww", "zoo:digits")
LAYERS = (10, 20, 40, 80, 160, 320)


def network(name: str) -> Graph:
    """A model's graph."""
    folder = Path(os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models"))
    return prepare(name if name.startswith("zoo:") else folder / f"{name}_int8.tflite").graph


def drawn(count: int) -> Graph:
    """Convolutions of many shapes, a third each of three kinds."""
    found = Layers(count)
    random = found.random
    for index in range(count):
        channels, size = 4 * int(random.integers(1, 17)), 4 * int(random.integers(1, 5))
        if index % 3 == 0:
            found.convolution((size, 2 * size, channels), None, (3, 3), (1, 1), Padding(1, 1, 1, 1))
        else:
            window = (3, 3) if index % 3 == 1 else (1, 1)
            pads = Padding(1, 1, 1, 1) if index % 3 == 1 else Padding(0, 0, 0, 0)
            outputs = 4 * int(random.integers(1, 17))
            found.convolution((size, 2 * size, channels), outputs, window, (1, 1), pads)
    return found.graph()


def report(name: str, graph: Graph) -> None:
    """One line."""
    types = deployed_types(graph, None)
    counts = [len(alternatives(node, graph, types, "cortex-m4")) for node in graph.nodes]
    seconds, limit = [], None
    for _ in range(2):
        start = time.process_time()
        _, fast = choose_variants(graph, types, "cortex-m4", "time", Limits(0, limit))
        seconds.append(time.process_time() - start)
        if limit is None and fast is not None:
            _, small = choose_variants(graph, types, "cortex-m4", "time", Limits(0, 1))
            assert small is not None
            limit = (fast.flash_bytes + small.flash_bytes) // 2
    many = [count for count in counts if count > 1]
    print(
        f"{name:14} {len(graph.nodes):5} layers, {len(many):4} with a choice, "
        f"10^{log10(prod(many)):<5.1f} sets: {seconds[0]:7.3f} s free, {seconds[1]:7.3f} s within "
        f"{limit:,} B"
    )


def autotune() -> None:
    """Seconds of `--autotune`, cold and warm."""
    from budget.api.emit import emit

    with tempfile.TemporaryDirectory() as folder:
        os.environ["BUDGET_CACHE"] = str(Path(folder) / "builds")
        for state in ("an empty cache", "a warm cache"):
            start = time.process_time()
            found = emit("zoo:digits", None, target="cortex-m4", optimise="time", autotune=True)
            spent = time.process_time() - start
            cycles = found.manifest["prediction"]["cycles"]
            print(f"zoo:digits autotuned with {state}: {spent:.1f} s, {cycles:,} cycles")


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--autotune", action="store_true")
    chosen = parser.parse_args()
    for name in MODELS:
        report(name, network(name))
    for count in LAYERS:
        report("drawn", drawn(count))
    if chosen.autotune:
        autotune()
    return 0


if __name__ == "__main__":
    sys.exit(main())
