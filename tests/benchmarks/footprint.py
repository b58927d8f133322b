"""Flash and RAM of emitted models beside other runtimes.

    python tests/benchmarks/footprint.py [--markdown] [--compiler arm-none-eabi-gcc]

Emits MLPerf Tiny's four int8 models in each mode of optimisation, links them for Cortex-M4
(start-up code and caller left out, ``--gc-sections``, newlib nano), runs them over painted memory,
and prints flash for code, constants, and RAM (static data, arena among it, and deepest stack) with
the predictions, beside peers built for the same core and run in emulation: peers_footprint.csv,
each with version or commit; their code includes about 0.9 KB of harness. Set BUDGET_MODELS to the
folder of the models.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from budget.api.models import load, lower
from budget.codegen.footprint import GCC, Footprint, predict
from budget.codegen.options import OPTIMISE, EmitOptions
from budget.codegen.planning import plan_for
from budget.codegen.source import Source, write_steps
from budget.tuning.code_size import Measured, measure

TARGET = "cortex-m4"
MODELS = ("kws", "vww", "ic", "ad")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One model, built once."""

    model: str
    mode: str
    source: Source
    predicted: Footprint
    measured: Measured

    @property
    def code_bytes(self) -> int:
        """Linked flash that is not constants."""
        return self.measured.linked_bytes - self.predicted.constant_bytes

    @property
    def stack_bytes(self) -> int:
        """Deepest stack, as painted memory shows it."""
        return self.measured.stacks["m_invoke"]

    @property
    def ram_bytes(self) -> int:
        """What the program's own variables and the stack take; the caller's buffers left out."""
        return self.measured.static_bytes + self.stack_bytes

    @property
    def predicted_ram_bytes(self) -> int:
        """The same, predicted."""
        return self.predicted.arena_bytes + self.predicted.stack_bytes

    @property
    def flash_error(self) -> float:
        """Predicted over linked flash, less one."""
        return self.predicted.flash_bytes / self.measured.linked_bytes - 1


def sources(model: str, modes: tuple[str, ...] = OPTIMISE) -> Iterator[Source]:
    """A model in each mode as `emit` writes it."""
    for mode in modes:
        options = EmitOptions("m", TARGET, mode)  # type: ignore[arg-type]
        yield write_steps(plan_for(lower(load(model)), options), options)


def rows(folder: Path, models: tuple[str, ...] = MODELS, compiler: str = GCC) -> Iterator[Row]:
    """Every model in every mode."""
    for model in models:
        for source in sources(str(folder / f"{model}_int8.tflite")):
            predicted, measured = predict(source, compiler=compiler), measure(source, compiler)
            yield Row(model, source.options.optimise, source, predicted, measured)


def peers(model: str) -> list[dict[str, str]]:
    """What others need for a model."""
    with (HERE / "peers_footprint.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["model"] == model]


def models_folder() -> Path:
    """Where the models are."""
    return Path(os.environ.get("BUDGET_MODELS", HERE.parents[2] / "shared" / "models"))


def main(markdown: bool, compiler: str = GCC) -> None:
    """Prints the table."""
    head = ("model", "runtime", "build", "code", "constants", "RAM", "outputs", "flash predicted",
            "RAM predicted")  # fmt: skip
    lines: list[tuple[str, ...]] = [head]
    found = list(rows(models_folder(), compiler=compiler))
    for model in MODELS:
        for row in (row for row in found if row.model == model):
            lines.append(
                (
                    *(model, "budget", row.mode, f"{row.code_bytes:,}"),
                    *(f"{row.predicted.constant_bytes:,}", f"{row.ram_bytes:,}"),
                    *("equal to the reference", f"{100 * row.flash_error:+.2f} %"),
                    f"{row.predicted_ram_bytes - row.ram_bytes:+d} B",
                )
            )
        for peer in peers(model):
            ram = int(peer["ram_bytes"]) + int(peer["stack_bytes"])
            lines.append(
                (
                    *(model, f"{peer['peer']} ({peer['version']})", peer["build"]),
                    *(f"{int(peer['code_bytes']):,}", f"{int(peer['weights_bytes']):,}"),
                    *(f"{ram:,}", peer["outputs"], "", ""),
                )
            )
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for number, line in enumerate(lines):
        if markdown:
            print("| " + " | ".join(line) + " |")
            if number == 0:
                print("|" + "---|" * len(head))
        else:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


if __name__ == "__main__":
    named = [after for before, after in zip(sys.argv, sys.argv[1:]) if before == "--compiler"]
    main("--markdown" in sys.argv[1:], *named)
