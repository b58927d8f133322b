"""TensorFlow's loops: recurrent layers are recognised, others are unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from budget.graph.graph import Graph, Node
from budget.graph.types import DType, TensorType
from budget.transforms.lower.cells import Cell, recognise
from budget.transforms.lower.recurrent import emit_recurrent
from budget.transforms.lower.tensorflow_context import Context, Value

MAX_TRIPS = 20_000
MAX_UNROLLED_NODES = 20_000
MAX_VISITS = 100_000
"""Nodes of bodies that are looked at for all loops of a model, those inside others included."""


@dataclass(slots=True, eq=False)
class TensorList:
    """The value of a list of tensors; it exists while lowering only.

    Attributes:
        items: elements; None for one that was reserved and not yet set.
        whole: all of them stacked, where that is a tensor already.
        shape: of an element.
        written: of a list inside a step: the index and the element that the step sets.
    """

    items: tuple[Any, ...]
    whole: Value | None = None
    shape: tuple[int, ...] = ()
    written: tuple[Any, Any] | None = None


# --- lists of tensors -----------------------------------------------------------------------------
def reserve(c: Context, node: Node) -> Any:
    """A list of elements that are zero until they are set."""
    shape = tuple(c.integers(node, 0))
    count = c.integers(node, 1)[0]
    if not 0 <= count <= MAX_TRIPS:
        raise c.unsupported(node, f"a list of {count} tensors")
    return TensorList((None,) * count, shape=shape)


def from_tensor(c: Context, node: Node) -> Any:
    """The slices of a tensor along its first dimension."""
    whole = c.values[node.inputs[0]]
    shape = c.shape(whole)
    if shape[0] > MAX_TRIPS:
        raise c.unsupported(node, f"a list of {shape[0]} tensors")
    return TensorList((None,) * shape[0], whole, shape[1:])


def get_item(c: Context, node: Node) -> Any:
    """One element."""
    found: Any = c.values[node.inputs[0]]
    if isinstance(found, Stream):
        return found.element(c.values[node.inputs[1]])
    return element(c, node, found, c.integers(node, 1)[0])


def element(c: Context, node: Node, found: TensorList, index: int) -> Value:
    """An element of a list as a value of the graph."""
    if not 0 <= index < len(found.items):
        raise c.unsupported(node, f"element {index} of a list of {len(found.items)}")
    if found.items[index] is not None:
        item: Value = found.items[index]
        return item
    if found.whole is None:
        return np.zeros([max(extent, 1) for extent in found.shape], np.float32)
    if isinstance(found.whole, np.ndarray):
        return np.asarray(found.whole[index])
    from budget.ops.shaping import SliceAttributes

    shape = c.shape(found.whole)
    begin = (index, *(0 for _ in shape[1:]))
    cut = c.emit_one(node, "slice", [found.whole], SliceAttributes(begin, (1, *shape[1:])))
    return c.reshape(node, cut, shape[1:])


def set_item(c: Context, node: Node) -> Any:
    """A list with another element."""
    found: Any = c.values[node.inputs[0]]
    index, value = c.values[node.inputs[1]], c.values[node.inputs[2]]
    if not isinstance(index, np.ndarray):
        return TensorList(found.items, found.whole, found.shape, (index, value))
    place = int(index.ravel()[0])
    if not 0 <= place < len(found.items):
        raise c.unsupported(node, f"element {place} of a list of {len(found.items)}")
    items = tuple(value if i == place else item for i, item in enumerate(found.items))
    return TensorList(items, found.whole, found.shape, (index, value))


def stack(c: Context, node: Node) -> Any:
    """All elements along a new first dimension."""
    from budget.ops.shaping import PackAttributes

    found: Any = c.values[node.inputs[0]]
    if found.whole is not None and not any(item is not None for item in found.items):
        return found.whole
    items = [element(c, node, found, index) for index in range(len(found.items))]
    if len(items) == 1:
        return c.reshape(node, items[0], (1, *c.shape(items[0])))
    if all(isinstance(item, np.ndarray) for item in items):
        return np.stack([np.asarray(item) for item in items])
    return c.emit_one(node, "pack", items, PackAttributes(0))


def length(c: Context, node: Node) -> Any:
    """The number of elements."""
    found: Any = c.values[node.inputs[0]]
    return np.asarray(len(found.items), np.int32)


HANDLERS: dict[str, Any] = {
    "TensorListReserve": reserve,
    "TensorListFromTensor": from_tensor,
    "TensorListGetItem": get_item,
    "TensorListSetItem": set_item,
    "TensorListStack": stack,
    "TensorListLength": length,
}


# --- loops ----------------------------------------------------------------------------------------
class Runner(Protocol):
    """How the lowering of a dialect runs the condition or the body of a loop.

    `run` lowers a body with the given arguments into a context and returns its results; `constants`
    gives those of the wanted results that follow from constant arguments, by index.
    """

    def run(self, body: Graph, arguments: Sequence[Any], c: Context) -> list[Any]:
        """Results of a body, whose nodes become part of the context's graph."""
        ...

    def constants(
        self, body: Graph, arguments: Sequence[Any], wanted: Sequence[int]
    ) -> dict[int, Any]:
        """Results that are known beforehand."""
        ...


def lower_loop(
    c: Context, node: Node, cond: Graph, body: Graph, values: Sequence[Any], runner: Runner
) -> list[Any]:
    """The results of a loop: of a recurrent layer, or of its body as often as it runs.

    Raises:
        UnsupportedModelError: nothing says how often it runs, or that is very often.
    """
    trips = _counters(c, node, cond, body, values, runner)
    layer = _Layer(c, node, body, values, runner, trips).emit()
    if layer is not None:
        return layer
    if (len(trips) - 1) * max(len(body.nodes), 1) > MAX_UNROLLED_NODES:
        raise c.unsupported(
            node, f"a loop of {len(trips) - 1} times {len(body.nodes)} nodes is too long to unroll"
        )
    current = list(values)
    for _ in trips[1:]:
        current = runner.run(body, current, c)
    return current


def _counters(
    c: Context, node: Node, cond: Graph, body: Graph, values: Sequence[Any], runner: Runner
) -> list[list[Any]]:
    """What is known of the loop's variables before each trip and after the last."""
    current = [value if isinstance(value, np.ndarray) else None for value in values]
    found = [current]
    while True:
        goes_on = runner.constants(cond, current, [0]).get(0)
        if goes_on is None:
            raise c.unsupported(node, "nothing in the model says how often the loop runs")
        if not bool(np.asarray(goes_on).ravel()[0]):
            return found
        if len(found) > MAX_TRIPS:
            raise c.unsupported(node, f"the loop runs more than {MAX_TRIPS:,} times")
        # what is not known stays so: states need no more than one look at the body
        known = [index for index, value in enumerate(current) if value is not None]
        following = runner.constants(body, current, known)
        current = [following.get(index) for index in range(len(current))]
        found.append(current)


class _Layer:
    """A loop taken for a recurrent layer."""

    def __init__(
        self,
        c: Context,
        node: Node,
        body: Graph,
        values: Sequence[Any],
        runner: Runner,
        trips: Sequence[Sequence[Any]],
    ) -> None:
        self.c, self.node, self.body, self.values = c, node, body, list(values)
        self.runner, self.trips = runner, trips
        self.count = len(trips) - 1

    def emit(self) -> list[Any] | None:
        """The loop's results; None if it is no layer that is known."""
        if self.count < 1:
            return None
        scratch = Context(self.body)
        arguments, states, lists = self._symbols(scratch)
        if not states or not lists:
            return None
        results = self.runner.run(self.body, arguments, scratch)
        reads = [item for item in arguments if isinstance(item, Stream) and item.read is not None]
        following = [results[index] for index in states]
        if len(reads) != 1 or not all(isinstance(item, str) for item in following):
            return None
        if not self._counts_up(reads[0].index, arguments):
            return None
        cell = recognise(
            scratch.builder.tensors,
            scratch.builder.nodes,
            str(reads[0].read),
            [arguments[index] for index in states],
            following,
        )
        if cell is None:
            return None
        return self._results(cell, states, reads[0], arguments, results, following)

    def _symbols(self, scratch: Context) -> tuple[list[Any], list[int], list[int]]:
        """A stand-in for each argument; which are states, which are lists to read."""
        arguments: list[Any] = []
        states, lists = [], []
        for index, (value, before, after) in enumerate(zip(self.values, *self._known())):
            unchanged = self.body.outputs[index] == self.body.inputs[index]
            if isinstance(value, TensorList):
                arguments.append(Stream(scratch, value, f"list_{index}"))
                lists.append(index)
                continue
            type = self.c.type(value)
            is_counter = before is not None and after is not None and not type.dtype.is_float
            if is_counter and not np.array_equal(before, after):
                arguments.append(scratch.builder.input(f"counter_{index}", type))
            elif isinstance(value, np.ndarray) and (
                unchanged or (after is not None and np.array_equal(before, after))
            ):
                arguments.append(value)
            else:
                name = scratch.builder.input(f"argument_{index}", type)
                arguments.append(name)
                if type.dtype is DType.FLOAT32 and not unchanged:
                    states.append(index)
        return arguments, states, lists

    def _known(self) -> tuple[Sequence[Any], Sequence[Any]]:
        return self.trips[0], self.trips[1]

    def _counts_up(self, index: Any, arguments: Sequence[Any]) -> bool:
        """Whether an index is a variable of the loop that counts its trips from 0."""
        if not isinstance(index, str) or index not in arguments:
            return False
        place = list(map(str, arguments)).index(index)
        seen = [trip[place] for trip in self.trips[:-1]]
        return all(
            item is not None and int(np.asarray(item).ravel()[0]) == trip
            for trip, item in enumerate(seen)
        )

    def _results(
        self,
        cell: Cell,
        states: Sequence[int],
        source: Stream,
        arguments: Sequence[Any],
        results: Sequence[Any],
        following: Sequence[Any],
    ) -> list[Any] | None:
        x = source.list.whole
        if x is None or len(source.list.items) != self.count:
            return None
        output = following[cell.states[0]]
        writes = {
            index: item.written
            for index, item in enumerate(results)
            if isinstance(item, TensorList) and item.written is not None
        }
        for index, value in writes.values():
            if value != output:
                return None
            if isinstance(index, str) and not self._counts_up(index, arguments):
                return None
        chosen = [self.values[states[index]] for index in cell.states]
        operands = [x, *cell.weights, *map(_unless_zero, chosen)]
        attributes = {**cell.attributes, "time_major": True, "sequences": True}
        if not any(isinstance(index, str) for index, _ in writes.values()):
            attributes["sequences"] = False
        y, *last = emit_recurrent(self.c, self.node, cell.op, operands, attributes)
        final: list[Any] = []
        for index, value in enumerate(self.values):
            if index in states:
                place = [states[item] for item in cell.states].index(index)
                final.append(y if place == 0 and not attributes["sequences"] else last[place])
            elif index in writes:
                final.append(self._written(writes[index][0], y, value))
            else:
                known = self.trips[-1][index]
                final.append(value if known is None else known)
        return final

    def _written(self, index: Any, y: Value, before: TensorList) -> TensorList:
        if isinstance(index, str):
            return TensorList((None,) * self.count, y, before.shape)
        place = int(np.asarray(index).ravel()[0])
        items = tuple(y if i == place else item for i, item in enumerate(before.items))
        return TensorList(items, before.whole, before.shape)


class Stream(TensorList):
    """A list of which a step reads one element; it remembers which."""

    __slots__ = ("index", "list", "name", "read", "scratch")

    def __init__(self, scratch: Context, found: TensorList, name: str) -> None:
        super().__init__(found.items, None, found.shape)
        self.scratch, self.list, self.name = scratch, found, name
        self.read: Value | None = None
        self.index: Any = None

    def element(self, index: Any) -> Value:
        """The stand-in for the element at ``index``."""
        same = isinstance(index, str) and self.index == index
        if self.read is None or not same:
            builder = self.scratch.builder
            name = builder.unique_name(f"{self.name}_element")
            self.read = builder.input(name, TensorType(self.list.shape, DType.FLOAT32))
            self.index = index
        return self.read


def _unless_zero(state: Any) -> Any:
    """A state that begins with zeros need not be given."""
    return None if isinstance(state, np.ndarray) and not state.any() else state
