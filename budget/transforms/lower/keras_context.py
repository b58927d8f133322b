"""What the lowering of every Keras layer works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from budget.errors import UnsupportedModelError
from budget.formats.keras_settings import Settings
from budget.graph.graph import Graph, Node
from budget.graph.types import Array, DType
from budget.transforms.lower.tensorflow_context import Context, Value

Handler = Callable[["Layer"], "Value | tuple[Value, ...]"]


class KerasContext(Context):
    """The canonical graph under construction; reshapes that undo each other are not made."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.keras_version = int(str(graph.extras.get("keras_version", "3")).split(".")[0] or 3)
        self._unshaped: dict[str, Value] = {}
        self._weights: dict[tuple[str, str], str] = {}

    def reshape(self, node: Node, value: Value, shape: tuple[int, ...]) -> Value:
        """Gives a value another shape of as many elements, from where it was shaped last."""
        if isinstance(value, str):
            value = self._unshaped.get(value, value)
        made = super().reshape(node, value, shape)
        if isinstance(made, str) and made != value:
            self._unshaped[made] = value
        return made

    def rename(self, tensor: str, wanted: str) -> str:
        """Gives the tensor made last the name of the output it stands for, if that is free."""
        name = super().rename(tensor, wanted)
        if tensor in self._unshaped:
            self._unshaped[name] = self._unshaped.pop(tensor)
        return name

    def unshaped(self, value: Value) -> Value:
        """The value before its last reshape, if its last dimension is the same."""
        if isinstance(value, np.ndarray):
            return value
        before = self._unshaped.get(value, value)
        return before if self.shape(before)[-1:] == self.shape(value)[-1:] else value

    def weight(self, source: str, form: str, data: Array) -> str:
        """A constant made from a weight of the model; one for all calls of a shared layer."""
        known = self._weights.get((source, form))
        if known is None:
            known = self.builder.constant(self._free_name(source), data)
            self._weights[source, form] = known
        return known


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of a layer, ready to be lowered.

    Attributes:
        c: the graph under construction.
        node: of the source graph.
        settings: the layer's configuration (of the inner layer, for a wrapper).
        inputs: operands and weights; None where a weight is left out.
        names: of the source tensors they came from.
        output: shape of the first output.
    """

    c: KerasContext
    node: Node
    settings: Settings
    inputs: Sequence[Value | None]
    names: Sequence[str]
    output: tuple[int, ...]

    @property
    def x(self) -> Value:
        """The first operand."""
        value = self.inputs[0]
        assert value is not None
        return value

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first operand."""
        return self.c.shape(self.x)

    def weight(
        self, index: int, change: Callable[[Array], Array] = lambda array: array, form: str = ""
    ) -> str | None:
        """Operand ``index``, a constant, in another layout; None if the layer has none.

        Args:
            index: among the inputs.
            change: of the layout.
            form: tells different layouts of one weight apart.
        """
        data = self.inputs[index]
        if data is None:
            return None
        assert isinstance(data, np.ndarray)
        changed = np.ascontiguousarray(change(data))
        return self.c.weight(self.names[index], form, changed.reshape(np.shape(change(data))))

    def emit(self, op: str, *inputs: Value | None, attributes: Any = None) -> str:
        """Adds a canonical node with one output."""
        return self.c.emit_one(self.node, op, inputs, attributes)

    def number(self, value: float) -> Array:
        """A float32 scalar operand."""
        return np.asarray(value, np.float32)

    def real(self, value: Value | None = None) -> Value:
        """The first operand (or a value) as float32."""
        from budget.ops.quantization import ConversionAttributes

        value = self.x if value is None else value
        if self.c.type(value).dtype is DType.FLOAT32:
            return value
        return self.emit("cast", value, attributes=ConversionAttributes(DType.FLOAT32))

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """The value under another shape."""
        return self.c.reshape(self.node, value, tuple(shape))

    def through(self, function: Callable[[Value], Value], value: Value) -> Value:
        """Applies what works element by element or along the last dimension.

        It is applied before a reshape that only added or removed leading dimensions, so that it
        stands next to the layer that it belongs to.
        """
        shape = self.c.shape(value)
        return self.reshape(function(self.c.unshaped(value)), shape)

    def unsupported(self, what: str) -> UnsupportedModelError:
        """An error about this layer."""
        return UnsupportedModelError(what, where=self.settings.where)
