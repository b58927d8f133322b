"""How small the arenas are: python tests/benchmarks/arena.py [FOLDER WITH THE MODELS]

Prints, for MLPerf Tiny's four int8 models, our arena, the lower bound, and what TFLM needs as
predicted and as measured on an emulated Cortex-M4; how often 500 random graphs reach the lower
bound; and how planning time grows up to 100,000 nodes.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "plan"))

from random_graphs import branches, chain, dense, random_graph, residual  # noqa: E402
from test_planner import greedy_by_size  # noqa: E402
from test_tflm_arena import ON_CORTEX_M4, planned  # noqa: E402

from budget.plan import plan  # noqa: E402


def models(folder: Path) -> None:
    print("model    arena    bound   TFLM predicted  measured   error")
    for name, (_, used) in ON_CORTEX_M4.items():
        ours = planned(folder, name, "budget-c")
        theirs = planned(folder, name, "tflm-cmsis-nn").arena_bytes
        print(
            f"{name:5} {ours.arena_bytes:8,} {ours.lower_bound_bytes:8,} {theirs:16,} {used:9,}"
            f" {100 * (theirs / used - 1):6.2f} %"
        )


def random_graphs(count: int) -> None:
    at_bound = excess = greedy_excess = 0
    for seed in range(count):
        source = random.Random(seed)
        program = plan(random_graph(source.randint, source.randint(13, 60), 2000))
        at_bound += program.arena_bytes == program.lower_bound_bytes
        excess += program.arena_bytes / program.lower_bound_bytes - 1
        greedy_excess += greedy_by_size(program) / program.lower_bound_bytes - 1
    print(f"\n{count} random graphs of 13 to 60 nodes:")
    print(f"  at the lower bound          {at_bound} ({100 * at_bound / count:.1f} %)")
    print(f"  above it on average         {100 * excess / count:.3f} %")
    print(f"  greedy by size, given order {100 * greedy_excess / count:.1f} %")


def growth() -> None:
    print("\nshape          nodes  seconds     arena     bound")
    for shape in (chain, residual, dense, branches):
        for node_count in (50_000, 100_000):
            graph = shape(node_count)
            start = time.process_time()
            program = plan(graph)
            seconds = time.process_time() - start
            print(
                f"{shape.__name__:10} {node_count:9,} {seconds:8.2f} {program.arena_bytes:9,}"
                f" {program.lower_bound_bytes:9,}"
            )


if __name__ == "__main__":
    usual = os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models")
    models(Path(sys.argv[1] if len(sys.argv) > 1 else usual))
    random_graphs(500)
    growth()
