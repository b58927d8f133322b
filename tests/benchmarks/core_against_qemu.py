"""Instruction counts of the virtual core beside QEMU's, for emitted models.

    python tests/benchmarks/core_against_qemu.py [MODEL …]

Prints one row for each model and optimisation level, and exits with 1 where they differ by more
than two.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))

import qemu

from budget.api.emit import emit
from budget.core.elf import load_elf
from budget.core.machine import Machine
from budget.core.profile import Pricer
from budget.core.timing import timing_of

MODELS = ["zoo:hotword", "zoo:digits"]
LEVELS = ["-O2", "-Os", "-O3"]


def sources_of(model: str, target: str = "cortex-m4") -> dict[str, bytes]:
    """Emitted C of a model, with a harness around it."""
    emission = emit(model, None, name="net", target=target)
    graph, types = emission.program.graph, emission.program.types
    sizes = [sum(types[n].size_bytes for n in names) for names in (graph.inputs, graph.outputs)]
    files = {
        path: content
        for path, content in emission.files.items()
        if "/" not in path and path.endswith((".c", ".h")) and "selftest" not in path
    }
    return {**files, "harness.c": qemu.harness("net", *sizes)}


def counts(program: Path) -> tuple[int, int, int, float]:
    """Instructions by QEMU and by us, our cycles, and the seconds we took."""
    theirs = qemu.instructions(program)
    machine = Machine(load_elf(program.read_bytes(), program.name))
    machine.call("prepare")
    started = time.perf_counter()
    run = machine.call("work", count=True)
    seconds = time.perf_counter() - started
    total = Pricer(machine, timing_of("cortex-m4")).profile(run).total
    return theirs, total.instructions, total.cycles, seconds


def main(models: list[str]) -> int:
    """Prints the table."""
    print(f"{'model':28} {'flags':6} {'QEMU':>12} {'ours':>12} {'differ':>6} {'cycles':>12}  s")
    worst = 0
    for model in models:
        sources = sources_of(model)
        for level in LEVELS:
            with tempfile.TemporaryDirectory() as folder:
                theirs, ours, cycles, seconds = counts(qemu.link(Path(folder), sources, [level]))
            worst = max(worst, abs(theirs - ours))
            name = Path(model).name
            print(
                f"{name:28} {level:6} {theirs:12,} {ours:12,} {ours - theirs:6} "
                f"{cycles:12,} {seconds:5.1f}"
            )
    return int(worst > 2)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:] or MODELS))
