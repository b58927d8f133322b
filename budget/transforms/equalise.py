"""Spreads the ranges of two layers evenly over the channels between them.

Pattern: a layer with linear or ReLU activation, then operators that commute with a positive scale
per channel (ReLU, pooling, zero padding, reshaping that keeps channels innermost), then a layer
that alone reads the result. Algebra, for s > 0 per channel, f the operators between:

    W₂·f(W₁·x + b₁) = (W₂·s)·f((W₁/s)·x + b₁/s)

s = √(r₁/r₂) makes both ranges alike: r₁ of the first layer's output channel, r₂ of the second
layer's input channel. A second layer that is depthwise has a scale of its own for every channel:
there s = r₁ costs nothing.

Source: Nagel et al., arXiv 1906.04721, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from budget.graph import ABSENT, Array, DType, Graph, GraphEditor, Node
from budget.ops.operator import Activation

Notes = list[tuple[str, str]]
Floats = NDArray[np.float64]

_LAYERS = frozenset({"conv_2d", "depthwise_conv_2d", "fully_connected"})
_HOMOGENEOUS = (Activation.NONE, Activation.RELU)
_PASSING = frozenset({"relu", "leaky_relu", "max_pool_2d", "average_pool_2d", "reshape"})
_ROUNDS = 2


def equalise(
    graph: Graph, ranges: Mapping[str, Array] | None = None, most: float = 8.0
) -> tuple[Graph, Notes]:
    """Equalises all pairs of layers of a canonical float graph that can be.

    Args:
        graph: computes the same afterwards, up to rounding.
        ranges: by tensor name, the largest magnitude of each channel (last dimension), as seen on
            data; without them the magnitude of the weights stands for it.
        most: no channel is scaled by more than this, or less than its inverse, in one round.

    Returns:
        The graph, and for every first layer how far apart its channels were.
    """
    pairs = [pair for node in graph.nodes if (pair := _pair(graph, node)) is not None]
    data: dict[str, Floats] = {}
    for node, last, _ in pairs:
        for member in (node, last):
            for name in member.inputs[1:]:
                values = graph.constant(name)
                if values is not None:
                    data.setdefault(f"{member.name} {name}", values.astype(np.float64))
    seen = {name: np.abs(np.asarray(r, np.float64)) for name, r in (ranges or {}).items()}
    first: dict[str, float] = {}
    for _ in range(_ROUNDS):
        for node, last, channels in pairs:
            spread = _equalise_pair(graph, node, last, channels, data, seen, most)
            first.setdefault(node.name, spread)
    return _with(graph, pairs, data), [
        (name, f"channels up to {spread:.1f} times apart equalised with the next layer")
        for name, spread in first.items()
        if spread > 1.05
    ]


def _pair(graph: Graph, node: Node) -> tuple[Node, Node, int] | None:
    """A layer, the layer that alone reads its output, and the channels between."""
    if not _is_layer(graph, node) or node.attributes.activation not in _HOMOGENEOUS:
        return None
    name = node.outputs[0]
    channels = graph.type_of(name).shape[-1]
    while True:
        readers = graph.consumers.get(name, ())
        if len(readers) != 1 or name in graph.outputs:
            return None
        (reader,) = readers
        if _is_layer(graph, reader) and reader.inputs[0] == name:
            depth = _depth(graph, reader)
            return (node, reader, channels) if depth % channels == 0 else None
        if not _commutes(graph, reader, channels):
            return None
        name = reader.outputs[0]


def _is_layer(graph: Graph, node: Node) -> bool:
    if node.op not in _LAYERS or graph.type_of(node.outputs[0]).dtype is not DType.FLOAT32:
        return False
    constants = [graph.constant(name) for name in node.inputs[1:] if name != ABSENT]
    if any(data is None or data.dtype != np.float32 for data in constants):
        return False
    x, w = graph.type_of(node.inputs[0]).shape, graph.type_of(node.inputs[1]).shape
    return node.op != "conv_2d" or x[-1] == w[3]  # grouped ones are left alone


def _depth(graph: Graph, node: Node) -> int:
    if node.op == "depthwise_conv_2d":
        return graph.type_of(node.inputs[0]).shape[-1]
    return graph.type_of(node.inputs[1]).shape[-1]


def _commutes(graph: Graph, node: Node, channels: int) -> bool:
    if node.op == "mean":
        rank = len(graph.type_of(node.inputs[0]).shape)
        return rank - 1 not in node.attributes.axes
    if node.op == "pad":
        paddings = node.attributes.paddings
        return node.attributes.value == 0 and tuple(paddings[-1]) == (0, 0)
    if node.op == "reshape":
        shape = graph.type_of(node.outputs[0]).shape
        return bool(shape) and shape[-1] % channels == 0
    activation = getattr(node.attributes, "activation", Activation.NONE)
    return node.op in _PASSING and activation in _HOMOGENEOUS


def _equalise_pair(
    graph: Graph,
    node: Node,
    last: Node,
    channels: int,
    data: dict[str, Floats],
    seen: dict[str, Floats],
    most: float,
) -> float:
    """Scales one pair in place; returns how far apart its channels were."""
    weights, next_weights = f"{node.name} {node.inputs[1]}", f"{last.name} {last.inputs[1]}"
    out_axis = data[weights].ndim - 1 if node.op == "depthwise_conv_2d" else 0
    first = seen.get(node.outputs[0])
    if first is None or first.shape != (channels,):
        others = tuple(axis for axis in range(data[weights].ndim) if axis != out_axis)
        first = np.abs(data[weights]).max(others)
    flat = np.abs(data[next_weights]).reshape(-1, data[next_weights].shape[-1]).max(0)
    depthwise = last.op == "depthwise_conv_2d"
    second = flat.reshape(channels, -1).max(1) if depthwise else flat.reshape(-1, channels).max(0)
    used = (first > 0) & (second > 0)
    if not used.any():
        return 1.0
    ratio = np.where(used, first if depthwise else np.sqrt(first / np.where(used, second, 1)), 0)
    middle = float(np.exp(np.log(ratio[used]).mean()))
    scale = np.where(used, np.clip(ratio / middle, 1 / most, most), 1.0)
    shape = [1] * data[weights].ndim
    shape[out_axis] = -1
    data[weights] = data[weights] / scale.reshape(shape)
    if len(node.inputs) > 2 and node.inputs[2] != ABSENT:
        data[f"{node.name} {node.inputs[2]}"] = data[f"{node.name} {node.inputs[2]}"] / scale
    repeat = data[next_weights].shape[-1] // channels
    stretched = np.repeat(scale, repeat) if depthwise else np.tile(scale, repeat)
    data[next_weights] = data[next_weights] * stretched
    if node.outputs[0] in seen:
        seen[node.outputs[0]] = first / scale
    return float(scale.max() / scale.min())


def _with(graph: Graph, pairs: list[tuple[Node, Node, int]], data: dict[str, Floats]) -> Graph:
    editor = GraphEditor(graph)
    for name in dict.fromkeys(member.name for pair in pairs for member in pair[:2]):
        node = graph.nodes_by_name[name]
        inputs = [node.inputs[0]]
        for tensor in node.inputs[1:]:
            found = data.get(f"{name} {tensor}")
            if found is not None:
                tensor = editor.add_constant(tensor, found.astype(np.float32))
            inputs.append(tensor)
        editor.replace_node(name, replace(node, inputs=tuple(inputs)))
    return editor.finish()
