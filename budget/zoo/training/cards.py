"""Pieces of model cards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import sqrt
from typing import Any

from numpy.typing import NDArray

from budget.graph.graph import Graph
from budget.ops import registry


@dataclass(frozen=True)
class Score:
    """How many of the held-out examples are right."""

    right: int
    count: int

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % confidence interval."""
        z, n, p = 1.96, self.count, self.accuracy
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return centre - reach, centre + reach

    def __str__(self) -> str:
        low, high = self.interval
        counts = f"{self.right} of {self.count}"
        return f"{self.accuracy:.1%} ({counts}; 95 % interval {low:.1%} to {high:.1%})"


def macs(graph: Graph) -> int:
    """Multiply-accumulates of a canonical graph."""
    total = 0
    for node in graph.nodes:
        inputs = [graph.type_of(name) for name in node.inputs]
        outputs = [graph.type_of(name) for name in node.outputs]
        total += registry.get(node.op).cost(node.attributes, inputs, outputs).macs
    return total


def confusion(names: Sequence[str], labels: NDArray[Any], answers: NDArray[Any]) -> str:
    """A Markdown table of counts; empty cells are zero."""
    rows = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for index, name in enumerate(names):
        said = answers[labels == index]
        cells = [str(count) if (count := int((said == k).sum())) else "" for k in range(len(names))]
        rows.append(f"| **{name}** | {' | '.join(cells)} |")
    return "\n".join(rows)


def versions(*, with_speech: bool) -> str:
    """Versions of the programs that decide what comes out of the training scripts."""
    packages = [f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy")]
    program = shutil.which("espeak-ng")
    if with_speech and program is not None:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        packages.append(said.stdout.split("  ")[0].replace("text-to-speech: ", ""))
    return ", ".join(packages)
