"""Splits layers into two thin ones along the directions their real inputs take."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from budget.errors import UnsupportedModelError
from budget.graph import Graph, verify
from budget.records import record
from budget.shrinking.linear import chosen_positions, position_count, unrolled
from budget.shrinking.refit import refit
from budget.shrinking.way import Calibration, Reason, Shrunk, Stage, Strength, Way
from budget.transforms.low_rank import errors_by_rank, factor, factorable, least_rank, pays

_MOST_INPUTS = 2304


@record
class LowRank(Way):
    """Low-rank factorisation.

    Attributes:
        error: share of each layer's output energy (around its mean) that may be lost.
        layers: ``pointwise``: fully connected layers and 1×1 convolutions; ``all``: wider
            windows too.
        compensate: ``yes`` fits the second half of each layer on the examples.
    """

    error: float = 0.05
    layers: str = "pointwise"
    compensate: str = "yes"

    name: ClassVar[str] = "low-rank"
    words: ClassVar[str] = "splits fully connected and pointwise layers into two thin ones"
    stage: ClassVar[Stage] = Stage.STRUCTURE

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """How much may be lost, and where."""
        return (
            Strength("error", "share of a layer's output energy that may be lost", 0.0, 0.5),
            Strength("layers", "which are split", choices=("pointwise", "all")),
            Strength("compensate", "fit what is left", choices=("yes", "no")),
        )

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Splits every layer that gets a tenth smaller or more.

        Raises:
            UnsupportedModelError: the graph has no such layer.
        """
        candidates = [
            node
            for node in factorable(graph)
            if self.layers == "all" or graph.type_of(node.inputs[1]).shape[1:-1] in ((), (1, 1))
        ]
        if not candidates:
            raise UnsupportedModelError(
                "no layer can be split in two", where=graph.name, hint="use layers=all"
            )
        values = calibration.activations(graph)
        random = np.random.default_rng(calibration.seed)
        split, reasons = graph, []
        for node in candidates:
            weights = graph.constant(node.inputs[1])
            assert weights is not None
            w = weights.astype(np.float64).reshape(len(weights), -1)
            if w.shape[1] > _MOST_INPUTS:
                continue
            count = position_count(node, graph.type_of(node.outputs[0]).shape)
            seen = np.concatenate(
                [
                    unrolled(
                        node,
                        value[node.inputs[0]],
                        weights.shape,
                        chosen_positions(random, count, len(values)),
                    )[0]
                    for value in values
                ]
            )
            mean = seen.mean(0)
            directions, rest = errors_by_rank(w, (seen - mean).T @ (seen - mean) / len(seen))
            rank = least_rank(rest, self.error)
            if pays(w.shape, rank):
                split = factor(split, node.name, directions[:, :rank], mean)
                lost = 100 * float(rest[rank - 1])
                what = f"{w.shape[0]}×{w.shape[1]} through rank {rank}: {lost:.1f} % lost"
                reasons.append(Reason(node.name, what))
        if self.compensate == "yes" and reasons:
            split = refit(graph, split, values, {}, calibration.seed)
        note = f"{len(reasons)} of {len(candidates)} layers split"
        return Shrunk(verify(split), note, tuple(reasons))


WAYS: tuple[type[Way], ...] = (LowRank,)
