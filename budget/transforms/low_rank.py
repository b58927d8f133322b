"""Splits a layer into two thin ones.

Pattern: a convolution without groups or a fully connected layer, weights W [out][in]. Algebra:

    W·x + b ≈ A·(B·x + c) + b',    A [out][rank], B [rank][in]

The window, stride and padding stay with B; A is pointwise and keeps the activation. With U the
first left singular vectors of W·L, where L·Lᵀ is the covariance of x, A = U and B = Uᵀ·W err least
on such x, and b' = b + (W - A·B)·mean(x); c is 0.

Source: the Eckart-Young theorem; Zhang et al., arXiv 1505.06798, section 2.1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from budget.graph import ABSENT, DType, Graph, GraphEditor, Node, TensorType
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.operator import Activation

Notes = list[tuple[str, str]]
Floats = NDArray[np.float64]


def factorable(graph: Graph) -> list[Node]:
    """Layers that can be split."""
    found = []
    for node in graph.nodes:
        if node.op not in ("conv_2d", "fully_connected"):
            continue
        constants = [graph.constant(name) for name in node.inputs[1:] if name != ABSENT]
        if any(data is None or data.dtype != np.float32 for data in constants):
            continue
        x, w = graph.type_of(node.inputs[0]).shape, graph.type_of(node.inputs[1]).shape
        if node.op == "fully_connected" or x[-1] == w[3]:
            found.append(node)
    return found


def errors_by_rank(w: Floats, covariance: Floats | None = None) -> tuple[Floats, Floats]:
    """Singular directions of a layer and what each rank leaves of its output unexplained.

    Args:
        w: weights [out][in].
        covariance: of the inputs [in][in]; None takes them as equal and independent.

    Returns:
        U [out][out or fewer], the best first, and the relative energy of the error for ranks 1 ….
    """
    target = w
    if covariance is not None:
        values, vectors = np.linalg.eigh(covariance)
        target = w @ (vectors * np.sqrt(np.maximum(values, 0)))
    u, singular, _ = np.linalg.svd(target, full_matrices=False)
    energy = np.square(singular)
    rest = np.maximum(energy.sum() - np.cumsum(energy), 0)
    return u, rest / max(float(energy.sum()), 1e-30)


def factor(
    graph: Graph,
    name: str,
    directions: Floats,
    mean: Floats | None = None,
) -> Graph:
    """A graph with one layer split.

    Args:
        graph: canonical, in float.
        name: of a layer of `factorable`.
        directions: U [out][rank], orthonormal columns.
        mean: of the inputs [in]; the bias takes up what the split loses of it.
    """
    node = graph.nodes_by_name[name]
    weights = graph.constant(node.inputs[1])
    assert weights is not None
    w = weights.astype(np.float64).reshape(len(weights), -1)
    inner = directions.T @ w
    rank = len(inner)
    editor = GraphEditor(graph)
    bias = np.zeros(len(w))
    if len(node.inputs) > 2 and node.inputs[2] != ABSENT:
        bias = np.asarray(graph.constant(node.inputs[2]), np.float64)
    if mean is not None:
        bias = bias + (w - directions @ inner) @ mean
    y = graph.type_of(node.outputs[0])
    middle = editor.add_tensor(
        f"{node.outputs[0]}_rank", TensorType((*y.shape[:-1], rank), DType.FLOAT32)
    )
    first = [
        node.inputs[0],
        editor.add_constant(
            f"{node.inputs[1]}_in", inner.astype(np.float32).reshape(rank, *weights.shape[1:])
        ),
        editor.add_constant(f"{node.outputs[0]}_rank_bias", np.zeros(rank, np.float32)),
    ]
    shape = (len(w), rank) if node.op == "fully_connected" else (len(w), 1, 1, rank)
    second = (
        middle,
        editor.add_constant(f"{node.inputs[1]}_out", directions.astype(np.float32).reshape(shape)),
        editor.add_constant(f"{node.outputs[0]}_bias", bias.astype(np.float32)),
    )
    activation = node.attributes.activation
    attributes = (
        FullyConnectedAttributes(activation, node.attributes.keep_dimensions)
        if node.op == "fully_connected"
        else ConvolutionAttributes(activation=activation)
    )
    editor.replace_node(
        name,
        Node(
            editor.unique_name(f"{name}_rank{rank}"),
            node.op,
            tuple(first),
            (middle,),
            replace(node.attributes, activation=Activation.NONE),
            origin=node.origin,
        ),
        replace(node, inputs=second, attributes=attributes),
    )
    return editor.finish()


def low_rank(graph: Graph, error: float) -> tuple[Graph, Notes]:
    """Splits every layer that gets smaller by it, judged by its weights alone.

    Args:
        graph: canonical, in float.
        error: energy of the weights that may be lost, relative.
    """
    notes: Notes = []
    for node in factorable(graph):
        weights = graph.constant(node.inputs[1])
        assert weights is not None
        w = weights.astype(np.float64).reshape(len(weights), -1)
        directions, rest = errors_by_rank(w)
        rank = least_rank(rest, error)
        if pays(w.shape, rank):
            graph = factor(graph, node.name, directions[:, :rank])
            notes.append((node.name, f"{w.shape[0]}×{w.shape[1]} through rank {rank}"))
    return graph, notes


def least_rank(rest: Floats, error: float) -> int:
    """The least rank whose error is at most this."""
    fine = np.flatnonzero(rest <= error)
    return int(fine[0]) + 1 if len(fine) else len(rest)


def pays(shape: tuple[int, ...], rank: int) -> bool:
    """Whether a split saves a tenth or more of the weights and MACs."""
    out, depth = shape
    return rank * (out + depth) < 0.9 * out * depth
