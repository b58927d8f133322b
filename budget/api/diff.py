"""Whether two models compute the same: outputs, best guesses, and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from budget import units
from budget.api.examples import draw_examples, read_examples, stored_example, to_real
from budget.api.models import load, lower
from budget.errors import UsageError
from budget.graph import Array, Graph
from budget.records import record

LEAST_SNR_DB = 20.0
"""Two layers part where the difference is more than a tenth of the signal."""


@record
class OutputDifference:
    """How far one output of B is from A's.

    Attributes:
        name: in A.
        other: in B.
        largest: of all elements and examples.
        relative: that, over the largest element of A's.
        snr_db: power of A's output over that of the difference; infinite where they are equal.
        agreement_ratio: examples whose largest element is the same.
    """

    name: str
    other: str
    largest: float
    relative: float
    snr_db: float
    agreement_ratio: float


@record
class LayerDifference:
    """How far a tensor of B is from the one of A that it stands for.

    Attributes:
        name: in A.
        other: in B.
        op: that computes it in A.
        snr_db: as of outputs.
    """

    name: str
    other: str
    op: str
    snr_db: float


@record
class Difference:
    """Two models side by side.

    Attributes:
        name: of A.
        other: of B.
        example_count: inputs that both were run on.
        outputs: pair by pair.
        layers: pairs of tensors that stand for each other, in A's order.
        unmatched_count: tensors of A that have no partner (fused away, or of another shape).
        least_snr_db: below it two layers part.
    """

    name: str
    other: str
    example_count: int
    outputs: tuple[OutputDifference, ...]
    layers: tuple[LayerDifference, ...]
    unmatched_count: int
    least_snr_db: float

    @property
    def agreement_ratio(self) -> float:
        """Examples on which the first output's largest element is the same."""
        return self.outputs[0].agreement_ratio if self.outputs else 1.0

    @property
    def parting(self) -> LayerDifference | None:
        """The first layer below the least signal-to-noise ratio."""
        return next((item for item in self.layers if item.snr_db < self.least_snr_db), None)

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints; a ratio is null where there is no difference."""
        from budget.api.documents import SCHEMA

        parting = self.parting
        return {
            "schema": SCHEMA,
            "command": "diff",
            "models": [{"name": self.name}, {"name": self.other}],
            "examples": self.example_count,
            "agreement_ratio": self.agreement_ratio,
            "outputs": [
                {
                    "name": item.name,
                    "other": item.other,
                    "largest": item.largest,
                    "relative": item.relative,
                    "snr_db": units.finite(item.snr_db),
                    "agreement_ratio": item.agreement_ratio,
                }
                for item in self.outputs
            ],
            "parting": parting.name if parting else None,
            "least_snr_db": self.least_snr_db,
            "layers": [
                {
                    "name": item.name,
                    "other": item.other,
                    "op": item.op,
                    "snr_db": units.finite(item.snr_db),
                }
                for item in self.layers
            ],
            "unmatched": self.unmatched_count,
        }


def diff(
    a: str | Path | Graph,
    b: str | Path | Graph,
    inputs: str | Path | Sequence[Mapping[str, Array]] | None = None,
    *,
    count: int = 8,
    seed: int = 0,
    least_snr_db: float = LEAST_SNR_DB,
    mean: float | None = None,
    std: float | None = None,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Difference:
    """Runs two models on the same inputs.

    Args:
        a: the one that is right.
        b: the one that is compared; inputs and outputs pair with A's by name, else in order.
        inputs: a file or folder of examples as for `run`, or arrays by name, as real numbers;
            seeded random numbers if not given, in the range of an input that is quantised.
        count: of random examples.
        seed: of those.
        least_snr_db: where layers part.
        mean: of pixels.
        std: of pixels.
        input_shapes: name → shape, where A's file leaves dimensions open.

    Raises:
        UsageError: the models' inputs or outputs do not go together, or the examples with them.
        ModelError: a model cannot be read or run.
    """
    first, second = (_lowered(item, input_shapes or {}) for item in (a, b))
    _require_pairs(first, second)
    if inputs is None:
        examples = draw_examples(_narrower(first, second), count, seed)
    elif isinstance(inputs, (str, Path)):
        examples = read_examples(inputs, first, model=a, mean=mean, std=std)
    else:
        examples = [(str(index), dict(item)) for index, item in enumerate(inputs)]
    outputs = _paired(first.outputs, second.outputs)
    layers = _layer_pairs(first, second)
    sums = {pair: _Sum() for pair in (*outputs, *layers)}
    for _, example in examples:
        found = [_run(graph, example) for graph in (first, second)]
        for (name, other), total in sums.items():
            total.add(found[0][name], found[1][other])
    producers = first.producers
    return Difference(
        first.source.name or first.name,
        second.source.name or second.name,
        len(examples),
        tuple(
            OutputDifference(name, other, total.largest, total.relative, total.snr_db,
                             total.agreed / max(1, len(examples)))
            for (name, other), total in ((pair, sums[pair]) for pair in outputs)
        ),
        tuple(
            LayerDifference(name, other, producers[name].op, sums[name, other].snr_db)
            for name, other in layers
        ),
        sum(len(node.outputs) for node in first.nodes) - len(layers),
        least_snr_db,
    )  # fmt: skip


def _lowered(model: str | Path | Graph, shapes: Mapping[str, tuple[int, ...]]) -> Graph:
    if isinstance(model, Graph):
        return lower(model)
    return lower(load(model, input_shapes=shapes))


def _run(graph: Graph, example: Mapping[str, Array]) -> dict[str, Any]:
    from budget.ops.interpreter import run as interpret

    found = interpret(graph, stored_example(graph, example, list(example)), keep="all")
    return {name: to_real(graph.type_of(name), value) for name, value in found.items()}


def _require_pairs(a: Graph, b: Graph) -> None:
    for what, ours, theirs in (("inputs", a.inputs, b.inputs), ("outputs", a.outputs, b.outputs)):
        if len(ours) != len(theirs):
            raise UsageError(
                f"the models have different {what}: {', '.join(ours)}, and {', '.join(theirs)}",
                hint="choose those to compare when saving the models",
            )
    for name, other in _paired(a.outputs, b.outputs):
        if a.type_of(name).element_count != b.type_of(other).element_count:
            raise UsageError(
                f"output {name!r} is {list(a.type_of(name).shape)}, "
                f"and {other!r} {list(b.type_of(other).shape)}"
            )


def _narrower(a: Graph, b: Graph) -> Graph:
    """The one whose inputs say what range they have."""
    counts = [sum(graph.type_of(name).is_quantized for name in graph.inputs) for graph in (a, b)]
    return b if counts[1] > counts[0] else a


def _paired(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[str, str]]:
    if set(ours) == set(theirs):
        return [(name, name) for name in ours]
    return list(zip(ours, theirs, strict=True))


def _layer_pairs(a: Graph, b: Graph) -> list[tuple[str, str]]:
    """Tensors that stand for each other: those of one name, else those of like operators.

    Without names, the first of an operator with the same shapes of output and constants in A
    stands for the first in B, and so on, where both have as many of them.
    """
    ours, theirs = ([out for node in graph.nodes for out in node.outputs] for graph in (a, b))
    known = set(theirs)
    same = [
        (out, out) for out in ours if out in known and a.type_of(out).shape == b.type_of(out).shape
    ]
    if 2 * len(same) >= min(len(ours), len(theirs)):
        return same
    first, second = _by_kind(a), _by_kind(b)
    pairs = {
        out: other
        for kind, items in first.items()
        if len(items) == len(second.get(kind, ()))
        for out, other in zip(items, second[kind])
    }
    return [(out, pairs[out]) for out in ours if out in pairs]


def _by_kind(graph: Graph) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {}
    for node in graph.nodes:
        held = tuple(
            graph.type_of(name).shape
            for name in node.present_inputs[:2]
            if graph.constant(name) is not None
        )
        for out in node.outputs:
            kind = (node.op, graph.type_of(out).shape, held)
            found.setdefault(kind, []).append(out)
    return found


class _Sum:
    """Differences of one tensor, gathered over examples."""

    def __init__(self) -> None:
        self.largest = self.highest = self.signal = self.noise = 0.0
        self.agreed = 0

    def add(self, ours: Any, theirs: Any) -> None:
        """One example."""
        ours, theirs = np.ravel(ours), np.ravel(theirs)
        difference = theirs - ours
        self.largest = max(self.largest, float(np.max(np.abs(difference), initial=0)))
        self.highest = max(self.highest, float(np.max(np.abs(ours), initial=0)))
        self.signal += float(ours @ ours)
        self.noise += float(difference @ difference)
        self.agreed += bool(not ours.size or np.argmax(ours) == np.argmax(theirs))

    @property
    def relative(self) -> float:
        return self.largest / self.highest if self.highest else self.largest

    @property
    def snr_db(self) -> float:
        if not self.noise:
            return math.inf
        if not math.isfinite(self.noise) or not self.signal:
            return -math.inf
        return 10 * math.log10(self.signal / self.noise)
