"""Post-training quantisation of canonical float graphs to int8, as TensorFlow Lite specifies it.

Activations get one scale and zero point from the range they take on representative data; weights
are symmetric, per channel where the kernels allow it; biases are 32-bit integers at the product of
both scales. Operators that only move values share one scale between their inputs and outputs, and
some (softmax, logistic …) have a scale that TensorFlow Lite fixes: both are declared by the cases
of each operator.

Source: https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

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
from budget.ops import registry
from budget.ops.interpreter import run
from budget.ops.quantization import ConversionAttributes

Sample = Mapping[str, Array]
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """Values a tensor takes; zero is always among them, for padding and sparsity.

    Attributes:
        low: smallest, at most 0.
        high: largest, at least 0.
    """

    low: float = 0.0
    high: float = 0.0

    def include(self, values: Array) -> Range:
        """The range widened to hold an array.

        Raises:
            UsageError: the array holds something that is not a number.
        """
        if not values.size:
            return self
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise UsageError(
                "the model computes values that are not finite numbers",
                hint="check the representative data",
            )
        return Range(min(self.low, low), max(self.high, high))

    def join(self, other: Range) -> Range:
        """The smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def fits(self, quant: QuantParams) -> bool:
        """Whether a scale covers the range, but for one step at its ends."""
        scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
        return (-129 - zero) * scale <= self.low and self.high <= (128 - zero) * scale

    def quant(self) -> QuantParams:
        """The int8 scale and zero point that cover the range; zero is exact."""
        spread = self.high - self.low
        scale = np.float32(spread / 255) if spread > 0 else np.float32(1)
        if scale < np.finfo(np.float32).tiny:
            scale = np.float32(1)
        zero = round(-128 - self.low / float(scale))
        return QuantParams.per_tensor(float(scale), min(max(zero, -128), 127))


def quantize_int8(graph: Graph, samples: Iterable[Sample]) -> Graph:
    """A canonical int8 graph that computes what a float graph computes, as nearly as 8 bits do.

    Args:
        graph: canonical, in float32.
        samples: representative inputs by tensor name, in the graph's own shapes.

    Raises:
        UnsupportedModelError: operators without int8 arithmetic; all of them are listed.
        UsageError: there are no samples, or they lead to values that are not finite.
    """
    _require_int8(graph)
    ranges = calibrate(graph, samples)
    return _Quantizer(graph, ranges).finish()


def calibrate(graph: Graph, samples: Iterable[Sample]) -> dict[str, Range]:
    """The range of every float tensor that is computed or given, over all samples.

    Raises:
        UsageError: there are no samples, or they lead to values that are not finite.
    """
    ranges: dict[str, Range] = {}
    for sample in samples:
        for name, values in {**sample, **run(graph, sample, keep="all")}.items():
            if graph.type_of(name).dtype is DType.FLOAT32:
                ranges[name] = ranges.get(name, Range()).include(values)
    if not ranges:
        raise UsageError("there is no representative data", hint="give at least one example")
    return ranges


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


@cache
def _output_rule(op: str) -> tuple[float, int] | str | None:
    """What TFLite fixes of an operator's int8 output: (scale, zero point), "same", or nothing."""
    cases = [case for case in registry.get(op).cases() if DType.INT8 in case.dtypes]
    return cases[0].output_quant if cases else None


@cache
def _has_int8(op: str) -> bool:
    return any(DType.INT8 in case.dtypes for case in registry.get(op).cases())


def _require_int8(graph: Graph) -> None:
    missing = sorted({node.op for node in graph.nodes if not _has_int8(node.op)})
    where = graph.source.name or graph.name
    if missing:
        raise UnsupportedModelError(
            f"no int8 arithmetic for {', '.join(missing)}",
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


class _Quantizer:
    """One graph on its way to int8."""

    def __init__(self, graph: Graph, ranges: Mapping[str, Range]) -> None:
        self.graph = graph
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
                self.editor.set_type(name, TensorType(shape, DType.INT8, quant))
        for node in self.graph.nodes:
            self._rewrite(node, rescaled)
        return self.editor.finish()

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
        rule = _output_rule(node.op)
        if isinstance(rule, tuple):
            for name in self._floats(node):
                self.fixed[self._find(name)] = QuantParams.per_tensor(*rule)

    def _tie(self, node: Node, rescaled: dict[tuple[str, int], str]) -> None:
        """Gives a node's operands and results one scale; one fixed otherwise is rescaled first."""
        if _output_rule(node.op) != "same":
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
        if any(fixed is not None and not both.fits(fixed) for fixed in (fixed_a, fixed_b)):
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
            if _output_rule(node.op) == "same" and self._floats(node):
                root = self._find(self._floats(node)[0])
                for index, name in enumerate(node.inputs):
                    data = self.graph.constant(name)
                    if data is not None and self._is_activation(node, index):
                        groups[root] = groups[root].include(data)
        for name in self.ranges:
            root = self._find(name)
            self.quants[name] = self.fixed.get(root) or groups[root].quant()

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
        type = TensorType(self.graph.type_of(name).shape, DType.INT8, quant)
        out = self.editor.add_tensor(f"{name}_rescaled", type)
        self.editor.add_node(
            Node(
                self.editor.unique_name(f"{out}_requantize"),
                "requantize",
                (name,),
                (out,),
                ConversionAttributes(DType.INT8),
            )
        )
        return out

    def _weights(self, node: Node, index: int, data: Array) -> tuple[str, QuantParams]:
        axis = weight_axes(node.op).get(index)
        others = None if axis is None else tuple(i for i in range(data.ndim) if i != axis)
        largest = np.abs(data.astype(np.float64)).max(axis=others)
        scale = np.atleast_1d(largest / 127)
        scale = np.where(scale < np.finfo(np.float32).tiny, 1.0, scale)
        scale = np.maximum(scale, self._least_scale(node, len(scale))).astype(np.float32)
        shape = [1] * data.ndim
        if axis is None:
            quant = QuantParams(scale, np.zeros(1, np.int64))
        else:
            shape[axis] = len(scale)
            quant = QuantParams.per_channel(scale, axis)
        stored = np.rint(data / scale.astype(np.float64).reshape(shape))
        stored = np.clip(stored, -127, 127).astype(np.int8)
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
        stored = np.clip(np.rint(data / scale.astype(np.float64)), -_INT32_MAX, _INT32_MAX)
        axis = 0 if len(scale) > 1 else None
        quant = QuantParams(scale, np.zeros(len(scale), np.int64), axis)
        return self.editor.add_constant(name, stored.astype(np.int32), quant)

    def _constant(self, node: Node, name: str, data: Array) -> str:
        """A constant that stands for an activation, such as the second operand of a sum."""
        if _output_rule(node.op) == "same":
            quant = self.quants[self._floats(node)[0]]
        else:
            quant = Range().include(data).quant()
        scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
        stored = np.clip(np.rint(data.astype(np.float64) / scale) + zero, -128, 127).astype(np.int8)
        return self.editor.add_constant(name, stored, quant)


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
