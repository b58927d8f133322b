"""Removes whole channels, those that matter least, and fits what is left to what was there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from budget.errors import UnsupportedModelError, UsageError
from budget.graph import Graph, verify
from budget.records import record
from budget.shrinking.allocation import Damage, damages, least, shares
from budget.shrinking.linear import matrices, position_count, unrolled
from budget.shrinking.refit import refit
from budget.shrinking.way import Calibration, Reason, Shrunk, Stage, Strength, Way
from budget.transforms.channels import ChannelGroup, Channels, remove_channels

SCORES = ("activation", "norm", "batch-norm")
ALLOCATIONS = ("uniform", "global", "sensitivity")
_PLACES = 4096


def importance(
    graph: Graph, channels: Channels, calibration: Calibration, score: str
) -> dict[int, float]:
    """How much each removable class of channels matters, by class.

    Args:
        graph: in float.
        channels: its ties.
        calibration: examples, for ``activation``.
        score: ``norm``: energy of the weights that make it, over the layer's mean; ``batch-norm``:
            magnitude of its batch norms' scales, where the graph still has them; ``activation``:
            its share of the variance that the layers behind it make of it.
    """
    removable = {root for group in channels.groups() for root in group.classes}
    if score == "batch-norm":
        found = _by_batch_norm(graph, channels)
        # channels without a batch norm are judged by their weights
        found = {**_by_norm(graph, channels), **found}
    elif score == "norm":
        found = _by_norm(graph, channels)
    elif score == "activation":
        found = _by_activation(graph, channels, calibration)
    else:
        raise UsageError(f"no score {score!r}", hint=f"scores: {', '.join(SCORES)}")
    return {root: found.get(root, 0.0) for root in removable}


def _gathered(parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> dict[int, float]:
    found: dict[int, float] = {}
    for classes, scores in parts:
        for root, value in zip(classes.tolist(), scores.tolist(), strict=True):
            found[root] = found.get(root, 0.0) + value
    return found


def _by_norm(graph: Graph, channels: Channels) -> dict[int, float]:
    parts = []
    for node in graph.nodes:
        weights = graph.constant(node.inputs[1]) if channels.is_layer(node) else None
        if weights is not None:
            energy = np.square(weights.astype(np.float64)).reshape(len(weights), -1).sum(1)
            parts.append((channels.classes(node.outputs[0]), energy / max(energy.mean(), 1e-30)))
    return _gathered(parts)


def _by_batch_norm(graph: Graph, channels: Channels) -> dict[int, float]:
    parts = []
    for node in graph.nodes:
        scale = graph.constant(node.inputs[1]) if node.op == "batch_norm" else None
        if scale is not None:
            parts.append((channels.classes(node.outputs[0]), np.abs(scale.astype(np.float64))))
    return _gathered(parts)


def _by_activation(graph: Graph, channels: Channels, calibration: Calibration) -> dict[int, float]:
    values = calibration.activations(graph)
    random = np.random.default_rng(calibration.seed)
    parts = []
    for node in graph.nodes:
        weights = graph.constant(node.inputs[1]) if channels.is_layer(node) else None
        if weights is None:
            continue
        count = position_count(node, graph.type_of(node.outputs[0]).shape)
        wanted = max(1, min(count, _PLACES // len(values)))
        seen = []
        for value in values:
            chosen = np.sort(random.choice(count, wanted, replace=False))
            seen.append(unrolled(node, value[node.inputs[0]], weights.shape, chosen)[0])
        variance = np.concatenate(seen).var(axis=0)
        w = matrices(node, weights, weights.shape[-1])[0]
        energy = variance * np.square(w).sum(0)
        columns = channels.columns(node)
        repeat = len(energy) // len(columns)
        parts.append((np.tile(columns, repeat), energy / max(float(energy.sum()), 1e-30)))
    return _gathered(parts)


def choose(
    groups: tuple[ChannelGroup, ...],
    scores: Mapping[int, float],
    keep: Mapping[str, float],
    multiple: int = 1,
) -> list[int]:
    """Classes to remove: in every group those that matter least.

    Args:
        groups: that can lose channels.
        scores: by class.
        keep: share of the channels that stays, by group name; others keep all.
        multiple: channels that stay are rounded up to a multiple of this.
    """
    gone: list[int] = []
    for group in groups:
        gone += least(group, scores, keep.get(group.name, 1.0), multiple)
    return gone


def prune(
    graph: Graph,
    calibration: Calibration,
    keep: Mapping[str, float],
    *,
    score: str = "activation",
    multiple: int = 1,
    compensate: bool = True,
) -> Shrunk:
    """Removes channels group by group.

    Args:
        graph: canonical, in float.
        calibration: examples.
        keep: share of the channels that stays, by the name of `Channels.groups`.
        score: see `importance`.
        multiple: see `choose`.
        compensate: whether layers behind are fitted to what they computed.

    Raises:
        UnsupportedModelError: no channel of the graph can be removed.
        UsageError: there is no such score or group.
    """
    channels = Channels(graph)
    groups = channels.groups()
    if not groups:
        raise UnsupportedModelError(
            "no channels can be removed", where=graph.name, hint="its layers share no free channels"
        )
    unknown = sorted(set(keep) - {group.name for group in groups})
    if unknown:
        names = ", ".join(group.name for group in groups)
        raise UsageError(f"no group of channels {', '.join(unknown)}", hint=f"groups: {names}")
    scores = importance(graph, channels, calibration, score)
    gone = channels.removable(choose(groups, scores, keep, multiple))
    return _removed(graph, calibration, channels, gone, compensate)


def _removed(
    graph: Graph, calibration: Calibration, channels: Channels, gone: set[int], compensate: bool
) -> Shrunk:
    smaller, notes = remove_channels(graph, channels, gone)
    if compensate and gone:
        roots = np.array(sorted(gone), np.int64)
        kept = {
            node.outputs[0]: ~np.isin(channels.classes(node.outputs[0]), roots)
            for node in graph.nodes
            if graph.type_of(node.outputs[0]).shape
        }
        values = calibration.activations(graph)
        smaller = refit(graph, smaller, values, kept, calibration.seed)
    total = sum(len(group.classes) for group in channels.groups())
    note = f"{len(gone)} of {total} removable channels removed"
    return Shrunk(verify(smaller), note, tuple(Reason(layer, what) for layer, what in notes))


@record
class Prune(Way):
    """Structured pruning.

    Attributes:
        keep: share of the channels that stays.
        score: what a channel's importance is measured by.
        allocation: ``uniform``: the same share of every group; ``global``: the least important of
            all go, wherever they are; ``sensitivity``: groups whose loss the outputs feel least
            lose most.
        multiple: channels that stay in a group are a multiple of this (not with global).
        compensate: ``yes`` fits the remaining weights on the examples.
    """

    keep: float = 0.75
    score: str = "activation"
    allocation: str = "uniform"
    multiple: int = 1
    compensate: str = "yes"

    name: ClassVar[str] = "prune"
    words: ClassVar[str] = "removes the channels that matter least, through all paths they take"
    stage: ClassVar[Stage] = Stage.STRUCTURE

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """How much stays, and how it is chosen."""
        return (
            Strength("keep", "share of the channels that stays", 0.05, 1.0),
            Strength("score", "what importance is measured by", choices=SCORES),
            Strength(
                "allocation",
                "same share everywhere, or ranked, or by what outputs feel",
                choices=ALLOCATIONS,
            ),
            Strength("multiple", "kept channels are a multiple of", choices=(1, 2, 4, 8)),
            Strength("compensate", "fit what is left", choices=("yes", "no")),
        )

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Removes channels.

        Raises:
            UnsupportedModelError: no channel can be removed.
        """
        channels = Channels(graph)
        compensate = self.compensate == "yes"
        if self.allocation != "global":
            keep = {group.name: self.keep for group in channels.groups()}
            if self.allocation == "sensitivity" and keep:
                keep = shares(self._damages(graph, channels, calibration), self.keep)
            return prune(
                graph,
                calibration,
                keep,
                score=self.score,
                multiple=self.multiple,
                compensate=compensate,
            )
        scores = importance(graph, channels, calibration, self.score)
        order = sorted(scores, key=lambda root: scores[root])
        gone = channels.removable(order[: round(len(order) * (1 - self.keep))])
        return _removed(graph, calibration, channels, gone, compensate)

    def _damages(
        self, graph: Graph, channels: Channels, calibration: Calibration
    ) -> tuple[Damage, ...]:
        """See `damages`; the same at every strength."""

        def make() -> tuple[Damage, ...]:
            scores = importance(graph, channels, calibration, self.score)
            return damages(graph, channels, scores, calibration)

        return calibration.once(graph, f"damages by {self.score}", make)


WAYS: tuple[type[Way], ...] = (Prune,)
