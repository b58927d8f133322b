"""Examples of a network's inputs, with the right answers where they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from budget.graph import Array, Graph

_SHARES = (0.7, 0.1)  # for training and for choosing; what is left is held out


@dataclass(frozen=True)
class Examples:
    """A number of examples.

    Attributes:
        inputs: by name, [example][...]; a first dimension of 1 of the graph's input is left out.
        shapes: of the graph's inputs by name.
        labels: class of each example; None where nobody said.
    """

    inputs: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, chosen: Sequence[int] | NDArray[np.int64]) -> Examples:
        """Some of them."""
        index = np.asarray(chosen, np.int64)
        labels = None if self.labels is None else self.labels[index]
        return replace(self, inputs={n: v[index] for n, v in self.inputs.items()}, labels=labels)

    def sample(self, index: int) -> dict[str, Array]:
        """One of them as the graph takes it."""
        return {name: v[index].reshape(self.shapes[name]) for name, v in self.inputs.items()}

    def samples(self, most: int | None = None) -> Iterator[dict[str, Array]]:
        """One after the other."""
        for index in range(len(self) if most is None else min(most, len(self))):
            yield self.sample(index)

    def batches(self) -> dict[str, Array]:
        """All of them as a TensorFlow function takes them: [example][...]."""
        return dict(self.inputs)

    def mapped(
        self, adapt: Callable[[Mapping[str, Array]], dict[str, Array]] | None, graph: Graph
    ) -> Examples:
        """The same for a graph whose inputs have changed."""
        if adapt is None:
            return self
        rows = [adapt(sample) for sample in self.samples()]
        return from_samples(graph, rows, self.labels)


def from_samples(
    graph: Graph, rows: Sequence[Mapping[str, Array]], labels: NDArray[np.int64] | None
) -> Examples:
    """Examples from one mapping for each."""
    shapes = {name: graph.type_of(name).shape for name in graph.inputs}
    columns = {
        name: np.stack([row[name].reshape(_inner(shapes[name])) for row in rows])
        for name in graph.inputs
    }
    return Examples(columns, shapes, labels)


def from_arrays(
    graph: Graph, arrays: Mapping[str, Array], labels: NDArray[np.int64] | None
) -> Examples:
    """Examples from one array for each input, [example][...]."""
    shapes = {name: graph.type_of(name).shape for name in graph.inputs}
    columns = {n: arrays[n].reshape(len(arrays[n]), *_inner(shapes[n])) for n in graph.inputs}
    return Examples(columns, shapes, labels)


def _inner(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] if shape[:1] == (1,) else shape


@dataclass(frozen=True)
class Sets:
    """Examples apart by what may be done with them.

    Attributes:
        training: to learn from and to calibrate with.
        choosing: to compare candidates on.
        held_out: looked at once, for the accuracy that is reported.
        classes: their names, in the order of labels; empty where there are none.
        are_pixels: inputs are images' pixels, whose scale is a matter of taste.
        notes: what was assumed.
        warnings: what speaks against trusting the result.
    """

    training: Examples
    choosing: Examples
    held_out: Examples
    classes: tuple[str, ...] = ()
    are_pixels: bool = False
    notes: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())

    @property
    def is_labelled(self) -> bool:
        """Whether right answers are known."""
        return self.training.labels is not None


def split(
    examples: Examples, *, held_out: Examples | None = None, seed: int = 0
) -> tuple[Examples, Examples, Examples]:
    """Training, choosing and held-out examples; the same for the same seed.

    Every class is divided in the same shares (70 %, 10 %, 20 %; 7 to 1 where what is held out is
    given), the order within it is drawn.
    """
    labels = examples.labels
    groups = [np.arange(len(examples))]
    if labels is not None:
        groups = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    random = np.random.default_rng(seed)
    parts: tuple[list[int], ...] = ([], [], [])
    whole = sum(_SHARES) if held_out is not None else 1.0
    for group in groups:
        order = random.permutation(group)
        ends = [
            round(len(order) * share)
            for share in (_SHARES[0] / whole, (_SHARES[0] + _SHARES[1]) / whole)
        ]
        for part, chosen in zip(parts, np.split(order, ends)):
            part += chosen.tolist()
    training, choosing, last = (examples.take(sorted(part)) for part in parts)
    return training, choosing, last if held_out is None else held_out
