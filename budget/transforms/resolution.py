"""The same layers over smaller pictures, or fewer frames of features.

Pattern: a graph with inputs [n][h][w][c], or [n][h][w]. Every operator keeps its weights; padding
that was "same" stays so, windows over a whole picture stay whole. A fully connected layer behind a
flattened picture reads what interpolation would have made of the smaller one: with U the linear
interpolation from the new places to the old ones, W' = W·U.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError, UnsupportedModelError
from budget.formats.tflite_geometry import same_padding
from budget.graph import ABSENT, Graph, GraphEditor, Node
from budget.ops import Padding, registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.operator import NO_PADDING

Floats = NDArray[np.float64]
Notes = list[tuple[str, str]]
Size = tuple[int, int]
_WINDOWS = frozenset({"conv_2d", "depthwise_conv_2d"})
_POOLS = frozenset({"average_pool_2d", "max_pool_2d", "l2_pool_2d"})


def interpolation(old: int, new: int) -> Floats:
    """Linear interpolation [old][new]: values at the old places from those at the new ones."""
    place = (np.arange(old) + 0.5) * new / old - 0.5
    place = np.clip(place, 0, new - 1)
    low = np.minimum(place.astype(np.int64), max(new - 2, 0))
    part = place - low
    found = np.zeros((old, new))
    rows = np.arange(old)
    found[rows, low] += 1 - part
    found[rows, np.minimum(low + 1, new - 1)] += part
    return found


def averaging(old: int, new: int) -> Floats:
    """Area averages [new][old]: what a coarser sensor sees of the same scene."""
    edges = np.linspace(0, old, new + 1)
    low = np.maximum(edges[:-1, None], np.arange(old)[None])
    high = np.minimum(edges[1:, None], np.arange(old)[None] + 1)
    covered = np.maximum(high - low, 0)
    return np.asarray(covered / covered.sum(1, keepdims=True))


def frames(old: int, new: int) -> NDArray[np.int64]:
    """Which of the old frames a slower rate keeps."""
    return np.minimum(np.round(np.arange(new) * old / new).astype(np.int64), old - 1)


def resize_inputs(graph: Graph, sizes: Mapping[str, Size]) -> tuple[Graph, Notes]:
    """The graph for inputs of other heights and widths.

    Args:
        graph: canonical, in float.
        sizes: new height and width of some inputs [n][h][w][c] or [n][h][w], by name.

    Raises:
        UnsupportedModelError: an operator holds on to the old size.
    """
    return _Resizer(graph).resize(sizes)


class _Resizer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.editor = GraphEditor(graph)
        self.flat: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.notes: Notes = []

    def resize(self, sizes: Mapping[str, Size]) -> tuple[Graph, Notes]:
        for name, (height, width) in sizes.items():
            type = self.graph.type_of(name)
            shape = (type.shape[0], height, width, *type.shape[3:])
            self.editor.set_type(name, type.with_shape(shape))
        for node in self.graph.nodes:
            try:
                self._visit(node)
            except ModelError as error:
                raise UnsupportedModelError(
                    f"{node.op} '{node.name}' holds on to its size: {error.what}",
                    where=self.graph.name,
                ) from error
        return self.editor.finish(), self.notes

    def _new(self, name: str) -> tuple[int, ...]:
        return self.editor.tensors[name].type.shape

    def _visit(self, node: Node) -> None:
        if all(self._new(n) == self.graph.type_of(n).shape for n in node.present_inputs):
            return
        changed = replace(node, attributes=self._attributes(node))
        if node.op == "fully_connected":
            changed = self._fully_connected(changed)
        if changed.inputs != node.inputs or changed.attributes != node.attributes:
            self.editor.replace_node(node.name, changed)
        types = [None if n == ABSENT else self.editor.tensors[n].type for n in changed.inputs]
        inferred = registry.get(node.op).infer(changed.attributes, types)
        for name, type in zip(node.outputs, inferred, strict=True):
            self.editor.set_type(name, self.graph.type_of(name).with_shape(type.shape))

    def _attributes(self, node: Node) -> Any:
        a, x = node.attributes, node.inputs[0]
        old, new = self.graph.type_of(x).shape, self._new(x)
        if node.op in _WINDOWS:
            window = self.graph.type_of(node.inputs[1]).shape[1:3]
            return replace(a, padding=_padding(a, old, new, window, a.dilation))
        if node.op in _POOLS:
            stride, filter = list(a.stride), list(a.filter)
            for d in (0, 1):
                if filter[d] == old[d + 1] or filter[d] > new[d + 1]:
                    stride[d] = new[d + 1] if stride[d] == filter[d] else stride[d]
                    filter[d] = new[d + 1]
            padding = _padding(a, old, new, a.filter, (1, 1))
            return replace(a, filter=tuple(filter), stride=tuple(stride), padding=padding)
        if node.op == "reshape":
            return replace(a, shape=self._reshaped(node, old, new))
        if node.op in ("slice", "strided_slice"):
            return _cut(node.op, a, old, new)
        if node.op in ("resize_nearest", "resize_bilinear"):
            size = tuple(round(a.size[d] * new[d + 1] / old[d + 1]) for d in (0, 1))
            return replace(a, size=size)
        return a

    def _reshaped(self, node: Node, old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
        shape = tuple(node.attributes.shape)
        if len(shape) <= 2 and shape[:-1] == (old[0],) * (len(shape) - 1):
            self.flat[node.outputs[0]] = (old, new)
            return (*shape[:-1], int(np.prod(new)) // int(np.prod(shape[:-1])))
        if [e for e in old if e != 1] == [e for e in shape if e != 1]:
            wanted = iter(n for o, n in zip(old, new) if o != 1)
            return tuple(1 if extent == 1 else next(wanted) for extent in shape)
        raise ModelError(f"{list(old)} to {list(shape)} has no counterpart for {list(new)}")

    def _fully_connected(self, node: Node) -> Node:
        """Weights for the smaller picture that was flattened before the layer, or by it."""
        weights = self.graph.constant(node.inputs[1])
        x = node.inputs[0]
        old, new = self.flat.get(x, (self.graph.type_of(x).shape, self._new(x)))
        if weights is None or old[-1] == weights.shape[1]:
            return node
        if len(old) not in (3, 4) or int(np.prod(old[1:])) != weights.shape[1]:
            raise ModelError("its rows are no whole picture")
        w = weights.reshape(len(weights), old[1], old[2], -1).astype(np.float64)
        w = np.einsum("oijc,ip,jq->opqc", w, interpolation(old[1], new[1]),
                      interpolation(old[2], new[2]))  # fmt: skip
        self.notes.append((node.name, f"weights of {old[1]}×{old[2]} read {new[1]}×{new[2]}"))
        data = w.reshape(len(weights), -1).astype(np.float32)
        name = self.editor.add_constant(node.inputs[1], data)
        return replace(node, inputs=(x, name, *node.inputs[2:]))


def _padding(
    a: Any, old: tuple[int, ...], new: tuple[int, ...], window: Any, dilation: Size
) -> Padding:
    """Padding that was "same" for the old size, for the new one; otherwise as it was."""
    before = Padding(*same_padding((old[1], old[2]), window, a.stride, dilation))
    if a.padding == NO_PADDING or a.padding != before:
        found: Padding = a.padding
        return found
    return Padding(*same_padding((new[1], new[2]), window, a.stride, dilation))


def _cut(op: str, a: Any, old: tuple[int, ...], new: tuple[int, ...]) -> Any:
    """A slice that took all of a dimension takes all of it again."""
    field = "size" if op == "slice" else "end"
    ends = list(getattr(a, field))
    for d, (before, now) in enumerate(zip(old, new, strict=True)):
        if before != now:
            whole = a.begin[d] == 0 and ends[d] == before
            if not whole:
                raise ModelError(f"it takes a part of dimension {d}")
            ends[d] = now
    return replace(a, **{field: tuple(ends)})


def halve_frames(graph: Graph) -> tuple[Graph, Notes] | None:
    """Half the frames in, the same rows out of the first layer; None where that cannot be.

    Every layer that reads an input must be a convolution that moves by an even number of rows.
    Algebra, for stride 2s and x'(j) = x(2j) ≈ x(2j + 1):

        Σ_k w(k)·x(2s·r - p + k) ≈ Σ_j w'(j)·x'(s·r - p' + j),  w'(j) = Σ of w(2j), w(2j + 1) about

    the tap that falls on an even row.
    """
    (name,) = graph.inputs if len(graph.inputs) == 1 else ("",)
    if not name or len(graph.type_of(name).shape) != 4:
        return None
    readers = graph.consumers.get(name, ())
    for node in readers:
        even = node.op == "conv_2d" and node.attributes.stride[0] % 2 == 0
        if not even or node.attributes.dilation[0] != 1 or graph.constant(node.inputs[1]) is None:
            return None
    editor = GraphEditor(graph)
    type = graph.type_of(name)
    new_height = -(-type.shape[1] // 2)
    editor.set_type(name, type.with_shape((type.shape[0], new_height, *type.shape[2:])))
    notes: Notes = []
    for node in readers:
        attributes, weights = _halved(graph, node, new_height)
        inputs = (name, editor.add_constant(node.inputs[1], weights), *node.inputs[2:])
        editor.replace_node(node.name, replace(node, inputs=inputs, attributes=attributes))
        taps = graph.type_of(node.inputs[1]).shape[1]
        notes.append((node.name, f"{taps} rows of taps become {weights.shape[1]}, stride halved"))
    return editor.finish(), notes


def _halved(
    graph: Graph, node: Node, new_height: int
) -> tuple[ConvolutionAttributes, NDArray[np.float32]]:
    weights = graph.constant(node.inputs[1])
    assert weights is not None
    a: ConvolutionAttributes = node.attributes
    row = (np.arange(weights.shape[1]) - a.padding.top) // 2  # which new frame each tap falls on
    first = int(row[0])
    found = np.zeros((len(weights), int(row[-1]) - first + 1, *weights.shape[2:]), np.float32)
    for tap, place in enumerate(row - first):
        found[:, place] += weights[:, tap]
    stride, top = a.stride[0] // 2, -first
    count = graph.type_of(node.outputs[0]).shape[1]
    bottom = (count - 1) * stride + found.shape[1] - new_height - top
    if bottom < 0:  # frames behind the last window
        found = np.pad(found, ((0, 0), (0, -bottom), (0, 0), (0, 0)))
        bottom = 0
    padding = replace(a.padding, top=top, bottom=bottom)
    return replace(a, stride=(stride, a.stride[1]), padding=padding), found
