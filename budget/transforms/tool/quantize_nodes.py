"""``quantize_nodes``: float operators become TensorFlow's operators on eight bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import UsageError
from budget.formats.tensorflow_schema import DataType
from budget.readers.graphdef import node_of
from budget.transforms.tool.merge_duplicate_nodes import MergeDuplicateNodes
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant, free_name, renamed
from budget.transforms.tool.patterns import Match
from budget.transforms.tool.quantized_operators import OPERATORS, QINT32, QUINT8, Quantized
from budget.transforms.tool.transform import Context, Transform

_FLOAT = DataType.FLOAT
_FAKE = "FakeQuantWithMinMaxVars"
_PASSING = ("Reshape", "Squeeze", "Identity", "MaxPool", "ResizeNearestNeighbor", "ConcatV2")
_HOIST = 3
"""Through how many nodes a FakeQuant is moved up to the operator whose range it tells."""


@dataclass(frozen=True)
class QuantizeNodes(Transform):
    """Replaces y = f(x) by dequantise(requantise(f₈(quantise(x)))), f₈ on eight unsigned bits.

    |quantise(x) - x| ≤ (max - min) / 510, with the range found while the graph runs, or that of a
    FakeQuantWithMinMaxVars behind the operator, or the fallback. Dequantise followed by quantise
    is left out, so that eight bits flow from operator to operator. There is no depthwise operator
    of the kind; shapes of runtimes today have other means (budget shrink): this is for graphs as
    they were made in 2016. Run quantize_weights before, and strip_unused_nodes and
    sort_by_execution_order behind.

    Attributes:
        input_min: least value of the graph's inputs, which are then fed as quint8.
        input_max: largest.
        fallback_min: least value of operators of which no range is known; found at run time if
            not given.
        fallback_max: largest.
        ignore_op: operators that stay.
    """

    input_min: float | None = None
    input_max: float | None = None
    fallback_min: float | None = None
    fallback_max: float | None = None
    ignore_op: tuple[str, ...] = ()
    called: ClassVar[str] = "quantize_nodes"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UsageError: of a range only one end is given.
        """
        for name in ("input", "fallback"):
            ends = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if (ends[0] is None) != (ends[1] is None):
                raise UsageError(
                    f"quantize_nodes needs both {name}_min and {name}_max", where="transforms"
                )
        graph = self._with_quantized_inputs(graph)
        graph = _hoisted(graph)
        graph = self._converted(graph, context)
        graph = MergeDuplicateNodes().apply(graph, context)
        return _without_pairs(graph)

    def _with_quantized_inputs(self, graph: NodeGraph) -> NodeGraph:
        if self.input_min is None or self.input_max is None:
            return graph
        nodes: list[NodeDef] = []
        passed: dict[str, str] = {}
        for name, node in graph.nodes.items():
            if name not in graph.inputs or node.op != "Placeholder":
                nodes.append(node)
                continue
            if node.attributes.get("dtype") is not _FLOAT:
                nodes.append(node)
                continue
            low, high = (
                constant(free_name(graph.nodes, f"{name}_{part}_value"), np.float32(value))
                for part, value in (("min", self.input_min), ("max", self.input_max))
            )
            wide = NodeDef(free_name(graph.nodes, f"{name}_dequantize"), "Dequantize",
                           (name, low.name, high.name), (), node.device,
                           {"T": QUINT8, "mode": b"MIN_FIRST"})  # fmt: skip
            nodes += [
                node.changed(attributes={**node.attributes, "dtype": QUINT8}),
                low,
                high,
                wide,
            ]
            passed[name] = wide.name
        return graph.with_nodes(
            node
            if node.op == "Dequantize" and node.name in passed.values()
            else node.changed(inputs=tuple(renamed(item, passed) for item in node.inputs))
            for node in nodes
        )

    def _converted(self, graph: NodeGraph, context: Context) -> NodeGraph:
        ranges = _fake_ranges(graph)
        nodes: dict[str, NodeDef] = {}
        for name, node in graph.nodes.items():
            how = OPERATORS.get(node.op)
            reason = self._refusal(graph, node) if how else ""
            if how is None or reason or _tells_range(graph, node):
                nodes[name] = node
                if reason:
                    context.notes.append(f"{name} ({node.op}) stays: {reason}")
                continue
            if name in graph.kept and name in graph.inputs:
                nodes[name] = node
                continue
            for new in self._parts(node, how, ranges.get(name)):
                nodes[new.name] = new
        # what a FakeQuant told is now in the Requantize before it
        passed = {name: source for source, (name, _, _) in ranges.items()
                  if source in graph.nodes and graph.nodes[source].op in OPERATORS
                  and name not in graph.kept and nodes.get(source) is not graph.nodes[source]
                  and OPERATORS[graph.nodes[source].op].wide}  # fmt: skip
        return graph.with_nodes(
            node.changed(inputs=tuple(renamed(item, passed) for item in node.inputs))
            for name, node in nodes.items()
            if name not in passed
        )

    def _refusal(self, graph: NodeGraph, node: NodeDef) -> str:
        if node.op in self.ignore_op:
            return "it is to be ignored"
        if node.attributes.get("T") is not _FLOAT:
            return "it is not on float32"
        if node.attributes.get("data_format", b"NHWC") != b"NHWC":
            return "its layout is not NHWC"
        if node.attributes.get("explicit_paddings"):
            return "its padding is explicit"
        if node.op == "ResizeBilinear" and node.attributes.get("half_pixel_centers"):
            return "the operator on eight bits is another with half-pixel centres"
        return ""

    def _parts(
        self, node: NodeDef, how: Quantized, fake: tuple[str, str, str] | None
    ) -> list[NodeDef]:
        base = f"{node.name}_eightbit"
        new: list[NodeDef] = []

        def add(part: str, op: str, inputs: tuple[str, ...], **attributes: Any) -> str:
            new.append(NodeDef(f"{base}_{part}", op, inputs, (), node.device, attributes))
            return new[-1].name

        def held(part: str, value: Any, dtype: DataType) -> str:
            new.append(constant(f"{base}_{part}", value, dtype, node.device))
            return new[-1].name

        flat = held("reshape_dims", np.array([-1], np.int32), DataType.INT32)
        every = held("reduction_dims", np.array([0], np.int32), DataType.INT32)
        values: list[str] = []
        lows: list[str] = []
        highs: list[str] = []
        plain: dict[int, str] = {}
        for index, item in enumerate(node.inputs):
            if index in how.plain:
                plain[index] = item
                continue
            own = f"{index}_" if len(node.inputs) > 1 else ""
            row = add(f"{own}reshape", "Reshape", (item, flat), T=_FLOAT, Tshape=DataType.INT32)
            low, high = (
                add(f"{own}{op.lower()}", op, (row, every), T=_FLOAT, Tidx=DataType.INT32,
                    keep_dims=False)
                for op in ("Min", "Max")
            )  # fmt: skip
            quantized = add(f"{own}quantize", "QuantizeV2", (item, low, high), T=QUINT8,
                            mode=b"MIN_FIRST")  # fmt: skip
            values.append(quantized)
            lows.append(f"{quantized}:1")
            highs.append(f"{quantized}:2")
        operands = values.copy()
        for index in sorted(plain):
            operands.insert(index, plain[index])
        pairs = [*lows, *highs] if how.ranges_by_kind else [
            end for both in zip(lows, highs) for end in both]  # fmt: skip
        name = f"{base}_quantized"
        new.append(NodeDef(name, how.op, (*operands, *pairs), node.controls, node.device,
                           how.attributes(node.attributes)))  # fmt: skip
        outputs = (name, f"{name}:1", f"{name}:2")
        if how.wide:
            low, high = self._range(fake, outputs, add, held)
            outputs = _three(add("requantize", "Requantize", (*outputs, low, high),
                                 Tinput=QINT32, out_type=QUINT8))  # fmt: skip
        new.append(NodeDef(node.name, "Dequantize", outputs, (), node.device,
                           {"T": QUINT8, "mode": b"MIN_FIRST"}))  # fmt: skip
        return new

    def _range(self, fake: Any, outputs: tuple[str, ...], add: Any, held: Any) -> tuple[str, str]:
        """Where the eight bits begin and end: what is known of it, or what a run shows."""
        if fake is not None:
            return fake[1], fake[2]
        if self.fallback_min is not None and self.fallback_max is not None:
            return (
                held("fallback_min", np.float32(self.fallback_min), _FLOAT),
                held("fallback_max", np.float32(self.fallback_max), _FLOAT),
            )
        found = add("requant_range", "RequantizationRange", outputs, Tinput=QINT32)
        return found, f"{found}:1"


def _tells_range(graph: NodeGraph, node: NodeDef) -> bool:
    """Whether a reshape was made by this transform, to find a range."""
    ops = {graph.nodes[name].op for name in graph.readers.get(node.name, ())}
    return node.op == "Reshape" and bool(ops) and ops <= {"Min", "Max"}


def _three(name: str) -> tuple[str, str, str]:
    return name, f"{name}:1", f"{name}:2"


def _fake_ranges(graph: NodeGraph) -> dict[str, tuple[str, str, str]]:
    """Operator → the FakeQuant that alone reads it, and the tensors of its range."""
    found: dict[str, tuple[str, str, str]] = {}
    for node in graph.nodes.values():
        if node.op != _FAKE or node.attributes.get("num_bits", 8) != 8:
            continue
        source = node.inputs[0]
        if graph.readers.get(source, ()) == (node.name,) and source not in graph.kept:
            found[source] = (node.name, node.inputs[1], node.inputs[2])
    return found


def _hoisted(graph: NodeGraph) -> NodeGraph:
    """FakeQuant moved up through operators that change no value, to the one that makes it."""
    for _ in range(_HOIST):
        moved = False
        for node in list(graph.nodes.values()):
            below = graph.nodes.get(node.inputs[0]) if node.op == _FAKE and node.inputs else None
            if below is None or below.op not in _PASSING or below.op == "ConcatV2":
                continue
            if graph.readers[below.name] != (node.name,) or {below.name, node.name} & graph.kept:
                continue
            # fake(pass(x)) = pass(fake(x))
            lifted = node.changed(inputs=(below.inputs[0], *node.inputs[1:]))
            lowered = below.changed(inputs=(node.name, *below.inputs[1:]))
            passed = {node.name: below.name}
            nodes = []
            for item in graph.nodes.values():
                if item.name == node.name:
                    nodes.append(lifted)
                elif item.name == below.name:
                    nodes.append(lowered)
                else:
                    nodes.append(item.changed(
                        inputs=tuple(renamed(i, passed) for i in item.inputs)))  # fmt: skip
            graph, moved = graph.with_nodes(nodes), True
        if not moved:
            break
    return graph


def _agrees(graph: NodeGraph, match: Match) -> str:
    """Whether what is quantised is what was dequantised, over its own range."""
    wide, root = match.nodes["wide"], match.root
    modes = {node.attributes.get("mode") for node in (wide, root)}
    if modes != {b"MIN_FIRST"} or wide.attributes.get("T") is not root.attributes.get("T"):
        return "the modes differ"
    for item in root.inputs[1:]:
        end = graph.nodes[node_of(item)]
        if end.op not in ("Min", "Max"):
            return "its range is not that of what it reads"
        row = graph.nodes[node_of(end.inputs[0])]
        if row.op != "Reshape" or row.inputs[0] != root.inputs[0]:
            return "its range is not that of what it reads"
    return ""


def _without_pairs(graph: NodeGraph) -> NodeGraph:
    """Leaves out Dequantize followed by QuantizeV2, and then what nobody reads."""
    passed: dict[str, str] = {}
    for match in _pairs(graph):
        wide = match.nodes["wide"]
        for port, item in enumerate(wide.inputs):
            passed[f"{match.root.name}:{port}" if port else match.root.name] = item
    if not passed:
        return graph

    def final(tensor: str) -> str:
        while tensor in passed:
            tensor = passed[tensor]
        return tensor

    gone = {name for name in passed if ":" not in name}
    changed = graph.with_nodes(
        node.changed(inputs=tuple(final(item) for item in node.inputs))
        for name, node in graph.nodes.items()
        if name not in gone
    )
    # reshapes, minima and wide copies that only the pairs needed
    unread = graph.needed(gone)
    others = [name for name in changed.nodes if name not in unread]
    needed = changed.needed([*others, *changed.kept])
    return changed.with_nodes(node for name, node in changed.nodes.items() if name in needed)


def _pairs(graph: NodeGraph) -> list[Match]:
    found: list[Match] = []
    # one Dequantize may stand before several QuantizeV2, so matches may share it
    for name, node in graph.nodes.items():
        wide = graph.nodes[node_of(node.inputs[0])] if node.op == "QuantizeV2" else node
        if wide.op == "Dequantize" and wide is not node:
            match = Match(node, {"wide": wide}, {}, frozenset({name}))
            if not _agrees(graph, match):
                found.append(match)
    return found
