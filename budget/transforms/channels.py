"""Which channels of which tensors can only leave together, and a graph without some of them.

Every channel (index along the last dimension) of every tensor is an *atom*. Operators tie atoms
of what they read to atoms of what they write: depthwise filters and activations one to one,
additions across their operands, concatenation and flattening by position. Atoms tied to each other
form a *class*; all of a class leaves or stays. Convolutions and fully connected layers tie nothing:
they make new atoms. Channels of the graph's inputs and outputs, of states, and of operators that
mix channels otherwise (softmax, normalisation) are *fixed*.

Classes whose channels lie in the same tensors form a *group*: what a residual network adds up over
a whole stack is one group, with one class for each channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.graph import ABSENT, Graph, GraphEditor, Node

Notes = list[tuple[str, str]]
Atoms = NDArray[np.int64]
Mask = NDArray[np.bool_]

_UNARY = frozenset(
    {"relu", "relu6", "relu_n1_to_1", "leaky_relu", "hard_swish", "elu", "gelu", "logistic", "tanh"}
    | {"exp", "log", "sqrt", "rsqrt", "square", "abs", "neg", "floor"}
    | {"max_pool_2d", "average_pool_2d", "l2_pool_2d", "resize_nearest", "resize_bilinear"}
)
_BINARY = frozenset(
    {"add", "sub", "mul", "div", "maximum", "minimum", "squared_difference", "prelu", "batch_norm"}
)
_REDUCTIONS = frozenset({"mean", "sum", "reduce_max", "reduce_min"})
LAYERS = frozenset({"conv_2d", "fully_connected"})


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Classes that lie in the same tensors.

    Attributes:
        name: of the first layer that makes them.
        classes: one for each removable channel.
        layers: convolutions and fully connected layers that make them.
        readers: those that read them.
    """

    name: str
    classes: tuple[int, ...]
    layers: tuple[str, ...]
    readers: tuple[str, ...]


class Channels:
    """The atoms of a canonical float graph and what ties them.

    Args:
        graph: unchanged.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._parent: list[int] = []
        self._fixed: set[int] = set()
        self._atoms: dict[str, Atoms] = {}
        for name, tensor in graph.tensors.items():
            if name in graph.inputs or tensor.is_variable:
                self._fix(self._of(name))
        for node in graph.nodes:
            self._visit(node)
        for name in graph.outputs:
            self._fix(self._of(name))
        self._roots = {name: self._find_all(atoms) for name, atoms in self._atoms.items()}
        self._fixed = {self._find(atom) for atom in self._fixed}

    def classes(self, tensor: str) -> Atoms:
        """The class of each channel of a computed or given tensor."""
        return self._roots[tensor]

    def columns(self, node: Node) -> Atoms:
        """The class of each column of a layer's weights (their last dimension)."""
        classes = self._roots[node.inputs[0]]
        depth = self.graph.type_of(node.inputs[1]).shape[-1]
        return np.tile(classes, depth // len(classes))

    def groups(self) -> tuple[ChannelGroup, ...]:
        """Everything that can be removed, in the order in which layers make it."""
        made: dict[int, list[str]] = {}
        read: dict[int, list[str]] = {}
        for node in self.graph.nodes:
            if self.is_layer(node):
                for root in dict.fromkeys(self._roots[node.outputs[0]].tolist()):
                    made.setdefault(root, []).append(node.name)
                for root in dict.fromkeys(self._roots[node.inputs[0]].tolist()):
                    read.setdefault(root, []).append(node.name)
        found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
        for root, layers in made.items():
            if root not in self._fixed:
                found.setdefault((tuple(layers), tuple(read.get(root, ()))), []).append(root)
        return tuple(
            ChannelGroup(layers[0], tuple(roots), layers, readers)
            for (layers, readers), roots in found.items()
        )

    def removable(self, classes: Iterable[int]) -> set[int]:
        """As many of the classes, in their order, as leave every tensor at least one channel."""
        left = {name: len(roots) for name, roots in self._roots.items()}
        inside: dict[int, list[tuple[str, int]]] = {}
        for name, roots in self._roots.items():
            for root, count in zip(*np.unique(roots, return_counts=True), strict=True):
                inside.setdefault(int(root), []).append((name, int(count)))
        chosen: set[int] = set()
        for root in classes:
            places = inside.get(root, [])
            if root in self._fixed or any(left[name] <= count for name, count in places):
                continue
            chosen.add(root)
            for name, count in places:
                left[name] -= count
        return chosen

    def is_layer(self, node: Node) -> bool:
        """Whether a node is a dense layer whose rows and columns can be cut out."""
        if node.op not in LAYERS:
            return False
        if any(self.graph.constant(name) is None for name in node.inputs[1:] if name != ABSENT):
            return False
        x, w = self.graph.type_of(node.inputs[0]).shape, self.graph.type_of(node.inputs[1]).shape
        return w[-1] == x[-1] if node.op == "conv_2d" else w[-1] % x[-1] == 0

    def _visit(self, node: Node) -> None:
        if self.is_layer(node):
            self._of(node.outputs[0])
            self._of(node.inputs[0])
        elif not self._tie(node):
            for name in (*node.present_inputs, *node.outputs):
                if self.graph.constant(name) is None:
                    self._fix(self._of(name))

    def _tie(self, node: Node) -> bool:
        """Ties what a node writes to what it reads; False where it mixes channels."""
        x, y = node.inputs[0], node.outputs[0]
        flows = [n for n in node.present_inputs if self.graph.constant(n) is None]
        if not flows or any(not self.graph.type_of(name).shape for name in (*flows, y)):
            return False
        rank = len(self.graph.type_of(x).shape)
        a = node.attributes
        match node.op:
            case op if op in _UNARY:
                self._atoms[y] = self._of(x)
            case op if op in _BINARY:
                return self._tie_operands(node, flows)
            case "depthwise_conv_2d" if self.graph.constant(node.inputs[1]) is not None:
                atoms = self._of(x)
                self._atoms[y] = np.repeat(atoms, self._width(y) // len(atoms))
            case op if op in _REDUCTIONS and rank - 1 not in a.axes:
                self._atoms[y] = self._of(x)
            case "concat" if a.axis == rank - 1:
                self._atoms[y] = np.concatenate([self._of(name) for name in node.inputs])
            case "concat" if len(flows) == len(node.inputs):
                return self._tie_operands(node, flows)
            case "split" if a.axis != rank - 1:
                for out in node.outputs:
                    self._atoms[out] = self._of(x)
            case "split":
                ends = np.cumsum(a.sizes)[:-1]
                self._atoms.update(zip(node.outputs, np.split(self._of(x), ends), strict=True))
            case "slice":
                self._atoms[y] = self._of(x)[a.begin[-1] : a.begin[-1] + a.size[-1]]
            case "strided_slice" if a.stride[-1] == 1 and len(self._shape(y)) == rank:
                self._atoms[y] = self._of(x)[a.begin[-1] : a.end[-1]]
            case "pad":
                before, after = a.paddings[-1]
                around = [self._new(before, fixed=True), self._of(x), self._new(after, fixed=True)]
                self._atoms[y] = np.concatenate(around)
            case "mirror_pad" if tuple(a.paddings[-1]) == (0, 0):
                self._atoms[y] = self._of(x)
            case "transpose" if a.perm[-1] == rank - 1:
                self._atoms[y] = self._of(x)
            case "reshape":
                return self._tie_reshaped(x, y)
            case _:
                return False
        return True

    def _tie_operands(self, node: Node, flows: list[str]) -> bool:
        width = self._width(node.outputs[0])
        atoms = [self._of(name) for name in flows if self._width(name) == width]
        if not atoms:
            return False
        for other in atoms[1:]:
            self._union(atoms[0], other)
        for name in flows:
            if self._width(name) != width:
                self._fix(self._of(name))
        self._atoms[node.outputs[0]] = atoms[0]
        return True

    def _tie_reshaped(self, x: str, y: str) -> bool:
        atoms, width = self._of(x), self._width(y)
        if width and width % len(atoms) == 0:
            self._atoms[y] = np.tile(atoms, width // len(atoms))
            return True
        if width and len(atoms) % width == 0:
            for start in range(width, len(atoms), width):
                self._union(atoms[:width], atoms[start : start + width])
            self._atoms[y] = atoms[:width]
            return True
        return False

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.graph.type_of(name).shape

    def _width(self, name: str) -> int:
        shape = self._shape(name)
        return shape[-1] if shape else 1

    def _of(self, name: str) -> Atoms:
        if name not in self._atoms:
            is_constant = self.graph.constant(name) is not None
            self._atoms[name] = self._new(self._width(name), fixed=is_constant)
        return self._atoms[name]

    def _new(self, count: int, *, fixed: bool = False) -> Atoms:
        atoms = np.arange(len(self._parent), len(self._parent) + count)
        self._parent.extend(atoms.tolist())
        if fixed:
            self._fix(atoms)
        return atoms

    def _fix(self, atoms: Atoms) -> None:
        self._fixed.update(atoms.tolist())

    def _find(self, atom: int) -> int:
        while self._parent[atom] != atom:
            self._parent[atom] = self._parent[self._parent[atom]]
            atom = self._parent[atom]
        return atom

    def _find_all(self, atoms: Atoms) -> Atoms:
        return np.array([self._find(atom) for atom in atoms.tolist()], np.int64)

    def _union(self, a: Atoms, b: Atoms) -> None:
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            self._parent[self._find(other)] = self._find(one)


def remove_channels(graph: Graph, channels: Channels, classes: set[int]) -> tuple[Graph, Notes]:
    """The graph without some classes of channels.

    Where the removed channels carry zeros, outputs stay what they were.

    Args:
        graph: that `channels` was made of.
        channels: its ties.
        classes: that leave; `Channels.removable` says which may.

    Returns:
        The graph, and for each layer how many of its channels stay.
    """
    gone = np.array(sorted(classes), np.int64)
    kept: dict[str, Mask] = {}
    for name in graph.tensors:
        if graph.constant(name) is None and graph.type_of(name).shape:
            mask = ~np.isin(channels.classes(name), gone)
            if not mask.all():
                kept[name] = mask
    editor = GraphEditor(graph)
    for name, mask in kept.items():
        type = graph.type_of(name)
        editor.set_type(name, type.with_shape((*type.shape[:-1], int(mask.sum()))))
    notes: Notes = []
    for node in graph.nodes:
        if not any(name in kept for name in (*node.present_inputs, *node.outputs)):
            continue
        editor.replace_node(node.name, _cut(graph, editor, channels, node, kept))
        mask = kept.get(node.outputs[0], np.ones(0, bool))
        if channels.is_layer(node) and len(mask):
            notes.append((node.name, f"{int(mask.sum())} of {len(mask)} channels stay"))
    return editor.finish(), notes


def _cut(
    graph: Graph, editor: GraphEditor, channels: Channels, node: Node, kept: Mapping[str, Mask]
) -> Node:
    """A node for what is left of its operands."""
    x, y = node.inputs[0], node.outputs[0]
    lost_out = kept.get(y)
    if channels.is_layer(node):
        weights = graph.constant(node.inputs[1])
        assert weights is not None
        if x in kept:
            weights = weights[..., np.tile(kept[x], weights.shape[-1] // len(kept[x]))]
        if lost_out is not None:
            weights = weights[lost_out]
        inputs = [x, editor.add_constant(node.inputs[1], weights)]
        return replace(node, inputs=(*inputs, *_sliced(graph, editor, node.inputs[2:], lost_out)))
    if node.op == "depthwise_conv_2d" or node.op in _BINARY:
        rest = _sliced(graph, editor, node.inputs, lost_out)
        return replace(node, inputs=rest)
    return replace(node, attributes=_new_attributes(graph, editor, node, kept))


def _sliced(
    graph: Graph, editor: GraphEditor, names: Iterable[str], mask: Mask | None
) -> tuple[str, ...]:
    """Constants cut along their last dimension, if it is the channels'."""
    found = []
    for name in names:
        data = graph.constant(name)
        if (
            data is not None
            and mask is not None
            and data.shape[-1:] == mask.shape
            and len(mask) > 1
        ):
            name = editor.add_constant(name, data[..., mask])
        found.append(name)
    return tuple(found)


def _new_attributes(graph: Graph, editor: GraphEditor, node: Node, kept: Mapping[str, Mask]) -> Any:
    a = node.attributes
    x = node.inputs[0]
    match node.op:
        case "reshape":
            return replace(a, shape=editor.tensors[node.outputs[0]].type.shape)
        case "split" if a.axis == len(graph.type_of(x).shape) - 1:
            widths = (editor.tensors[out].type.shape[-1] for out in node.outputs)
            return replace(a, sizes=tuple(widths))
        case "slice":
            begin = int(kept[x][: a.begin[-1]].sum()) if x in kept else a.begin[-1]
            width = editor.tensors[node.outputs[0]].type.shape[-1]
            return replace(a, begin=(*a.begin[:-1], begin), size=(*a.size[:-1], width))
        case "strided_slice":
            begin = int(kept[x][: a.begin[-1]].sum()) if x in kept else a.begin[-1]
            width = editor.tensors[node.outputs[0]].type.shape[-1]
            return replace(a, begin=(*a.begin[:-1], begin), end=(*a.end[:-1], begin + width))
        case _:
            return a
