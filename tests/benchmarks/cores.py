"""Cycles on other cores than Cortex-M4: kernels that every core has beside those tuned for it.

    python tests/benchmarks/cores.py [--core cortex-m3] [--models kws,ad] [--modes time] [--kernels]
    python tests/benchmarks/cores.py --choice [--core cortex-m7] [--models kws]

Emits each model for the core and as portable C, builds both for the core and runs one inference of
each on the virtual core, at zero wait states. ``per MAC``: cycles of a multiply-accumulate, of the
whole network; with ``--kernels`` of each kernel's layers. ``--choice``: what each layer's fastest
implementation on that core would take beside those that the table of Cortex-M4 chose.
BUDGET_MODELS is the folder of the four models of MLPerf Tiny; ``zoo:NAME`` names others.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "codegen")]

from host import random_inputs  # noqa: E402
from virtual import VirtualModel  # noqa: E402

from budget.api.emit import emit  # noqa: E402
from budget.api.measure import measure  # noqa: E402
from budget.api.measurement import Measurement  # noqa: E402
from budget.api.models import prepare  # noqa: E402
from budget.codegen import EmitOptions  # noqa: E402
from budget.plan import Program, plan  # noqa: E402
from budget.transforms.constant_channels import remove_constant_channels  # noqa: E402
from budget.tuning.ways import every_way  # noqa: E402

MODELS = "kws,ad,ic,vww,zoo:hotword,zoo:digits"
HEAD = ("model", "mode", "portable", "per MAC", "tuned", "per MAC", "speed-up", "flash", "RAM")


def path_of(model: str) -> str:
    """Of one of the four, or the name of a shipped one."""
    if model.startswith("zoo:"):
        return model
    folder = os.environ.get("BUDGET_MODELS", HERE.parents[2] / "shared" / "models")
    return str(Path(folder) / f"{model}_int8.tflite")


def measured(model: str, core: str, mode: str, target: str) -> Measurement:
    """One inference of what is emitted for a target, on a core.

    Raises:
        SystemExit: its outputs are not the reference's.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "out"
        emit(path_of(model), place, target=target, optimise=mode)
        found = measure(place, core=core)
    if not found.bit_exact:
        raise SystemExit(f"{model} for {target} is wrong on {core}")
    return found


def rows(models: Sequence[str], modes: Sequence[str], core: str) -> Iterator[tuple[str, ...]]:
    """Portable and tuned."""
    for model in models:
        for mode in modes:
            both = [measured(model, core, mode, target) for target in ("portable", core)]
            cells = []
            for found in both:
                cells += [f"{found.count.cycles:,}", f"{found.count.cycles / found.macs:.2f}"]
            ratio = both[0].count.cycles / both[1].count.cycles
            sizes = [found.to_json() for found in both]
            flash, ram = (
                " → ".join(f"{size[kind]['total']:,}" for size in sizes)
                for kind in ("flash_bytes", "ram_bytes")
            )
            yield (model, mode, *cells, f"{ratio:.2f}", flash, ram)


def kernels(models: Sequence[str], modes: Sequence[str], core: str) -> Iterator[tuple[str, ...]]:
    """Cycles of a multiply-accumulate in each operator's layers."""
    for model in models:
        for mode in modes:
            both = [measured(model, core, mode, target) for target in ("portable", core)]
            for operator in dict.fromkeys(layer.operator for layer in both[0].layers):
                cells = []
                for found in both:
                    chosen = [layer for layer in found.layers if layer.operator == operator]
                    cycles = sum(layer.count.cycles for layer in chosen)
                    macs = sum(layer.macs for layer in chosen)
                    cells += [f"{cycles:,}", f"{cycles / macs:.2f}" if macs else ""]
                yield (model, f"{mode}, {operator}", *cells, "", "", "")


def steps_of(program: Program, core: str) -> dict[int, int]:
    """Cycles of each step."""
    model = VirtualModel(program, EmitOptions("m", core, "time"))
    _, profile = model.run(random_inputs(program, 1), count=True)
    assert profile is not None
    found: dict[int, int] = {}
    for name, count in profile.scopes:
        if match := re.match(r"step_(\d+)_", name):
            found[int(match[1])] = found.get(int(match[1]), 0) + count.cycles
    return found


def choice(models: Sequence[str], core: str) -> Iterator[str]:
    """What was chosen, and what could have been."""
    for model in models:
        graph = remove_constant_channels(prepare(path_of(model)).graph).graph
        chosen = steps_of(plan(graph, target=core, optimise="time"), core)
        best = dict(chosen)
        for program in every_way(graph, core, "time"):
            for step, cycles in steps_of(program, core).items():
                best[step] = min(best[step], cycles)
        whole, least = sum(chosen.values()), sum(best.values())
        yield f"{model}: chosen {whole:,}, best of each layer {least:,} ({whole / least - 1:.1%})"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", default="cortex-m3")
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--modes", default="time,balanced")
    parser.add_argument("--kernels", action="store_true", help="by operator")
    parser.add_argument("--choice", action="store_true", help="beside the fastest of each layer")
    chosen = parser.parse_args()
    models = chosen.models.split(",")
    if chosen.choice:
        for line in choice(models, chosen.core):
            print(line)
        return
    found = kernels if chosen.kernels else rows
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for row in found(models, chosen.modes.split(","), chosen.core):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
