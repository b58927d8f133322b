"""What the lowering of every TensorFlow operator works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from budget.errors import ModelError, UnsupportedModelError
from budget.graph.builder import GraphBuilder
from budget.graph.graph import ABSENT, Graph, Node, Tensor
from budget.graph.types import Array, DType, TensorType
from budget.ops.registry import get

Value = str | Array
"""A tensor of the canonical graph, by name, or a constant that may not be needed there."""

Lowered = Value | tuple[Value, ...]
Handler = Callable[["Context", Node], Lowered]

_MOST_INTEGERS = 1 << 16  # of a shape, a permutation, paddings
NHWC_TO_NCHW = (0, 3, 1, 2)
NCHW_TO_NHWC = (0, 2, 3, 1)


class Context:
    """The canonical graph under construction, and the values of the source graph's tensors."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = GraphBuilder(graph.name)
        self.values: dict[str, Value] = {}
        self.reserved = {name for node in graph.nodes for name in node.outputs}
        self._taken: set[str] = set()
        self._constants: dict[int, tuple[Array, str]] = {}
        self._permuted: dict[tuple[int, tuple[int, ...]], tuple[Array, Array]] = {}

    def nested(self, graph: Graph) -> Context:
        """A context for a body whose nodes become part of the same canonical graph."""
        inner = Context(graph)
        inner.builder, inner._constants = self.builder, self._constants
        inner._taken, inner._permuted = self._taken, self._permuted
        return inner

    def where(self, node: Node) -> str:
        """How errors name a node."""
        return f"{self.graph.source.name or self.graph.name}: node {node.name!r} ({node.op})"

    def unsupported(self, node: Node, what: str) -> UnsupportedModelError:
        """An error about one node."""
        return UnsupportedModelError(what, where=self.where(node))

    def inputs(self, node: Node) -> list[Value]:
        """The values that a node reads."""
        return [self.values[name] for name in node.inputs]

    def constant(self, node: Node, index: int) -> Array:
        """The value of an operand that has to be known before inference.

        Raises:
            UnsupportedModelError: it is computed from the graph's inputs.
        """
        value = self.values[node.inputs[index]] if index < len(node.inputs) else None
        if not isinstance(value, np.ndarray):
            raise self.unsupported(node, f"operand {index} is computed during inference")
        return value

    def integers(self, node: Node, index: int) -> list[int]:
        """A constant operand as a flat list of integers."""
        value = self.constant(node, index)
        if value.size > _MOST_INTEGERS or value.dtype.kind not in "biuf":
            raise self.unsupported(node, f"operand {index} is no list of integers")
        return [int(item) for item in value.ravel()]

    def shape(self, value: Value) -> tuple[int, ...]:
        """Extents of a value."""
        return (
            value.shape if isinstance(value, np.ndarray) else self.builder.tensors[value].type.shape
        )

    def type(self, value: Value) -> TensorType:
        """Type of a value."""
        if isinstance(value, np.ndarray):
            return TensorType(value.shape, DType(value.dtype.name))
        return self.builder.tensors[value].type

    def emit(
        self, node: Node, op: str, inputs: Iterable[Value | None], attributes: Any = None
    ) -> Lowered:
        """Adds a canonical node that does (part of) a source node's work.

        Args:
            node: of the source graph.
            op: canonical operator.
            inputs: operands; None where an optional one is left out.
            attributes: the operator's Attributes; its defaults if None.

        Returns:
            The output, or all outputs if there are several.

        Raises:
            ModelError: the operands do not go together.
        """
        operator = get(op)
        attributes = operator.Attributes() if attributes is None else attributes
        names = [ABSENT if item is None else self.tensor(node, item) for item in inputs]
        types = [None if n == ABSENT else self.builder.tensors[n].type for n in names]
        try:
            inferred = operator.infer(attributes, types)
        except ModelError as error:
            raise type(error)(error.what, where=self.where(node), hint=error.hint) from None
        outputs = []
        for index, output_type in enumerate(inferred):
            wanted = node.outputs[index] if index < len(node.outputs) else node.name
            outputs.append(self.builder.tensor(self._free_name(wanted), output_type))
        self.builder.node(op, names, outputs, attributes, origin=(node.name,))
        return tuple(outputs) if len(outputs) != 1 else outputs[0]

    def emit_one(
        self, node: Node, op: str, inputs: Iterable[Value | None], attributes: Any = None
    ) -> str:
        """`emit` for an operator with one output."""
        output = self.emit(node, op, inputs, attributes)
        assert isinstance(output, str)
        return output

    def tensor(self, node: Node, value: Value) -> str:
        """The canonical tensor of a value; a constant is added on first use."""
        if isinstance(value, str):
            return value
        known = self._constants.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        wanted = next(
            (name for name in node.inputs if self.values.get(name) is value),
            f"{node.name}/constant",
        )
        name = self._free_name(wanted)
        dtype = DType(value.dtype.name) if value.dtype != object else DType.STRING
        self.builder.tensors[name] = Tensor(name, TensorType(value.shape, dtype), value)
        self._constants[id(value)] = (value, name)
        return name

    def rename(self, tensor: str, wanted: str) -> str:
        """Gives the tensor made last the name of the output it stands for, if that is free."""
        if wanted in self.builder.tensors or tensor in self.graph.inputs:
            return tensor
        node = self.builder.nodes[-1]
        if tensor not in node.outputs:
            return tensor
        old = self.builder.tensors.pop(tensor)
        self.builder.tensors[wanted] = Tensor(wanted, old.type)
        self.builder.nodes.pop()
        self.builder.node(
            node.op,
            node.inputs,
            tuple(wanted if name == tensor else name for name in node.outputs),
            node.attributes,
            origin=node.origin,
        )
        return wanted

    def permute(self, node: Node, value: Value, perm: tuple[int, ...]) -> Value:
        """Transposes a constant at once, and anything else when the graph runs."""
        from budget.ops.shaping import TransposeAttributes

        if isinstance(value, np.ndarray):
            # what several nodes read stays one constant
            known = self._permuted.get((id(value), perm))
            if known is None or known[0] is not value:
                known = (value, np.ascontiguousarray(value.transpose(perm)))
                self._permuted[id(value), perm] = known
            return known[1]
        return self.emit_one(node, "transpose", [value], TransposeAttributes(perm))

    def reshape(self, node: Node, value: Value, shape: tuple[int, ...]) -> Value:
        """Gives a value another shape of as many elements."""
        from budget.ops.shaping import ReshapeAttributes

        if isinstance(value, np.ndarray):
            return value.reshape(shape)
        if self.shape(value) == shape:
            return value
        return self.emit_one(node, "reshape", [value], ReshapeAttributes(shape))

    def _free_name(self, wanted: str) -> str:
        """Names of source tensors stay free for the node that ends in them."""
        name = wanted
        if name in self.builder.tensors or name in self._taken:
            name = self.builder.unique_name(f"{wanted}/part" if wanted in self.reserved else wanted)
        self._taken.add(name)
        return name


def attribute(node: Node, name: str, default: Any) -> Any:
    """An attribute of a source node; text is decoded."""
    value = node.attributes.get(name, default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis
