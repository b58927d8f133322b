"""Cycles of MLPerf Tiny's four int8 models on the virtual Cortex-M4, beside what others need.

    python tests/benchmarks/cycles.py [--models kws,ad] [--modes time] [--all] [--check]
            [--markdown | --json]

Emits each model in each mode of optimisation, constant channels left out, builds it and runs one
inference: cycles and instructions at zero wait states, and cycles of the build whose kernels are
chosen for the flash of an STM32L4R5 at 120 MHz (5 wait states). ``exact``: the recorded outputs of
the numpy interpreter came out bit by bit. Below stand peers, built for the same core and priced by
the same timings at zero wait states (peers_cycles.csv has version or commit and address; of each
form the fastest build, all with ``--all``), and the fastest Cortex-M4 among the results of MLPerf
Tiny, on silicon with its wait states. ``speed-up`` is TFLM + CMSIS-NN's cycles (core -Os, kernels
-O2) over those of the row. ``--check`` exits with 1 where a target is missed. BUDGET_MODELS is the
folder of the models.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from budget.api.measure import measure
from budget.codegen.options import OPTIMISE

HERE = Path(__file__).parent
DEVICE = "stm32l4r5"  # 120 MHz, 5 wait states, its flash and caches are in the profile
HEAD = ("model", "runtime", "build", "cycles", "with 5 waits", "instructions", "outputs",
        "speed-up")  # fmt: skip
# model: cycles of the fastest Cortex-M4 in MLPerf Tiny's results (mlcommons/tiny_results_v*,
# latency times clock), and what ours is to reach in its fastest mode
SILICON = {"kws": 5.18e6, "vww": 10.7e6, "ic": 19.8e6, "ad": 0.486e6}
TARGETS = {"kws": 3.5e6, "vww": 6.0e6, "ic": 11e6, "ad": 0.36e6}


@dataclass(frozen=True)
class Row:
    """One build of one model.

    Attributes:
        model: name.
        runtime: with its version.
        build: compiler's optimisation and form of the model.
        cycles: at zero wait states; None where they are only known with waits.
        waited_cycles: with 5 wait states.
        instructions: of one inference.
        outputs: how they compare with the reference.
    """

    model: str
    runtime: str
    build: str
    cycles: int | None
    waited_cycles: int | None
    instructions: int | None
    outputs: str

    def cells(self, baseline: int) -> tuple[str, ...]:
        """As the table has it."""
        numbers = (self.cycles, self.waited_cycles, self.instructions)
        written = ("" if number is None else f"{number:,}" for number in numbers)
        ratio = f"{baseline / self.cycles:.2f}" if self.cycles else ""
        return (self.model, self.runtime, self.build, *written, self.outputs, ratio)


def ours(model: str, modes: Sequence[str] = OPTIMISE) -> Iterator[Row]:
    """Modes of optimisation, measured."""
    folder = os.environ.get("BUDGET_MODELS", HERE.parents[2] / "shared" / "models")
    path = Path(folder) / f"{model}_int8.tflite"
    for mode in modes:
        # kernels are chosen for the flash: those of the second build are others
        found = measure(path, core="cortex-m4", optimise=mode)
        there = measure(path, device=DEVICE, optimise=mode)
        waited = there.count.cycles + there.waits.cycles
        outputs = "exact" if found.bit_exact and there.bit_exact else "WRONG"
        yield Row(
            model, "budget", mode, found.count.cycles, waited, found.count.instructions, outputs
        )  # fmt: skip


def peers(model: str, *, every: bool = False) -> list[Row]:
    """Other runtimes, fastest first: the fastest build of each form of the model, or every."""
    with (HERE / "peers_cycles.csv").open(newline="") as file:
        lines = sorted(
            (line for line in csv.DictReader(file) if line["model"] == model),
            key=lambda line: int(line["cycles"]),
        )
    seen: set[tuple[str, str]] = set()
    rows = []
    for line in lines:
        form = line["peer"], line["form"]
        if every or form not in seen:
            seen.add(form)
            build = ", ".join(part for part in (line["form"], line["build"]) if part)
            name = f"{line['peer']} ({line['version']})"
            numbers = int(line["cycles"]), None, int(line["instructions"])
            rows.append(Row(model, name, build, *numbers, line["outputs"]))
    return rows


def baseline(model: str) -> int:
    """Cycles of TFLM + CMSIS-NN as it is usually built."""
    return next(
        row.cycles or 0
        for row in peers(model, every=True)
        if row.runtime.startswith("TFLM + CMSIS-NN") and row.build == "core -Os, kernels -O2"
    )


def missed(rows: list[Row]) -> list[str]:
    """What our rows of a model fall short of."""
    model = rows[0].model
    best = min(row.cycles or 0 for row in rows)
    limits = {
        "target": TARGETS[model],
        "half of TFLM + CMSIS-NN": baseline(model) / 2,
        "silicon, with waits": SILICON[model],
    }
    waited = min(row.waited_cycles or 0 for row in rows)
    found = [
        f"{model}: {name} is {limit:,.0f} cycles"
        for name, limit in limits.items()
        if (waited if "waits" in name else best) > limit
    ]
    return found + [f"{model}: {row.build} is wrong" for row in rows if row.outputs != "exact"]


def print_table(lines: list[tuple[str, ...]], *, markdown: bool) -> None:
    """Prints lines below a head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if 3 <= i <= 5 or i == 7 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells).rstrip())
        if markdown and number == 0:
            print("|" + "---|" * len(HEAD))


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(SILICON))
    parser.add_argument("--modes", default=",".join(OPTIMISE))
    parser.add_argument("--all", action="store_true", help="every build of the peers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    chosen = parser.parse_args()
    lines, short = [HEAD], []
    found: list[Row] = []
    for model in chosen.models.split(","):
        rows = list(ours(model, chosen.modes.split(",")))
        short += missed(rows)
        best = Row(
            model, "fastest Cortex-M4 in MLPerf Tiny", "silicon", None, round(SILICON[model]), None,
            "",
        )  # fmt: skip
        whole = [*rows, best, *peers(model, every=chosen.all)]
        found += whole
        lines += [row.cells(baseline(model)) for row in whole]
    if chosen.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
    else:
        print_table(lines, markdown=chosen.markdown)
    for line in short:
        print(f"missed: {line}", file=sys.stderr)
    return int(chosen.check and bool(short))


if __name__ == "__main__":
    sys.exit(main())
