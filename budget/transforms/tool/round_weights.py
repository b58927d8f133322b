"""``round_weights``: few different values in each constant, so that it compresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import UsageError
from budget.formats.tensorflow_schema import DataType
from budget.transforms.tool.nodes import NodeGraph, with_value
from budget.transforms.tool.transform import Context, Transform

MINIMUM_ELEMENTS = 16
"""Smaller constants are left alone, as the Graph Transform Tool leaves them."""


@dataclass(frozen=True)
class RoundWeights(Transform):
    """Replaces each value by the centre of its bucket: |y - x| ≤ (max - min) / (2 · num_steps).

    Buckets are num_steps equal parts of the constant's own range. The old tool put the largest
    value into a bucket of its own above the range, and stretched the range of constants without a
    positive value up to zero; ``compat`` does so too. It moves values once more when run again,
    as centres become ends of the range; ours, whose ends are then the outermost centres, keeps
    constants that hold no more than num_steps values.

    Attributes:
        num_steps: number of buckets.
    """

    num_steps: int = 256
    called: ClassVar[str] = "round_weights"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UsageError: there is no bucket.
        """
        if self.num_steps < 1:
            raise UsageError("round_weights needs num_steps of 1 or more", where="transforms")
        nodes = []
        for node in graph.nodes.values():
            value = node.value
            if value and value.dtype is DataType.FLOAT and value.array.size >= MINIMUM_ELEMENTS:
                if not np.isfinite(value.array).all():
                    context.notes.append(f"{node.name} stays: not all its values are finite")
                elif context.compat:
                    node = with_value(node, _as_the_old_tool(value.array, self.num_steps))
                elif np.unique(value.array).size > self.num_steps:
                    node = with_value(node, rounded(value.array, self.num_steps))
            nodes.append(node)
        return graph.with_nodes(nodes)


def rounded(values: Any, num_steps: int) -> Any:
    """Values at the centres of their buckets, the largest in the last bucket."""
    x = np.asarray(values, np.float64)
    low, high = x.min(), x.max()
    width = (high - low) / num_steps
    bucket = np.minimum(np.floor((x - low) / width), num_steps - 1)
    return (low + width * (bucket + 0.5)).astype(np.float32)


def _as_the_old_tool(values: Any, num_steps: int) -> Any:
    """In single precision throughout, as the tool's loop was."""
    x = np.asarray(values, np.float32)
    low, high = x.min(), max(x.max(), np.finfo(np.float32).tiny)
    if low == high:
        high = np.float32(low + np.float32(1)) if low < np.float32(1e-6) else np.float32(2) * low
    width = np.float32((high - low) / np.float32(num_steps))
    bucket = np.floor((x - low) / width)
    return (low + width * (bucket + np.float32(0.5))).astype(np.float32)
