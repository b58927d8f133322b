"""RAM of MLPerf Tiny's four int8 models: python tests/benchmarks/ram.py [FOLDER WITH THE MODELS]

Prints the bytes of our arena (the caller's input and output included) as each decision is added,
beside what other runtimes need. RAM is everything but the code: arena or buffers, with the stack
where it is known.

Sources of the others' figures:
  TFLM        tflite-micro 90b983c2 with CMSIS-NN 4ab83cc3, int8 kernels only, arena as its
              allocator reports it on an emulated Cortex-M4, and painted stack
  TinyEngine  mit-han-lab/tinyengine 47bb283, generated code linked for a Cortex-M4; it computes
              ResNet (ic) wrongly, and keyword spotting (kws) only without its first layer
  X-CUBE-AI   8.1, network_generate_report.txt in dippmatt/tinyml-framework-benchmark on GitHub,
              "balanced" (vww only)
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from budget.graph import Graph
from budget.plan import plan
from budget.plan.patching import plan_in_patches
from budget.readers import load
from budget.transforms.lower import lower

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Peers:
    """Bytes of RAM of other runtimes; None where they cannot run the model, or are not known."""

    tflm_arena: int
    tflm_stack: int
    tinyengine: int | None
    x_cube_ai: int | None


PEERS = {
    "kws": Peers(22_820, 924, None, None),
    "vww": Peers(100_708, 924, 60_728, 41_152),
    "ic": Peers(54_996, 924, None, None),
    "ad": Peers(2_580, 636, 3_328, None),
}


def arenas(graph: Graph) -> dict[str, int]:
    """Bytes of the arena as each decision is added to the ones before."""
    steps = {
        "plain": {"overlay": False},
        "dead channels": {"overlay": False, "remove_constant_channels": True},
        "overlays": {"remove_constant_channels": True},
    }
    found = {name: plan(graph, **options).arena_bytes for name, options in steps.items()}
    in_patches = plan_in_patches(graph, remove_constant_channels=True)
    return {**found, "patches": in_patches.arena_bytes}


def table(folder: Path) -> str:
    """The comparison as text."""
    rows = []
    for model, peers in PEERS.items():
        ours = arenas(lower(load(str(folder / f"{model}_int8.tflite"))))
        others = (peers.tflm_arena, peers.tinyengine, peers.x_cube_ai)
        cells = [*ours.values(), *others]
        smallest = min(ours.values())
        share = smallest / peers.tflm_arena
        rows.append((model, *(f"{c:,}" if c else "-" for c in cells), f"{share:.2f}"))
    headings = (
        "model", *arenas(lower(load(str(folder / "ad_int8.tflite")))),
        "TFLM", "TinyEngine", "X-CUBE-AI", "of TFLM",
    )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, *rows]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


if __name__ == "__main__":
    usual = os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models")
    place = sys.argv[1] if len(sys.argv) > 1 else usual
    print(table(Path(place)))
