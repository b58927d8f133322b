"""Makes up for rounding errors layer by layer, on representative data.

Layers are visited in order, each with the inputs that the layers before it, already rounded and
corrected, really give (X̃) beside those of the float model (X). Two corrections, in what the kernels
compute:

    round      weights are rounded one input after another; what rounding one has cost is made up
               by those not yet rounded, in proportion to their correlation (inverse of X̃ᵀX̃)
    bias       b' = b + mean(X·Wᵀ) - mean(X̃·W̃ᵀ)

Source: Frantar et al., "GPTQ", arXiv 2210.17323, algorithm 1; Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", arXiv 1906.04721, section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from budget.graph import Array, DType, Graph, Node, QuantParams
from budget.ops.interpreter import run_node
from budget.shrinking.linear import (
    Floats,
    bias_name,
    chosen_positions,
    from_matrices,
    is_linear,
    matrices,
    position_count,
    unrolled,
)
from budget.shrinking.stored import real_values, stored_bias, stored_inputs
from budget.transforms.cluster import Integers, code_book, nearest

_DAMPING = 0.1
_PASSES = 6
_MOST_INPUTS = 2048


def compensate(
    graph: Graph,
    quantized: Graph,
    values: Sequence[Mapping[str, Array]],
    *,
    rounding: bool = True,
    code_book_size: int | None = None,
    seed: int = 0,
) -> Graph:
    """A quantised graph with the same types whose weights and biases make up for rounding.

    Args:
        graph: in float.
        quantized: made of it; nodes that compute the same have the same names.
        values: what the float graph computes (`Calibration.activations`).
        rounding: also choose how weights are rounded; else biases only are corrected.
        code_book_size: each layer's weights take at most so many values; None: any.
        seed: for the choice of the places that count.
    """
    random = np.random.default_rng(seed)
    running = [stored_inputs(quantized, sample) for sample in values]
    changed: dict[str, Array] = {}
    for node in quantized.nodes:
        original = graph.nodes_by_name.get(node.name)
        if original is not None and _is_integer_layer(quantized, node):
            wanted = code_book_size if rounding else None
            pair = (original, node)
            new = _corrected(graph, quantized, pair, values, running, rounding, wanted, random)
            changed.update(new)
        for found in running:
            given = {**found, **{n: changed[n] for n in node.present_inputs if n in changed}}
            found.update(zip(node.outputs, run_node(quantized, node, given), strict=True))
    tensors = dict(quantized.tensors)
    for name, data in changed.items():
        data.setflags(write=False)
        tensors[name] = replace(tensors[name], data=data)
    return quantized.replace(tensors=tensors)


def _is_integer_layer(graph: Graph, node: Node) -> bool:
    return is_linear(graph, node) and graph.type_of(node.inputs[0]).is_quantized


def _corrected(
    graph: Graph,
    quantized: Graph,
    pair: tuple[Node, Node],
    values: Sequence[Mapping[str, Array]],
    running: Sequence[Mapping[str, Array]],
    rounding: bool,
    book_size: int | None,
    random: np.random.Generator,
) -> dict[str, Array]:
    """New stored weights and bias of one layer, by tensor name."""
    original, node = pair
    weights, stored = graph.constant(original.inputs[1]), quantized.constant(node.inputs[1])
    w_quant = quantized.type_of(node.inputs[1]).quant
    x_quant = quantized.type_of(node.inputs[0]).quant
    assert weights is not None and stored is not None
    assert w_quant is not None and x_quant is not None
    shape = weights.shape
    count = position_count(node, quantized.type_of(node.outputs[0]).shape)
    wanted, given = [], []
    for value, found in zip(values, running, strict=True):
        chosen = chosen_positions(random, count, len(values))
        wanted.append(unrolled(original, value[original.inputs[0]], shape, chosen))
        real = real_values(found[node.inputs[0]], x_quant)
        given.append(unrolled(node, real, shape, chosen))
    x, x_rounded = np.concatenate(wanted, axis=1), np.concatenate(given, axis=1)
    channels = graph.type_of(original.inputs[0]).shape[-1]
    w = matrices(original, weights, channels)
    changed: dict[str, Array] = {}
    w_rounded = matrices(node, real_values(stored, w_quant), channels)
    if rounding and w.shape[2] <= _MOST_INPUTS:
        scales = matrices(node, np.broadcast_to(_scales_like(w_quant, shape), shape), channels)
        book = _book(w, x_rounded, scales, book_size)
        steps = np.stack(
            [_rounded(w[g], x_rounded[g], scales[g][:, :1], book) for g in range(len(w))]
        )
        changed[node.inputs[1]] = from_matrices(node, steps, shape).astype(np.int8)
        w_rounded = steps * scales
    name = bias_name(node)
    if name is not None:
        mean = np.einsum("gk,gok->go", x.mean(1), w)
        mean -= np.einsum("gk,gok->go", x_rounded.mean(1), w_rounded)
        bias_type = quantized.type_of(name)
        old = graph.constant(original.inputs[2])
        assert old is not None and bias_type.quant is not None
        real_bias = old.astype(np.float64) + mean.reshape(-1)
        wide = bias_type.dtype is DType.INT64
        changed[name] = stored_bias(real_bias, bias_type.quant.scale, wide)
    return changed


def _scales_like(quant: QuantParams, shape: tuple[int, ...]) -> Floats:
    """Scales of weights shaped so that they stretch over them."""
    around = [1] * len(shape)
    if quant.axis is not None:
        around[quant.axis] = -1
        return quant.scale.astype(np.float64).reshape(around)
    return quant.scale.astype(np.float64).reshape([1] * len(shape))


def _book(w: Floats, x: Floats, scales: Floats, size: int | None) -> Integers:
    """What steps weights may take: all, or a code book for what the inputs make of errors."""
    if size is None:
        return np.arange(-127, 128)
    energy = np.square(x).mean(1)[:, None, :] + 1e-9
    stored = np.clip(np.rint(w / scales), -127, 127)
    return code_book(stored, size, np.square(scales) * energy)


def _rounded(w: Floats, x: Floats, scale: Floats, book: Integers) -> Floats:
    """Weights in whole steps of their scales, as a code book has them; [out][k]."""
    gram = x.T @ x
    diagonal = np.diag_indices_from(gram)
    ridge = _DAMPING * float(np.trace(gram)) / len(gram)
    if ridge <= 0:
        return nearest(w / scale, book)
    gram[diagonal] += ridge
    inverse = np.linalg.inv(gram)
    upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
    rest, steps = w.copy(), np.zeros_like(w)
    for k in range(w.shape[1]):
        steps[:, k] = nearest(rest[:, k] / scale[:, 0], book)
        error = (rest[:, k] - steps[:, k] * scale[:, 0]) / upper[k, k]
        rest[:, k + 1 :] -= error[:, None] * upper[k, k + 1 :]
    for _ in range(_PASSES):
        if not _improved(steps, w, gram, scale, book):
            break
    return steps


def _improved(steps: Floats, w: Floats, gram: Floats, scale: Floats, book: Integers) -> bool:
    """Sets each column to the best it can be beside the others, in place; whether any changed."""
    error, changed = w - steps * scale, False
    for k in range(w.shape[1]):
        wanted = steps[:, k] + error @ gram[:, k] / (gram[k, k] * scale[:, 0])
        new = nearest(wanted, book)
        moved = new != steps[:, k]
        if moved.any():
            error[:, k] += (steps[:, k] - new) * scale[:, 0]
            steps[:, k], changed = new, True
    return changed
