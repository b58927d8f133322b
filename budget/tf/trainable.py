"""A canonical float graph as a TensorFlow function whose weights are variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from budget.errors import UnsupportedModelError
from budget.graph import ABSENT, Array, DType, Graph, Node, QuantParams
from budget.tf.batches import runs_in_batches
from budget.tf.operators import LISTED, MEANINGS, TRAINED

Tensors = Mapping[str, Any]


@dataclass(frozen=True)
class Rounded:
    """How a quantised version of a graph stores what the graph computes in floats.

    Attributes:
        activations: by tensor name.
        bits: of each of them.
        weights: axis and bits of quantised weights, by name of the float constant.
    """

    activations: Mapping[str, QuantParams]
    bits: Mapping[str, int]
    weights: Mapping[str, tuple[int | None, int]]

    @classmethod
    def from_graphs(cls, graph: Graph, quantized: Graph) -> Rounded:
        """Reads it off a quantised graph whose tensors and nodes kept the float graph's names."""
        activations, bits = {}, {}
        for name, tensor in quantized.tensors.items():
            quant = tensor.type.quant
            known = name in graph.tensors and not graph.tensors[name].is_constant
            if known and quant is not None and tensor.type.is_quantized:
                activations[name], bits[name] = quant, tensor.type.dtype.bits
        weights: dict[str, tuple[int | None, int]] = {}
        for node in graph.nodes:
            other = quantized.nodes_by_name.get(node.name)
            if other is None or len(other.inputs) != len(node.inputs):
                continue
            for index in TRAINED.get(node.op, ()):
                if index >= len(node.inputs) or graph.constant(node.inputs[index]) is None:
                    continue
                type = quantized.type_of(other.inputs[index])
                if type.is_quantized and type.dtype in {DType.INT8, DType.INT4}:
                    axis = None if type.quant is None else type.quant.axis
                    weights[node.inputs[index]] = (axis, type.dtype.bits)
        return cls(activations, bits, weights)


class Trainable:
    """Runs a graph in TensorFlow and gives it back with the weights it has then.

    Args:
        graph: canonical, in float32.

    Raises:
        UnsupportedModelError: operators without a meaning on floats; all of them are listed.
    """

    def __init__(self, graph: Graph) -> None:
        missing = sorted({node.op for node in graph.nodes if node.op not in MEANINGS})
        quantized = any(t.type.is_quantized for t in graph.tensors.values())
        if missing or quantized:
            raise UnsupportedModelError(
                f"cannot be trained: {', '.join(missing) or 'it computes on integers'}",
                where=graph.source.name or graph.name,
                hint="train the float model it was made from",
            )
        self.graph = graph
        self.variables: dict[str, Any] = {
            name: tf.Variable(graph.constant(name), name=_plain(name), dtype=tf.float32)
            for name in _trained(graph)
        }
        self.in_batches = runs_in_batches(graph)

    def __call__(
        self, inputs: Tensors, wanted: Sequence[str] = (), rounded: Rounded | None = None
    ) -> dict[str, Any]:
        """Values of tensors for a batch.

        Args:
            inputs: by name, [example][...] with the graph's own first dimension of 1 left out
                (kept, where the graph cannot be run in batches).
            wanted: names of tensors; the graph's outputs if empty.
            rounded: computes as if with these precisions, gradients passing straight through.

        Returns:
            By name, [example][...] likewise.
        """
        names = tuple(wanted) or self.graph.outputs
        if self.in_batches:
            return self._run(dict(inputs), names, rounded)

        def one(example: Tensors) -> dict[str, Any]:
            return self._run(dict(example), names, rounded)

        types = {
            n: tf.TensorSpec(self.graph.type_of(n).shape, self.graph.type_of(n).dtype.value)
            for n in names
        }
        found: dict[str, Any] = tf.map_fn(one, dict(inputs), fn_output_signature=types)
        return found

    def graph_now(self) -> Graph:
        """The graph with the variables' present values."""
        tensors = dict(self.graph.tensors)
        for name, variable in self.variables.items():
            data: Array = np.ascontiguousarray(variable.numpy())
            data.setflags(write=False)
            tensors[name] = replace(tensors[name], data=data)
        return self.graph.replace(tensors=tensors)

    def values(self) -> dict[str, NDArray[np.float32]]:
        """The variables' present values."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def assign(self, values: Mapping[str, Array]) -> None:
        """Gives variables other values."""
        for name, value in values.items():
            self.variables[name].assign(value)

    def _run(
        self, values: dict[str, Any], names: Sequence[str], rounded: Rounded | None
    ) -> dict[str, Any]:
        graph = self.graph
        batch = tf.shape(values[graph.inputs[0]])[0] if self.in_batches and graph.inputs else 1
        for name, tensor in graph.tensors.items():
            if tensor.is_variable and name not in values:
                shape = tensor.type.shape
                rest = [batch, *shape[1:]] if self.in_batches else shape
                values[name] = tf.zeros(rest, tensor.type.dtype.value)
        for name in graph.inputs:
            values[name] = _rounded(rounded, name, values[name])
        needed = _needed(graph, names)
        for node in graph.nodes:
            if node.name not in needed:
                continue
            operands = [self._operand(name, values, rounded) for name in node.inputs]
            result = MEANINGS[node.op](node.attributes, operands)
            results = result if node.op in LISTED else [result]
            for name, value in zip(node.outputs, results, strict=True):
                values[name] = _rounded(rounded, name, value)
        return {name: self._operand(name, values, None) for name in names}

    def _operand(self, name: str, values: Tensors, rounded: Rounded | None) -> Any:
        if name == ABSENT:
            return None
        if name in values:
            return values[name]
        if name in self.variables:
            value = self.variables[name]
            if rounded is not None and name in rounded.weights:
                return _rounded_weights(value, *rounded.weights[name])
            return tf.convert_to_tensor(value)
        return tf.constant(self.graph.constant(name))


def _trained(graph: Graph) -> list[str]:
    found: dict[str, None] = {}
    for node in graph.nodes:
        for index in TRAINED.get(node.op, ()):
            name = node.inputs[index] if index < len(node.inputs) else ABSENT
            data = graph.constant(name)
            if data is not None and data.dtype == np.float32 and data.size > 1:
                found[name] = None
    return list(found)


def _needed(graph: Graph, names: Sequence[str]) -> set[str]:
    """Nodes that tensors depend on."""
    wanted, found = set(names), set()
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            found.add(node.name)
            wanted.update(node.present_inputs)
    return found


def logits_of(graph: Graph) -> tuple[str, str]:
    """The tensor that a loss is taken of, and what stands behind it.

    Returns:
        Its name and ``softmax``, ``logistic`` or ``none``.
    """
    name = graph.outputs[0]
    node: Node | None = graph.producers.get(name)
    while node is not None and node.op == "reshape":
        node = graph.producers.get(node.inputs[0])
    if node is None or node.op not in {"softmax", "logistic"}:
        return name, "none"
    is_plain = getattr(node.attributes, "beta", 1.0) == 1.0
    return (node.inputs[0], node.op) if is_plain else (name, "none")


def _rounded(rounded: Rounded | None, name: str, value: Any) -> Any:
    if rounded is None or name not in rounded.activations or value.dtype != tf.float32:
        return value
    quant, bits = rounded.activations[name], rounded.bits[name]
    scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
    low, high = (-(2 ** (bits - 1)) - zero) * scale, (2 ** (bits - 1) - 1 - zero) * scale
    clipped = tf.clip_by_value(value, low, high)
    # forwards the rounded value, backwards the clipped one's gradient
    return clipped + tf.stop_gradient(tf.round(clipped / scale) * scale - clipped)


def _rounded_weights(value: Any, axis: int | None, bits: int) -> Any:
    others = None if axis is None else [i for i in range(len(value.shape)) if i != axis]
    largest = tf.reduce_max(tf.abs(value), others, keepdims=True)
    scale = tf.stop_gradient(tf.maximum(largest / (2 ** (bits - 1) - 1), 1e-12))
    return value + tf.stop_gradient(tf.round(value / scale) * scale - value)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name) or "constant"
