"""Transforms of models of any format, in canonical operators, under the names shrinking knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from budget.errors import UsageError
from budget.graph import Graph, Node
from budget.transforms.tool.transform import Context, GraphTransform

_SHOWN = 12


def _is_orthonormal(graph: Graph, node: Node) -> bool:
    """Whether a layer is the second of the two that a split made: only those are orthonormal."""
    weights = graph.constant(node.inputs[1])
    if weights is None:
        return False
    flat = np.asarray(weights, np.float64).reshape(len(weights), -1)
    many, few = flat.shape
    return few < many and bool(np.allclose(flat.T @ flat, np.eye(few), atol=1e-4))


def _short(name: str) -> str:
    """A name that a converter made of those of all nodes it merged: the first of them."""
    return name.partition(";")[0]


@dataclass(frozen=True)
class RemoveConstantChannels(GraphTransform):
    """Removes channels that are the same for every input; outputs stay equal, bit for bit.

    w · [x, c] = w₁ · x + (w₂ · c), where c is constant: the second part joins the bias. Quantised
    models only; each tensor that loses channels is named with those that are constant.
    """

    called: ClassVar[str] = "remove_constant_channels"

    def apply(self, graph: Graph, context: Context) -> Graph:
        """As the class says."""
        from budget.analysis.value_intervals import value_intervals
        from budget.transforms.constant_channels import remove_constant_channels

        found = remove_constant_channels(graph)
        if not found.removed_count:
            context.notes.append("no channel can be removed: none is constant, or none is free")
            return graph
        while found.removed_count:  # without these, others may be seen to be constant
            smaller, found = found.graph, remove_constant_channels(found.graph)
        intervals = value_intervals(graph)
        for name, tensor in graph.tensors.items():
            kept = smaller.tensors.get(name)
            if tensor.is_constant or kept is None or kept.type.shape == tensor.type.shape:
                continue
            channels = np.flatnonzero(intervals[name].is_constant).tolist()
            shown = ", ".join(map(str, channels[:_SHOWN])) or "none, but nobody reads them"
            more = f" and {len(channels) - _SHOWN} more" if len(channels) > _SHOWN else ""
            context.notes.append(
                f"{_short(name)}: {tensor.type.shape[-1]} → {kept.type.shape[-1]} channels; "
                f"constant are {shown}{more}"
            )
        return smaller


@dataclass(frozen=True)
class Equalise(GraphTransform):
    """Spreads the ranges of two layers evenly over the channels between them, in float models.

    W₂ · f(W₁ · x) = (W₂ · s) · f((W₁ / s) · x) for s > 0; see budget.transforms.equalise.
    """

    called: ClassVar[str] = "equalise"

    def apply(self, graph: Graph, context: Context) -> Graph:
        """As the class says."""
        from budget.transforms.equalise import equalise

        found, notes = equalise(graph)
        context.notes += [f"{_short(name)}: {note}" for name, note in notes]
        if not notes:
            context.notes.append("no two float layers follow each other so that ranges can move")
            return graph
        return found


@dataclass(frozen=True)
class Cluster(GraphTransform):
    """Lets the int8 weights of each layer take few values only: w → c[i(w)], |c| ≤ ``size``.

    Attributes:
        size: values of a code book: 16 or 32.
    """

    size: int = 16
    called: ClassVar[str] = "cluster"

    def apply(self, graph: Graph, context: Context) -> Graph:
        """As the class says.

        Raises:
            UsageError: there is no code book of that size.
        """
        from budget.transforms.cluster import SIZES, cluster

        if self.size not in SIZES:
            raise UsageError(f"cluster needs a size of {' or '.join(map(str, SIZES))}",
                             where="transforms")  # fmt: skip
        found, notes = cluster(graph, self.size)
        context.notes += [f"{_short(name)}: {note}" for name, note in notes]
        if not notes:
            context.notes.append("no layer has int8 weights; quantise the model before")
            return graph
        return found


@dataclass(frozen=True)
class LowRank(GraphTransform):
    """Splits layers in two thin ones, W ≈ A · B, where that takes fewer multiplications.

    The least rank that leaves no more than ``error`` of the energy of the weights unexplained; see
    budget.transforms.low_rank.

    Attributes:
        error: of each layer's weights, |W - A · B|² / |W|².
    """

    error: float = 0.01
    called: ClassVar[str] = "low_rank"

    def apply(self, graph: Graph, context: Context) -> Graph:
        """As the class says.

        Raises:
            UsageError: the error is not between 0 and 1.
        """
        from budget.transforms.low_rank import errors_by_rank, factor, factorable

        if not 0 <= self.error < 1:
            raise UsageError("low_rank needs an error from 0 to 1", where="transforms")
        layers = factorable(graph)
        for node in layers:
            weights = graph.constant(node.inputs[1])
            if weights is None:
                continue
            flat = np.asarray(weights, np.float64).reshape(len(weights), -1)
            readers = graph.consumers.get(node.outputs[0], ())
            if any(item in layers and _is_orthonormal(graph, item) for item in (node, *readers)):
                context.notes.append(f"{_short(node.name)} stays: it is one of two thin layers")
                continue
            directions, left = errors_by_rank(flat)
            rank = int(np.argmax(left <= self.error)) + 1
            if rank * sum(flat.shape) >= flat.size:
                context.notes.append(
                    f"{_short(node.name)} stays: rank {rank} would multiply no less"
                )
                continue
            graph = factor(graph, node.name, directions[:, :rank])
            context.notes.append(f"{_short(node.name)}: rank {rank} of {min(flat.shape)}")
        if not layers:
            context.notes.append("no layer has float weights that can be split")
        return graph
