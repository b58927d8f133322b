"""Convolutions and fully connected layers as products of matrices, group by group.

    y[group] = x[group] · w[group]ᵀ,  x [groups][positions][k], w [groups][out][k], k = taps · depth

A dense layer has one group; a depthwise convolution has one for each input channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.graph import ABSENT, Array, Graph, Node
from budget.ops.windows import pad, slides

Floats = NDArray[np.float64]
LINEAR = frozenset({"conv_2d", "depthwise_conv_2d", "fully_connected"})


def is_linear(graph: Graph, node: Node) -> bool:
    """Whether a node is a layer of constant weights (and a constant bias, or none)."""
    return node.op in LINEAR and all(
        graph.constant(name) is not None for name in node.inputs[1:] if name != ABSENT
    )


def bias_name(node: Node) -> str | None:
    """The tensor that holds a layer's bias, if it has one."""
    return node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] != ABSENT else None


def matrices(node: Node, weights: Array, channels: int) -> Floats:
    """Weights as [groups][out of one group][taps·depth].

    Args:
        node: the layer.
        weights: as the layer has them.
        channels: of its input.
    """
    w: Floats = weights.astype(np.float64)
    if node.op == "fully_connected":
        return np.asarray(w[None])
    if node.op == "depthwise_conv_2d":
        return np.asarray(w[0].transpose(2, 0, 1).reshape(channels, w.shape[3] // channels, -1))
    groups = channels // w.shape[3]
    return np.asarray(w.reshape(groups, len(w) // groups, -1))


def from_matrices(node: Node, found: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The inverse of `matrices`, for weights of a shape."""
    if node.op != "depthwise_conv_2d":
        return found.reshape(shape)
    return found.reshape(shape[3], shape[1], shape[2]).transpose(1, 2, 0)[None]


def position_count(node: Node, y_shape: tuple[int, ...]) -> int:
    """Places at which a layer multiplies, for an output of a shape."""
    return int(np.prod(y_shape[:-1])) if y_shape else 1


def unrolled(
    node: Node, x: Array, weights_shape: tuple[int, ...], chosen: NDArray[np.int64]
) -> Floats:
    """What a layer multiplies at some places: [groups][chosen][taps·depth].

    Args:
        node: the layer.
        x: its input, real numbers (an integer's zero point taken off and scaled).
        weights_shape: of its weights.
        chosen: places among all `position_count`, row-major.
    """
    if node.op == "fully_connected":
        return x.reshape(-1, weights_shape[1])[chosen].astype(np.float64)[None]
    a = node.attributes
    taps = (weights_shape[1], weights_shape[2])
    rows, columns = slides(x.shape, taps, a.stride, a.padding, a.dilation)
    padded = pad(x, rows, columns, 0)
    n, rest = np.divmod(chosen, rows.count * columns.count)
    r, c = np.divmod(rest, columns.count)
    top = (r * rows.stride)[:, None] + np.arange(rows.taps) * rows.dilation
    left = (c * columns.stride)[:, None] + np.arange(columns.taps) * columns.dilation
    # [chosen][tap rows][tap columns][channels]
    seen = padded[n[:, None, None], top[:, :, None], left[:, None, :]].astype(np.float64)
    if node.op == "depthwise_conv_2d":
        return seen.transpose(3, 0, 1, 2).reshape(x.shape[3], len(chosen), -1)
    depth = weights_shape[3]
    groups = x.shape[3] // depth
    parts = seen.reshape(*seen.shape[:3], groups, depth).transpose(3, 0, 1, 2, 4)
    return parts.reshape(groups, len(chosen), -1)


def chosen_positions(
    random: np.random.Generator, count: int, sample_count: int, total: int = 8192
) -> NDArray[np.int64]:
    """Some places of one sample's output, so that all samples together have about a total."""
    wanted = max(1, min(count, total // max(sample_count, 1)))
    if wanted == count:
        return np.arange(count)
    return np.sort(random.choice(count, wanted, replace=False))
