"""Fits what is left of a network's layers to what the whole layers computed.

Layers are visited in order. With X̃ the inputs of a changed layer as they are now and Y what the
original layer makes of its own inputs (before its activation, for the channels that stay):

    W' = W + argmin_Δ ‖X̃·(W + Δ)ᵀ + b - Y‖² + λ‖Δ‖²,    b' = mean(Y) - mean(X̃)·W'ᵀ

λ keeps directions of the inputs that the examples do not show as they are.

Source: He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv 1707.06168,
section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from budget.graph import Array, Graph, Node
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

Mask = NDArray[np.bool_]
_DAMPING = 1e-3
_MOST_INPUTS = 2304


def refit(
    original: Graph,
    changed: Graph,
    values: Sequence[Mapping[str, Array]],
    kept: Mapping[str, Mask],
    seed: int = 0,
    inputs: Sequence[Mapping[str, Array]] | None = None,
) -> Graph:
    """The changed graph with weights and biases fitted to the original's layers.

    Args:
        original: in float.
        changed: with layers of the same names, fewer channels; layers that share weights with
            others stay as they are.
        values: what the original computes (`Calibration.activations`).
        kept: for original tensors that lost channels, which stay.
        seed: for the choice of the places that count.
        inputs: of the changed graph, if they are others.
    """
    random = np.random.default_rng(seed)
    running = [
        {name: sample[name] for name in changed.inputs}
        for sample in (values if inputs is None else inputs)
    ]
    tensors = dict(changed.tensors)
    for node in changed.nodes:
        before = original.nodes_by_name.get(node.name)
        found: dict[str, Array] = {}
        own = all(len(changed.consumers[name]) == 1 for name in node.present_inputs[1:])
        if before is not None and node.op == before.op and own and is_linear(changed, node):
            found = _fitted(original, changed, before, node, values, running, kept, random)
            for name, data in found.items():
                data.setflags(write=False)
                tensors[name] = replace(tensors[name], data=data)
        for values_now in running:
            results = run_node(changed, node, {**values_now, **found})
            values_now.update(zip(node.outputs, results, strict=True))
    return changed.replace(tensors=tensors)


def _fitted(
    original: Graph,
    changed: Graph,
    before: Node,
    node: Node,
    values: Sequence[Mapping[str, Array]],
    running: Sequence[Mapping[str, Array]],
    kept: Mapping[str, Mask],
    random: np.random.Generator,
) -> dict[str, Array]:
    old, new = original.constant(before.inputs[1]), changed.constant(node.inputs[1])
    assert old is not None and new is not None
    old_channels = original.type_of(before.inputs[0]).shape[-1]
    channels = changed.type_of(node.inputs[0]).shape[-1]
    w_old, w = matrices(before, old, old_channels), matrices(node, new, channels)
    if w.shape[2] > _MOST_INPUTS:
        return {}
    count = position_count(node, changed.type_of(node.outputs[0]).shape)
    if count != position_count(before, original.type_of(before.outputs[0]).shape):
        return {}
    wanted, given = [], []
    for value, now in zip(values, running, strict=True):
        chosen = chosen_positions(random, count, len(values))
        x = unrolled(before, value[before.inputs[0]], old.shape, chosen)
        wanted.append(np.einsum("gpk,gok->pgo", x, w_old).reshape(len(chosen), -1))
        given.append(unrolled(node, now[node.inputs[0]], new.shape, chosen))
    target = np.concatenate(wanted)
    old_bias = bias_name(before)
    if old_bias is not None:
        target = target + np.asarray(original.constant(old_bias), np.float64)
    if before.outputs[0] in kept:
        target = target[:, kept[before.outputs[0]]]
    x_now = np.concatenate(given, axis=1)
    name = bias_name(node)
    per_group = target.reshape(len(target), len(w), -1).transpose(1, 0, 2)
    fits = [_solve(w[g], x_now[g], per_group[g], name is not None) for g in range(len(w))]
    weights = from_matrices(node, np.stack([fit[0] for fit in fits]), new.shape)
    found: dict[str, Array] = {node.inputs[1]: np.ascontiguousarray(weights, np.float32)}
    if name is not None:
        found[name] = np.concatenate([fit[1] for fit in fits]).astype(np.float32)
    return found


def _solve(w: Floats, x: Floats, y: Floats, has_bias: bool) -> tuple[Floats, Floats]:
    """Weights [out][k] and biases [out] that make y [positions][out] of x [positions][k]."""
    x_mean = x.mean(0) if has_bias else np.zeros(x.shape[1])
    y_mean = y.mean(0) if has_bias else np.zeros(y.shape[1])
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x
    ridge = _DAMPING * float(np.trace(gram)) / len(gram)
    if ridge > 0:
        gram[np.diag_indices_from(gram)] += ridge
        w = w + np.linalg.solve(gram, x.T @ (y - x @ w.T)).T
    return w, y_mean - w @ x_mean
