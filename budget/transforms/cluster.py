"""Lets each layer's 8-bit weights take few values only, which a code book lists.

Pattern: a quantised layer with constant int8 weights. Algebra: stored weights w become c[i(w)],
where the code book c has 16 or 32 values chosen so that Σ u·(w - c[i(w)])² is least; scales stay
per channel. One dimension allows the exact optimum by dynamic programming over the 255 values.

Source: Han et al., "Deep Compression", arXiv 1510.00149, section 3; Wang and Song, "Ckmeans.1d.dp",
The R Journal 3/2 (2011).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from budget.graph import Array, DType, Graph, Tensor

Notes = list[tuple[str, str]]
Integers = NDArray[np.int64]
LAYERS = frozenset({"conv_2d", "depthwise_conv_2d", "fully_connected"})
SIZES = (16, 32)


def code_book(stored: Array, size: int, weight: NDArray[np.float64] | None = None) -> Integers:
    """The values, rising, that replace stored weights with the least squared error.

    Args:
        stored: integers from -128 to 127.
        size: values at most.
        weight: of each element's error, in the elements' own shape; 1 by default.
    """
    flat = stored.reshape(-1).astype(np.int64) + 128
    counts = np.bincount(flat, None if weight is None else weight.reshape(-1), minlength=256)
    values = np.flatnonzero(np.bincount(flat, minlength=256))
    if len(values) <= size:
        return values - 128
    mass = counts[values].astype(np.float64) + 1e-12 * counts.max() + 1e-30
    real = values.astype(np.float64)
    sums = [np.concatenate([[0.0], np.cumsum(mass * real**power)]) for power in range(3)]

    def costs(first: Integers, last: int) -> NDArray[np.float64]:
        """Error of one value for values[first … last]."""
        m, s, q = (total[last + 1] - total[first] for total in sums)
        return np.asarray(q - s * s / m)

    count = len(values)
    best = np.array([costs(np.array([0]), last)[0] for last in range(count)])
    begins = np.zeros((size, count), np.int64)
    for level in range(1, size):
        now = best.copy()
        for last in range(level, count):
            firsts = np.arange(level, last + 1)
            total = best[firsts - 1] + costs(firsts, last)
            pick = int(total.argmin())
            now[last], begins[level, last] = total[pick], firsts[pick]
        best = now
    centres, last = [], count - 1
    for level in range(size - 1, -1, -1):
        first = int(begins[level, last]) if level else 0
        part = slice(first, last + 1)
        centres.append(round(float(np.average(real[part], weights=mass[part]))))
        last = first - 1
    return np.unique(np.array(centres, np.int64)) - 128


def nearest(values: NDArray[np.float64], book: Integers) -> NDArray[np.float64]:
    """Each value's nearest in a code book."""
    middles = (book[1:] + book[:-1]) / 2
    found: NDArray[np.float64] = book[np.searchsorted(middles, values)].astype(np.float64)
    return found


def clustered_layers(graph: Graph) -> list[tuple[str, Tensor]]:
    """Names of the quantised layers and their constant int8 weights."""
    found = []
    for node in graph.nodes:
        if node.op in LAYERS:
            tensor = graph.tensors[node.inputs[1]]
            if tensor.data is not None and tensor.type.dtype is DType.INT8:
                found.append((node.name, tensor))
    return found


def cluster(graph: Graph, size: int = 16) -> tuple[Graph, Notes]:
    """Gives every layer of a quantised graph a code book, chosen by its weights alone.

    Args:
        graph: canonical; what is not int8 stays as it is.
        size: values of a code book: 16 or 32.

    Returns:
        The graph, with the same types, and for every layer how many values its weights take.
    """
    tensors, notes = dict(graph.tensors), []
    for name, tensor in clustered_layers(graph):
        assert tensor.data is not None
        quant = tensor.type.quant
        scale = np.ones(1) if quant is None else quant.scale.astype(np.float64)
        shape = [1] * tensor.data.ndim
        if quant is not None and quant.axis is not None:
            shape[quant.axis] = -1
        weight = np.broadcast_to(np.square(scale).reshape(shape), tensor.data.shape)
        book = code_book(tensor.data, size, weight)
        data = nearest(tensor.data.astype(np.float64), book).astype(np.int8)
        data.setflags(write=False)
        tensors[tensor.name] = replace(tensor, data=data)
        notes.append((name, f"weights take {len(book)} values"))
    return graph.replace(tensors=tensors), notes
