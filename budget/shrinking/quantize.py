"""Post-training quantisation of canonical float graphs, as TensorFlow Lite specifies it.

Activations get one scale and zero point from the range they take on representative data (none at
16 bits, which are symmetric); weights have 8 bits and are symmetric, per channel where the kernels
allow it; biases are integers at the product of both scales, of 32 bits behind 8-bit activations
and of 64 bits behind 16-bit ones. Operators that only move values share one scale between their
inputs and outputs, and some (softmax, logistic …) have a scale that TensorFlow Lite fixes: both
are declared by the cases of each operator. Nodes may differ in width; conversions stand where
widths meet.

Source: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace

import numpy as np

from budget.analysis.operands import operand_roles, weight_axes
from budget.errors import UnsupportedModelError, UsageError
from budget.graph import (
    ABSENT,
    Array,
    DType,
    Graph,
    GraphEditor,
    Node,
    QuantParams,
    TensorType,
)
from budget.ops.quantization import ConversionAttributes
from budget.records import record
from budget.shrinking.ranges import Observed, Range, Sample, calibrate, weight_scale
from budget.shrinking.stored import stored_bias, stored_values
from budget.shrinking.widths import choose, output_rule, supports, with_borders

_INT32_MAX = 2**31 - 1
_INPUT_RANGES = "input_ranges"  # key of Graph.extras


@record
class Recipe:
    """How a graph is quantised.

    Attributes:
        width: of activations, where `kept` says nothing else.
        kept: width of some nodes by name; `DType.FLOAT32` leaves them as they are.
        ranges: of activations, of `budget.shrinking.ranges.METHODS`; at 16 bits they are twice what
            was seen.
        weight_ranges: ``min-max`` or ``mse``.
        dense_per_channel: fully connected layers have a scale for each output as well.
        fallback: nodes without arithmetic of their width get a wider one instead of an error.
    """

    width: DType = DType.INT8
    kept: Mapping[str, DType] = field(default_factory=dict)
    ranges: str = "min-max"
    weight_ranges: str = "min-max"
    dense_per_channel: bool = False
    fallback: bool = False


def quantize_int8(graph: Graph, samples: Iterable[Sample]) -> Graph:
    """A canonical int8 graph that computes what a float graph computes, as nearly as 8 bits do.

    Args:
        graph: canonical, in float32.
        samples: representative inputs by tensor name, in the graph's own shapes.

    Raises:
        UnsupportedModelError: operators without int8 arithmetic; all of them are listed.
        UsageError: there are no samples, or they lead to values that are not finite.
    """
    widths = _settled_widths(graph, Recipe())
    ranges = {**calibrate(graph, samples), **_given_ranges(graph)}
    return _quantized(graph, ranges, Recipe(), widths)


def quantize(graph: Graph, observed: Mapping[str, Observed], recipe: Recipe) -> Graph:
    """A canonical integer (or mixed) graph that computes what a float graph computes.

    Args:
        graph: canonical, in float32.
        observed: what its tensors were seen to be (`budget.shrinking.ranges.observe`).
        recipe: widths and ranges.

    Raises:
        UnsupportedModelError: operators without arithmetic of their width; all are listed.
    """
    widths = _settled_widths(graph, recipe)
    ranges = {name: seen.chosen(recipe.ranges) for name, seen in observed.items()}
    return _quantized(graph, {**ranges, **_given_ranges(graph)}, recipe, widths)


def with_input_quant(graph: Graph, quant: QuantParams) -> Graph:
    """The graph with the 8-bit scale of its only input settled by what feeds it.

    A front end writes its features at one scale; a network quantised behind it must read that one,
    whatever its representative data reach.
    """
    scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
    limits = ((-128 - zero) * scale, (127 - zero) * scale)
    return graph.replace(extras={**graph.extras, _INPUT_RANGES: {graph.inputs[0]: limits}})


def _given_ranges(graph: Graph) -> dict[str, Range]:
    return {name: Range(*limits) for name, limits in graph.extras.get(_INPUT_RANGES, {}).items()}


def random_samples(graph: Graph, count: int = 16, seed: int = 0) -> list[dict[str, Array]]:
    """Seeded normally distributed inputs, for want of real ones."""
    generator = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        sample: dict[str, Array] = {}
        for name in graph.inputs:
            type = graph.type_of(name)
            if type.dtype is DType.FLOAT32:
                sample[name] = generator.normal(0, 1, type.shape).astype(np.float32)
            else:
                sample[name] = np.zeros(type.shape, type.dtype.numpy)
        samples.append(sample)
    return samples


def _settled_widths(graph: Graph, recipe: Recipe) -> dict[str, DType]:
    widths = choose(graph, recipe.width, recipe.kept, recipe.fallback)
    where = graph.source.name or graph.name
    missing = sorted(
        {
            (node.op, widths[node.name].value)
            for node in graph.nodes
            if not supports(node.op, widths[node.name])
        }
    )
    if missing:
        kinds = sorted({width for _, width in missing})
        raise UnsupportedModelError(
            f"no {'/'.join(kinds)} arithmetic for {', '.join(op for op, _ in missing)}",
            where=where,
            hint="keep the model in float (--precision float32)",
        )
    others = sorted(
        {
            f"'{t.name}' ({t.type.dtype.value})"
            for t in graph.tensors.values()
            if t.type.dtype.is_float and t.type.dtype is not DType.FLOAT32
        }
    )
    if others:
        raise UnsupportedModelError(
            f"only float32 can be quantised, not {', '.join(others[:8])}", where=where
        )
    return widths


def _quantized(
    graph: Graph, ranges: Mapping[str, Range], recipe: Recipe, widths: Mapping[str, DType]
) -> Graph:
    bordered, homes, copies = with_borders(graph, recipe.width, widths)
    every = {**ranges, **{copy: ranges[name] for copy, name in copies.items()}}
    return _Quantizer(bordered, every, homes, recipe).finish()


class _Quantizer:
    """One graph on its way to integers; `homes` has the width of every float tensor."""

    def __init__(
        self, graph: Graph, ranges: Mapping[str, Range], homes: Mapping[str, DType], recipe: Recipe
    ) -> None:
        self.graph = graph
        self.homes = homes
        self.recipe = recipe
        self.ranges = ranges
        self.spans = dict(ranges)  # of each group of tied tensors, by its root
        self.editor = GraphEditor(graph)
        self.parent: dict[str, str] = {}
        self.fixed: dict[str, QuantParams] = {}
        self.quants: dict[str, QuantParams] = {}

    def finish(self) -> Graph:
        """The quantised graph."""
        for node in self.graph.nodes:
            self._fix(node)
        rescaled: dict[tuple[str, int], str] = {}
        for node in self.graph.nodes:
            self._tie(node, rescaled)
        self._settle()
        for name, quant in self.quants.items():
            if name in self.graph.tensors and not self.graph.tensors[name].is_constant:
                shape = self.graph.type_of(name).shape
                self.editor.set_type(name, TensorType(shape, self.homes[name], quant))
        for node in self.graph.nodes:
            if self._width(node) is not DType.FLOAT32:
                self._rewrite(node, rescaled)
        return self.editor.finish()

    def _width(self, node: Node) -> DType:
        """In which a node computes; what it reads decides where it makes no real numbers."""
        flows = (*self._floats(node), *node.present_inputs)
        return next((self.homes[name] for name in flows if name in self.homes), DType.FLOAT32)

    def _rule(self, node: Node) -> tuple[float, int] | str | None:
        width = self._width(node)
        return None if width is DType.FLOAT32 else output_rule(node.op, width)

    def _is_activation(self, node: Node, index: int) -> bool:
        """Whether an operand is a float that flows, or a constant that stands for one."""
        name = node.inputs[index]
        if name == ABSENT or self.graph.type_of(name).dtype is not DType.FLOAT32:
            return False
        is_constant = self.graph.tensors[name].is_constant
        role = operand_roles(node.op).get(index, "activation")
        return not (is_constant and role in {"weights", "bias"})

    def _floats(self, node: Node) -> list[str]:
        return [n for n in node.outputs if self.graph.type_of(n).dtype is DType.FLOAT32]

    def _find(self, name: str) -> str:
        while self.parent.setdefault(name, name) != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return name

    def _fix(self, node: Node) -> None:
        rule = self._rule(node)
        if isinstance(rule, tuple):
            for name in self._floats(node):
                self.fixed[self._find(name)] = QuantParams.per_tensor(*rule)

    def _tie(self, node: Node, rescaled: dict[tuple[str, int], str]) -> None:
        """Gives a node's operands and results one scale; one fixed otherwise is rescaled first."""
        if self._rule(node) != "same":
            return
        members = [
            (index, name)
            for index, name in enumerate(node.inputs)
            if self._is_activation(node, index) and not self.graph.tensors[name].is_constant
        ]
        outputs = self._floats(node)
        for name in outputs[1:]:
            self._union(outputs[0], name)
        for index, name in members:
            if outputs and not self._union(outputs[0], name):
                rescaled[node.name, index] = name

    def _union(self, a: str, b: str) -> bool:
        """Ties two tensors; False where a scale that TFLite fixes for one does not suit both."""
        a, b = self._find(a), self._find(b)
        if a == b:
            return True
        fixed_a, fixed_b = self.fixed.get(a), self.fixed.get(b)
        both = self.spans.get(a, Range()).join(self.spans.get(b, Range()))
        width = self.homes.get(a, DType.INT8)
        if any(fixed is not None and not both.fits(fixed, width) for fixed in (fixed_a, fixed_b)):
            return False
        if fixed_a is not None and fixed_b is not None and fixed_a != fixed_b:
            return False
        self.parent[b] = a
        self.spans[a] = both
        if fixed_b is not None:
            self.fixed[a] = fixed_b
        return True

    def _settle(self) -> None:
        """One scale for every group of tied tensors, from the union of their ranges."""
        groups = self.spans
        for node in self.graph.nodes:  # constants that join others take part in their range
            if self._rule(node) == "same" and self._floats(node):
                root = self._find(self._floats(node)[0])
                for index, name in enumerate(node.inputs):
                    data = self.graph.constant(name)
                    if data is not None and self._is_activation(node, index):
                        groups[root] = groups[root].include(data)
        for name in self.ranges:
            width = self.homes.get(name, DType.FLOAT32)
            if width is not DType.FLOAT32:
                root = self._find(name)
                # 16 bits have steps enough for twice of what was seen
                span = groups[root].scaled(2.0) if width is DType.INT16 else groups[root]
                self.quants[name] = self.fixed.get(root) or span.quant(width)

    def _rewrite(self, node: Node, rescaled: Mapping[tuple[str, int], str]) -> None:
        inputs = list(node.inputs)
        scales: dict[str, QuantParams] = {}
        for index, name in enumerate(node.inputs):
            data = self.graph.constant(name)
            role = operand_roles(node.op).get(index, "activation")
            if (node.name, index) in rescaled:
                inputs[index] = self._requantized(name, self.quants[node.outputs[0]])
            elif data is None or self.graph.type_of(name).dtype is not DType.FLOAT32:
                continue
            elif role == "weights":
                inputs[index], scales["weights"] = self._weights(node, index, data)
            elif role == "bias":
                inputs[index] = self._bias(node, name, data, scales.get("weights"))
            else:
                inputs[index] = self._constant(node, name, data)
        if inputs != list(node.inputs):
            self.editor.replace_node(node.name, replace(node, inputs=tuple(inputs)))

    def _requantized(self, name: str, quant: QuantParams) -> str:
        type = TensorType(self.graph.type_of(name).shape, self.homes[name], quant)
        out = self.editor.add_tensor(f"{name}_rescaled", type)
        self.editor.add_node(
            Node(
                self.editor.unique_name(f"{out}_requantize"),
                "requantize",
                (name,),
                (out,),
                ConversionAttributes(self.homes[name]),
            )
        )
        return out

    def _weights(self, node: Node, index: int, data: Array) -> tuple[str, QuantParams]:
        axis = weight_axes(node.op).get(index)
        if node.op == "fully_connected" and self.recipe.dense_per_channel:
            axis = 0
        real = data.astype(np.float64)
        wanted = weight_scale(real, axis, self.recipe.weight_ranges)
        wanted = np.where(wanted < np.finfo(np.float32).tiny, 1.0, wanted)
        wanted = np.maximum(wanted, self._least_scale(node, len(wanted)))
        scale = wanted.astype(np.float32)
        shape = [1] * data.ndim
        if axis is None:
            quant = QuantParams(scale, np.zeros(1, np.int64))
        else:
            shape[axis] = len(scale)
            quant = QuantParams.per_channel(scale, axis)
        steps = np.rint(real / scale.astype(np.float64).reshape(shape))
        stored = np.clip(steps, -127, 127).astype(np.int8)
        return self.editor.add_constant(node.inputs[index], stored, quant), quant

    def _least_scale(self, node: Node, count: int) -> Array:
        """Scales of weights below which the 32-bit bias would overflow, with room for the sum."""
        roles = operand_roles(node.op)
        index = next((i for i, role in roles.items() if role == "bias"), None)
        if index is None or index >= len(node.inputs) or node.inputs[index] == ABSENT:
            return np.zeros(count)
        bias = self.graph.constant(node.inputs[index])
        if bias is None:
            return np.zeros(count)
        if self._width(node) is DType.INT16:
            return np.zeros(count)  # 64 bits hold every bias that matters
        needed = np.abs(bias.astype(np.float64)) / (self._input_scale(node) * (_INT32_MAX // 2))
        return needed if len(needed) == count else np.full(count, needed.max(initial=0.0))

    def _input_scale(self, node: Node) -> float:
        return float(self.quants[node.inputs[0]].scale[0])

    def _bias(self, node: Node, name: str, data: Array, weights: QuantParams | None) -> str:
        if weights is None:
            raise UnsupportedModelError(
                f"{node.op} '{node.name}': its weights are computed, its bias is constant",
                where=self.graph.source.name,
                hint="keep the model in float (--precision float32)",
            )
        scale = np.float32(self._input_scale(node)) * weights.scale
        axis = 0 if len(scale) > 1 else None
        quant = QuantParams(scale, np.zeros(len(scale), np.int64), axis)
        wide = self._width(node) is DType.INT16
        return self.editor.add_constant(name, stored_bias(data, scale, wide), quant)

    def _constant(self, node: Node, name: str, data: Array) -> str:
        """A constant that stands for an activation, such as the second operand of a sum."""
        width = self._width(node)
        if self._rule(node) == "same":
            quant = self.quants[self._floats(node)[0]]
        else:
            quant = Range().include(data).quant(width)
        return self.editor.add_constant(name, stored_values(data, quant, width), quant)


def require_samples(graph: Graph, samples: Sequence[Sample]) -> None:
    """Checks that every sample feeds every input in its own shape.

    Raises:
        UsageError: one does not.
    """
    for number, sample in enumerate(samples):
        for name in graph.inputs:
            type = graph.type_of(name)
            found = sample.get(name)
            if found is None or found.shape != type.shape:
                shape = "nothing" if found is None else str(list(found.shape))
                raise UsageError(
                    f"example {number} has {shape} for input {name!r}, which is {list(type.shape)}",
                    where="--data",
                )
