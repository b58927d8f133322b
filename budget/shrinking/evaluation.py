"""How right a network is, how sure that is, and how near another one it stays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.graph import Array, Graph
from budget.ops.interpreter import run
from budget.records import record
from budget.shrinking.batching import with_batch
from budget.shrinking.examples import Examples
from budget.shrinking.stored import real_outputs, stored_inputs

_BATCH = 50
_Z = 1.959963984540054  # 97.5th percentile of the normal distribution


@record
class Score:
    """Right answers among all, with Wilson's interval of 95 %.

    Attributes:
        right: answers.
        count: questions.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22, 1927.
    """

    right: int
    count: int

    @property
    def ratio(self) -> float:
        """Share of right answers."""
        return self.right / self.count if self.count else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares the true one lies with 95 %."""
        n = max(self.count, 1)
        p, zz = self.ratio, _Z * _Z
        middle = (p + zz / (2 * n)) / (1 + zz / n)
        reach = _Z * math.sqrt(p * (1 - p) / n + zz / (4 * n * n)) / (1 + zz / n)
        return max(0.0, middle - reach), min(1.0, middle + reach)

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        low, high = self.interval
        return {
            "right": self.right, "count": self.count, "ratio": self.ratio, "low": low, "high": high
        }  # fmt: skip


@record
class Change:
    """Two networks' answers to the same questions.

    Attributes:
        lost: right before, wrong after.
        gained: wrong before, right after.
        count: questions.
    """

    lost: int
    gained: int
    count: int

    @property
    def difference(self) -> float:
        """Accuracy after less accuracy before."""
        return (self.gained - self.lost) / max(self.count, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference, 95 %: of pairs, so that what both get wrong does not widen it.

        Source: Wald's interval for paired proportions with Agresti and Min's correction, adding
        half a pair to each of the four counts (Statistics in Medicine 24, 2005).
        """
        n, lost, gained = self.count + 2.0, self.lost + 0.5, self.gained + 0.5
        difference = (gained - lost) / n
        spread = math.sqrt(max(lost + gained - (gained - lost) ** 2 / n, 0.0)) / n
        return difference - _Z * spread, difference + _Z * spread

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test: how likely so uneven a change is if neither is better."""
        n, k = self.lost + self.gained, min(self.lost, self.gained)
        if not n:
            return 1.0
        return float(min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n))

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        low, high = self.interval
        return {
            "lost": self.lost, "gained": self.gained, "count": self.count,
            "difference": self.difference, "low": low, "high": high, "p_value": self.p_value,
        }  # fmt: skip


def integer_outputs(graph: Graph, examples: Examples) -> dict[str, Array]:
    """A quantised graph's outputs as real numbers, bit-exact with the emitted C."""
    parts: list[Mapping[str, Array]] = []
    many = with_batch(graph, _BATCH)
    whole = 0 if many is None else len(examples) // _BATCH * _BATCH
    for begin in range(0, whole, _BATCH):
        assert many is not None
        chosen = examples.take(range(begin, begin + _BATCH))
        values = {name: chosen.inputs[name].reshape(many.type_of(name).shape)
                  for name in many.inputs}  # fmt: skip
        parts.append(real_outputs(many, run(many, stored_inputs(many, values))))
    for sample in examples.take(range(whole, len(examples))).samples():
        found = real_outputs(graph, run(graph, stored_inputs(graph, sample)))
        parts.append({name: _row(value) for name, value in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}


def _row(output: Array) -> Array:
    return output if output.shape[:1] == (1,) else output[None]


def answers(outputs: Array) -> NDArray[np.int64]:
    """The class that each row of outputs names; a single number is a yes above one half."""
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    if flat.shape[1] == 1:
        return np.asarray(flat[:, 0] > 0.5, np.int64)
    return np.asarray(flat.argmax(axis=1), np.int64)


def score(given: NDArray[np.int64], labels: NDArray[np.int64]) -> Score:
    """How many answers are right."""
    return Score(int((given == labels).sum()), len(labels))


def change(
    before: NDArray[np.int64], after: NDArray[np.int64], labels: NDArray[np.int64]
) -> Change:
    """Which answers became wrong and which right."""
    was, now = before == labels, after == labels
    return Change(int((was & ~now).sum()), int((~was & now).sum()), len(labels))


def explained(before: Array, after: Array) -> float:
    """Share of the original outputs' variance that the new ones keep: 1 where they are equal."""
    a, b = before.astype(np.float64), after.astype(np.float64)
    spread = float(np.square(a - a.mean()).mean())
    error = float(np.square(a - b).mean())
    return 1.0 - error / spread if spread else float(error == 0)


def explained_interval(
    before: Array, after: Array, *, rounds: int = 500, seed: int = 0
) -> tuple[float, float]:
    """Of `explained`, 95 %, by drawing examples anew (bootstrap)."""
    a = before.astype(np.float64).reshape(len(before), -1)
    b = after.astype(np.float64).reshape(len(after), -1)
    spread, error = np.square(a - a.mean()).mean(1), np.square(a - b).mean(1)
    chosen = np.random.default_rng(seed).integers(0, len(a), (rounds, len(a)))
    ratios = error[chosen].mean(1) / np.maximum(spread[chosen].mean(1), 1e-30)
    low, high = np.percentile(1.0 - ratios, [2.5, 97.5])
    return float(low), float(high)
