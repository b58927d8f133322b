"""Computes the first layers in bands of rows, so that no large tensor exists as a whole.

Pattern: a tensor t [1][h][w][c] and everything it is computed from, where nothing else reads what
lies between. Algebra: rows r0 … r1 of a window's output depend on rows r0·s - p … (r1 - 1)·s - p +
(k - 1)·d + 1 of its input, and on no others; the rows of t are computed band by band from slices
of the input and laid end to end. What bands read twice is computed twice: the price is MACs, for
tensors that shrink to a band.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from budget.graph import Graph, Node, Tensor
from budget.ops import Padding
from budget.ops.joining import Concat
from budget.ops.shaping import Slice
from budget.ops.windows import Slide, slides

Rows = tuple[int, int]

_WINDOWS = {"conv_2d", "depthwise_conv_2d", "average_pool_2d", "max_pool_2d"}
# Output element i depends on element i of each operand only.
_ELEMENTWISE = frozenset(
    {"add", "sub", "mul", "maximum", "minimum", "relu", "relu6", "relu_n1_to_1", "leaky_relu"}
    | {"hard_swish", "logistic", "tanh", "requantize"}
)


@dataclass(frozen=True, slots=True)
class Region:
    """What can be computed in bands.

    Attributes:
        last: the tensor whose rows are computed band by band.
        nodes: that compute it, in order.
    """

    last: str
    nodes: tuple[Node, ...]


def find_regions(graph: Graph) -> Iterator[Region]:
    """Every region of a canonical graph that could be computed in bands, the smallest first."""
    inside: list[Node] = []
    for node in graph.nodes:
        if not _can_be_cut(graph, node):
            return
        inside.append(node)
        (last,) = node.outputs
        names = {member.name for member in inside}
        between = [member.outputs[0] for member in inside[:-1]]
        if last in graph.outputs or any(name in graph.outputs for name in between):
            continue
        readers = (reader for name in between for reader in graph.consumers.get(name, ()))
        if len(inside) > 1 and all(reader.name in names for reader in readers):
            yield Region(last, tuple(inside))


def compute_in_bands(graph: Graph, region: Region, bands: int) -> Graph:
    """The same graph with a region computed in bands of rows.

    Args:
        graph: canonical.
        region: one of `find_regions`.
        bands: at least 2, at most the rows of the region's last tensor.
    """
    height = graph.type_of(region.last).shape[1]
    edges = [height * index // bands for index in range(bands + 1)]
    editor = _Editor(graph)
    parts = [
        editor.band(region, index, (first, stop))
        for index, (first, stop) in enumerate(pairwise(edges))
    ]
    join = Node(
        f"{region.last}@join",
        "concat",
        tuple(parts),
        (region.last,),
        Concat.Attributes(1),
        origin=region.nodes[-1].origin,
    )
    names = {node.name for node in region.nodes}
    rest = [node for node in graph.nodes if node.name not in names]
    # the largest band first, while the joined tensor does not exist yet
    editor.bands.sort(key=editor.element_count, reverse=True)
    nodes = (node for band in editor.bands for node in band)
    gone = {name for node in region.nodes for name in node.outputs} - {region.last}
    tensors = {name: tensor for name, tensor in editor.tensors.items() if name not in gone}
    return graph.replace(nodes=(*nodes, join, *rest), tensors=tensors)


def _can_be_cut(graph: Graph, node: Node) -> bool:
    if node.op not in _WINDOWS | _ELEMENTWISE or len(node.outputs) != 1:
        return False
    y = graph.type_of(node.outputs[0])
    if len(y.shape) != 4 or y.shape[0] != 1 or graph.tensors[node.outputs[0]].is_variable:
        return False
    if node.control_inputs or node.subgraphs:
        return False
    computed = [name for name in node.present_inputs if graph.constant(name) is None]
    if any(graph.tensors[name].is_variable for name in computed):
        return False
    if node.op in _WINDOWS:
        return computed == [node.inputs[0]]
    constants = [name for name in node.present_inputs if name not in computed]
    one_row = all(
        len(shape) < 3 or shape[-3] == 1
        for shape in (graph.type_of(name).shape for name in constants)
    )
    return one_row and all(graph.type_of(name).shape == y.shape for name in computed)


def _window_slide(graph: Graph, node: Node) -> Slide:
    attributes = node.attributes
    x = graph.type_of(node.inputs[0]).shape
    if hasattr(attributes, "filter"):
        return slides(x, attributes.filter, attributes.stride, attributes.padding)[0]
    taps = graph.type_of(node.inputs[1]).shape
    window = (taps[1], taps[2])
    return slides(x, window, attributes.stride, attributes.padding, attributes.dilation)[0]


def _rows_read(slide: Slide, rows: Rows) -> tuple[Rows, int, int]:
    """Input rows that output rows depend on, and how many of the padding lie above and below."""
    first = rows[0] * slide.stride - slide.before
    stop = (rows[1] - 1) * slide.stride - slide.before + (slide.taps - 1) * slide.dilation + 1
    above, below = max(0, -first), max(0, stop - slide.extent)
    start, end = max(first, 0), min(stop, slide.extent)
    if start >= end:  # nothing but padding: one row keeps the shapes alive
        start = min(start, slide.extent - 1)
        end = start + 1
        above, below = start - first, stop - end
    return (start, end), above, below


class _Editor:
    """Collects the nodes and tensors of all bands."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.bands: list[list[Node]] = []

    def element_count(self, band: Sequence[Node]) -> int:
        """Elements that a band computes."""
        return sum(self.tensors[node.outputs[0]].type.element_count for node in band)

    def band(self, region: Region, index: int, rows: Rows) -> str:
        """Adds the nodes of one band and returns the name of its part of the last tensor."""
        needed = self._needed(region, rows)
        self.bands.append([])
        have: dict[str, tuple[str, Rows]] = {}
        for node in region.nodes:
            if node.outputs[0] not in needed:
                continue
            out = f"{node.outputs[0]}@{index}"
            wanted = needed[node.outputs[0]]
            reads, attributes = self._reads(node, wanted)
            inputs = tuple(
                self._part(have, name, reads[name], index) if name in reads else name
                for name in node.inputs
            )
            type = self.graph.type_of(node.outputs[0])
            shape = (1, wanted[1] - wanted[0], *type.shape[2:])
            self.tensors[out] = Tensor(out, type.with_shape(shape))
            name = f"{node.name}@{index}"
            self.bands[-1].append(
                replace(node, name=name, inputs=inputs, outputs=(out,), attributes=attributes)
            )
            have[node.outputs[0]] = (out, wanted)
        return have[region.last][0]

    def _needed(self, region: Region, rows: Rows) -> dict[str, Rows]:
        """Rows of each tensor that a band needs: all that any of its readers reads."""
        needed = {region.last: rows}
        for node in reversed(region.nodes):
            if node.outputs[0] not in needed:
                continue
            for name, (first, stop) in self._reads(node, needed[node.outputs[0]])[0].items():
                low, high = needed.get(name, (first, stop))
                needed[name] = (min(low, first), max(high, stop))
        return needed

    def _reads(self, node: Node, rows: Rows) -> tuple[dict[str, Rows], Any]:
        """Rows of each operand behind rows of the output, and the attributes for these."""
        if node.op not in _WINDOWS:
            computed = (n for n in node.present_inputs if self.graph.constant(n) is None)
            return dict.fromkeys(computed, rows), node.attributes
        read, above, below = _rows_read(_window_slide(self.graph, node), rows)
        old = node.attributes.padding
        padding = Padding(above, below, old.left, old.right)
        return {node.inputs[0]: read}, replace(node.attributes, padding=padding)

    def _part(
        self,
        have: dict[str, tuple[str, Rows]],
        name: str,
        rows: Rows,
        index: int,
    ) -> str:
        """A tensor that holds some rows of another: what there is, or a slice of it."""
        type = self.graph.type_of(name)
        source, (first, stop) = have.get(name, (name, (0, type.shape[1])))
        if rows == (first, stop):
            return source
        part = f"{name}@{index}:{rows[0]}-{rows[1]}"
        if part not in self.tensors:
            shape = (1, rows[1] - rows[0], *type.shape[2:])
            begin = (0, rows[0] - first, 0, 0)
            self.tensors[part] = Tensor(part, type.with_shape(shape))
            attributes = Slice.Attributes(begin, shape)
            self.bands[-1].append(Node(part, "slice", (source,), (part,), attributes))
        return part


def band_counts(height: int) -> Sequence[int]:
    """How many bands are worth trying."""
    return [count for count in (2, 3, 4, 5, 6, 8, 12, 16, 24) if count <= height]
