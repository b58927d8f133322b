"""Weights that take few values: what they take in flash as numbers into a code book.

The kernel unpacks one filter at a time into RAM, so it needs no more scratch than a filter, and
runs on every core; it is slower than others and is taken where flash counts most.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from budget.graph import Array, DType, Graph, Node, TensorType
from budget.plan.precision import multiplier_bytes
from budget.plan.variants import Variant

_LEAST_WEIGHTS = 512  # of a layer: below, its tables and call cost more than they save


def bits_of(weights: Array) -> int | None:
    """Bits for each of a layer's weights as a number into a code book; None for 33 values up."""
    count = len(np.unique(weights))
    return 4 if count <= 16 else 5 if count <= 32 else None


def packed(weights: Array, bits: int) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """The stream of numbers, lowest bits first, with one byte behind the last; and the code book.

    Args:
        weights: int8, in the order in which the kernel reads them.
        bits: of one number.
    """
    book, numbers = np.unique(weights.reshape(-1), return_inverse=True)
    spread = (numbers[:, None] >> np.arange(bits)) & 1
    stream = np.packbits(spread.astype(np.uint8).reshape(-1), bitorder="little")
    padded = np.zeros(1 << bits, np.int8)
    padded[: len(book)] = book
    return np.append(stream, np.uint8(0)), padded


def codebook_variant(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> Variant | None:
    """The implementation that unpacks a layer's weights, if they take few values.

    Args:
        node: of the graph.
        graph: canonical.
        types: deployed types.
    """
    if node.op not in ("conv_2d", "fully_connected"):
        return None
    weights = graph.constant(node.inputs[1])
    x, w, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    if weights is None or weights.dtype != np.int8 or weights.size < _LEAST_WEIGHTS:
        return None
    if any(type.dtype is not DType.INT8 for type in (x, y)):
        return None
    if w.quant is None or w.quant.zero_point.any():
        return None
    if node.op == "conv_2d" and w.shape[3] != x.shape[3]:
        return None
    bits = bits_of(weights)
    if bits is None:
        return None
    others = sum(
        types[name].size_bytes
        for name in node.present_inputs[2:]
        if graph.constant(name) is not None
    )
    table = -(-weights.size * bits // 8) + 1 + (1 << bits) + others
    filter_bytes = weights.size // len(weights)
    table += multiplier_bytes(node, graph, types)
    return Variant(f"codebook+b{bits}", -(-filter_bytes // 4) * 4, table)
