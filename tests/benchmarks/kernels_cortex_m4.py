"""Cycles of MLPerf Tiny's four int8 models on a virtual Cortex-M4, beside what others reach.

    python tests/benchmarks/kernels_cortex_m4.py [--optimise time|balanced] [MODEL …]

Zero wait states; outputs are compared with the integer meaning of the graph. Per kernel: MACs in a
cycle, where SMLAD would allow 2 (Winograd's count those of the direct form, hence may pass 2), and
below what the cycles were spent on, by kind of instruction as the core prices them: what is not
multiplying is what keeps a kernel from that limit.
Exits with 1 where an output differs.

Others: TensorFlow Lite Micro (90b983c2) with CMSIS-NN (4ab83cc3), core -Os and kernels -O2, by the
same rules. Silicon is the fastest Cortex-M4 in the results of MLPerf Tiny, latency times 120 MHz on
a NUCLEO-L4R5ZI with 5 wait states: mlcommons/tiny_results_v1.2, closed, STMicroelectronics
(X-CUBE-AI 9.0) for kws, vww and ic; tiny_results_v1.1, closed, Plumerai (2023.05) for ad. It ran
all channels of vww, of which ours leaves out those proven constant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "codegen"))

from host import random_inputs  # noqa: E402
from virtual import VirtualModel  # noqa: E402

from budget.api.models import lower  # noqa: E402
from budget.codegen import EmitOptions  # noqa: E402
from budget.ops.interpreter import run  # noqa: E402
from budget.plan import plan  # noqa: E402
from budget.readers import load  # noqa: E402

# model: (TFLM + CMSIS-NN, fastest silicon, target), Mcycles
OTHERS = {
    "kws": (9.08, 5.18, 3.5),
    "vww": (28.77, 10.7, 6.0),
    "ic": (36.36, 19.8, 11.0),
    "ad": (0.721, 0.486, 0.36),
}


def measure(folder: Path, name: str, optimise: str) -> bool:
    """Prints one model's tables; whether its outputs are right."""
    graph = lower(load(str(folder / f"{name}_int8.tflite")))
    program = plan(graph, target="cortex-m4", optimise=optimise, remove_constant_channels=True)
    options = EmitOptions(name=name, target="cortex-m4", optimise=optimise)
    model = VirtualModel(program, options)
    inputs = random_inputs(program, 1)
    found, profile = model.run(inputs, count=True)
    expected = run(program.graph, inputs)
    exact = all(np.array_equal(found[key], expected[key]) for key in expected)
    steps = {step.index: step for step in program.steps}
    kinds: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    mixes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for scope, mix in model.mix():
        if scope:
            step = steps[int(scope.split("_")[1])]
            mixes[step.node.op, step.variant or "portable"].update(mix)
    for scope, count in profile.scopes:
        step = steps[int(scope.split("_")[1])]
        outputs = program.types[step.node.outputs[0]].element_count
        row = kinds[step.node.op, step.variant or "portable"]
        for place, amount in enumerate((count.cycles, step.cost.macs, outputs)):
            row[place] += amount
    tflm, silicon, target = OTHERS[name]
    cycles = profile.total.cycles
    print(
        f"\n{name}: {cycles / 1e6:.3f} M cycles, {profile.total.instructions / 1e6:.3f} M "
        f"instructions, {'exact' if exact else 'WRONG'}; target {target}, TFLM + CMSIS-NN {tflm} "
        f"({tflm * 1e6 / cycles:.2f} x), silicon {silicon} ({silicon * 1e6 / cycles:.2f} x)"
    )
    constants = sum(step.weight_bytes for step in program.steps)
    print(f"  flash {model.elf.flash_bytes:,} B, arena {program.arena_bytes:,} B; "
          f"the model's constants {constants:,} B")  # fmt: skip
    print(
        "  kernel                                          cycles        MAC  MAC/cycle  per output"
    )
    for (op, variant), (spent, macs, outputs) in sorted(kinds.items(), key=lambda i: -i[1][0]):
        rate = f"{macs / spent:9.3f}" if macs else " " * 9
        print(f"  {op:18} {variant:24} {spent:10,} {macs:10,}  {rate} {spent / outputs:11.1f}")
        parts = sorted(mixes[op, variant].items(), key=lambda item: -item[1])
        print("    " + ", ".join(f"{name} {cycles / spent:.0%}" for name, cycles in parts))
    return exact


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(OTHERS))
    parser.add_argument("--optimise", choices=("time", "balanced", "size"), default="time")
    chosen = parser.parse_args()
    folder = Path(os.environ.get("BUDGET_MODELS", ROOT.parent / "shared" / "models"))
    return int(not all([measure(folder, name, chosen.optimise) for name in chosen.models]))


if __name__ == "__main__":
    sys.exit(main())
