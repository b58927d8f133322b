"""Rules of the dialect ``tfl`` for loops: recurrent layers are recognised, others are unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from budget.graph import ABSENT, Array, DType, Graph, Node, Tensor
from budget.transforms.lower.cells import Cell, recognise
from budget.transforms.lower.recurrent import STATE_COUNTS
from budget.transforms.lower.tflite import Lowering, Refused, Rule
from budget.transforms.lower.tflite_elementwise import check_operands

MAX_TRIPS = 20_000
MAX_UNROLLED_NODES = 20_000
MAX_VISITS = 100_000
"""Nodes of bodies that are looked at for all loops of a model, those inside others included."""


def _while(lowering: Lowering, node: Node) -> None:
    if len(node.subgraphs) not in (1, 2):
        raise Refused("it has no condition and body")
    bodies = {graph.name: graph for graph in lowering.graph.walk()}
    bodies.update({graph.name: graph for part in lowering.bodies for graph in part.walk()})
    cond, body = bodies[node.subgraphs[0]], bodies[node.subgraphs[-1]]
    if not len(node.inputs) == len(node.outputs) == len(body.inputs) == len(body.outputs):
        raise Refused("its variables and those of its body differ in number")
    if ABSENT in node.inputs or len(cond.inputs) != len(node.inputs) or len(cond.outputs) != 1:
        raise Refused("its condition does not take its variables")
    _Loop(lowering, node, cond, body).lower()


class _Loop:
    def __init__(self, lowering: Lowering, node: Node, cond: Graph, body: Graph) -> None:
        self.lowering, self.node, self.cond, self.body = lowering, node, cond, body
        self.known: list[Array | None] = [lowering.tensors[name].data for name in node.inputs]
        self.trips = self._counters()
        self.count = len(self.trips) - 1

    def lower(self) -> None:
        """Emits the layer, or the body as often as it runs."""
        if self.count and self._layer():
            return
        if self.count * len(self.body.nodes) > MAX_UNROLLED_NODES:
            raise Refused(f"{self.count} times {len(self.body.nodes)} nodes are too many to unroll")
        current = list(self.node.inputs)
        for trip in range(self.count):
            current = _inline(self.lowering, self.body, current, f"{self.node.name}/{trip}")
        for name, out in zip(current, self.node.outputs):
            self._hand_on(name, out)

    def _counters(self) -> list[list[Array | None]]:
        """What is known of the loop's variables before each trip and after the last."""
        fixed = [a == b for a, b in zip(self.body.inputs, self.body.outputs)]
        current = list(self.known)
        found = [current]
        while True:
            goes_on = _constants(self.lowering, self.cond, current, [0]).get(0)
            if goes_on is None:
                raise Refused("nothing in the model says how often it runs")
            if not bool(goes_on.reshape(-1)[0]):
                return found
            if len(found) > MAX_TRIPS:
                raise Refused(f"it runs more than {MAX_TRIPS:,} times")
            # what is not known stays so: states need no more than one look at the body
            known = [i for i, value in enumerate(current) if value is not None and not fixed[i]]
            following = _constants(self.lowering, self.body, current, known)
            current = [
                old if is_fixed else following.get(index)
                for index, (old, is_fixed) in enumerate(zip(current, fixed))
            ]
            found.append(current)

    # --- recurrent layers ---------------------------------------------------------------------
    def _layer(self) -> bool:
        """Whether the loop is a recurrent layer, which is then emitted."""
        body, lowering = self.body, self.lowering
        reads = [node for node in body.nodes if self._is_read(node)]
        if len({node.inputs for node in reads}) != 1:
            return False
        sources = {name: self.node.inputs[i] for i, name in enumerate(body.inputs)}
        source = sources[reads[0].inputs[0]]
        if lowering.type(source).shape[:1] != (self.count,):
            return False
        elements = {out for node in reads for out in node.outputs}
        scratch = self._scratch(elements)
        states, lists = [], {}
        for index, (name, out) in enumerate(zip(body.inputs, body.outputs)):
            if name == out or body.type_of(name).dtype is not DType.FLOAT32:
                continue
            written = _written(body, name, out, self._counting())
            if written is None:
                states.append(index)
            else:
                lists[index] = written
        if len(elements) != 1 or not lists:
            return False
        cell = recognise(
            scratch.tensors,
            scratch.nodes,
            elements.pop(),
            [body.inputs[index] for index in states],
            [body.outputs[index] for index in states],
        )
        if cell is None:
            return False
        output = body.outputs[states[cell.states[0]]]
        if any(item != output for item, _ in lists.values()) or len(lists) != 1:
            return False
        self._emit(cell, states, source, lists)
        return True

    def _scratch(self, elements: set[str]) -> Lowering:
        """The step in canonical operators, as far as it has any."""
        scratch = Lowering(self.body)
        for name, data in zip(self.body.inputs, self.trips[-1]):
            is_fixed = name in self.body.outputs and data is not None
            if is_fixed and self.body.outputs[self.body.inputs.index(name)] == name:
                _set(scratch, name, data)
        for index, node in enumerate(self.body.nodes):
            if not elements.intersection(node.outputs):
                scratch.lower_node(index, node)
        return scratch

    def _counting(self) -> set[str]:
        """Variables of the body that count its trips from 0."""
        found = set()
        for index, name in enumerate(self.body.inputs):
            seen = [trip[index] for trip in self.trips[:-1]]
            if all(
                item is not None and item.size == 1 and int(item.reshape(-1)[0]) == trip
                for trip, item in enumerate(seen)
            ):
                found.add(name)
        return found

    def _is_read(self, node: Node) -> bool:
        if node.op != "tfl.GATHER" or node.attributes.get("axis", 0):
            return False
        fixed = {a for a, b in zip(self.body.inputs, self.body.outputs) if a == b}
        return node.inputs[0] in fixed and node.inputs[1] in self._counting()

    def _emit(
        self, cell: Cell, states: Sequence[int], source: str, lists: dict[int, tuple[str, bool]]
    ) -> None:
        lowering, node = self.lowering, self.node
        ((place, (_, is_sequence)),) = lists.items()
        operands = [source]
        for index, data in enumerate(cell.weights):
            if data is None:
                operands.append(ABSENT)
                continue
            array = np.ascontiguousarray(data)
            type = _type_of(array)
            operands.append(
                lowering.add_tensor(f"{node.name}/{cell.op}/weights_{index}", type, array)
            )
        last = []
        for index in cell.states:
            known = self.known[states[index]]
            is_zero = known is not None and not known.any()
            operands.append(ABSENT if is_zero else node.inputs[states[index]])
            last.append(node.outputs[states[index]])
        assert len(last) == STATE_COUNTS[cell.op]
        y = node.outputs[place]
        if not is_sequence:
            y = lowering.add_tensor(f"{node.name}/{cell.op}", lowering.type(last[0]))
        attributes = {**cell.attributes, "time_major": True, "sequences": is_sequence}
        lowering.emit(cell.op, operands, (y, *last), node, **attributes)
        for index, out in enumerate(node.outputs):
            if index == place and not is_sequence:
                self._hand_on(y, out)
            elif index != place and out not in last:
                known = self.trips[-1][index]
                if known is not None:
                    lowering.fold_to(out, known)
                else:
                    self._hand_on(node.inputs[index], out)

    def _hand_on(self, name: str, out: str) -> None:
        """Gives a value the name of one of the loop's results."""
        tensor = self.lowering.tensors[name]
        if tensor.data is not None:
            self.lowering.fold_to(out, tensor.data)
        elif self._is_used(out):
            shape = self.lowering.type(out).shape
            self.lowering.emit("reshape", (name,), (out,), self.node, shape=shape)

    def _is_used(self, out: str) -> bool:
        graph = self.lowering.graph
        return out in graph.consumers or out in graph.outputs or out not in graph.tensors


def _type_of(array: Array) -> Any:
    from budget.graph import TensorType

    return TensorType(tuple(array.shape), DType(array.dtype.name))


def _written(body: Graph, name: str, out: str, counting: set[str]) -> tuple[str, bool] | None:
    """What a step writes into a list, and whether at its own place; None if it writes none.

    TensorFlow's converter makes of a write into a list of tensors: what lies before the place, the
    element, and what lies behind it, joined; of a list of one only the element.
    """
    node = body.producers.get(out)
    if node is None:
        return None
    if node.op == "tfl.CONCATENATION" and len(node.inputs) == 3:
        before, element, behind = (body.producers.get(item) for item in node.inputs)
        slices = [item for item in (before, behind) if item is not None]
        if len(slices) == 2 and all(
            item.op == "tfl.SLICE" and item.inputs[0] == name for item in slices
        ):
            return (element.inputs[0], True) if element and element.op == "tfl.RESHAPE" else None
    shape = body.type_of(out).shape
    if node.op == "tfl.RESHAPE" and shape[:1] == (1,) and len(shape) == 3:
        is_read = any(name in other.inputs for other in body.nodes)
        return None if is_read else (node.inputs[0], False)
    return None


# --- bodies ---------------------------------------------------------------------------------------
def _set(lowering: Lowering, name: str, data: Array | None) -> None:
    tensor = lowering.tensors[name]
    if data is not None:
        type = tensor.type.with_shape(tuple(data.shape))
        lowering.tensors[name] = replace(tensor, type=type, data=data)


def _visit(lowering: Lowering, count: int) -> None:
    lowering.visits += count
    if lowering.visits > MAX_VISITS:
        raise Refused("the model's loops take too many steps")


def _constants(
    outer: Lowering, body: Graph, arguments: Sequence[Array | None], wanted: Sequence[int]
) -> dict[int, Array]:
    """Those of the wanted results of a body that are constants if only some arguments are."""
    from budget.transforms.lower.tflite_folding import fold

    names = [body.outputs[index] for index in wanted]
    needed = body.needed(names)
    _visit(outer, 1 + len(needed))
    lowering = Lowering(body)
    for name, data in zip(body.inputs, arguments):
        _set(lowering, name, data)
    for node in body.nodes:
        known = all(lowering.tensors[name].data is not None for name in node.present_inputs)
        if node.name in needed and known:
            fold(lowering, node, node.op.removeprefix("tfl."))
    found = {index: lowering.tensors[name].data for index, name in zip(wanted, names)}
    return {index: data for index, data in found.items() if data is not None}


def _inline(lowering: Lowering, body: Graph, arguments: Sequence[str], prefix: str) -> list[str]:
    """Lowers a body with the given arguments; names of its results."""
    _visit(lowering, len(body.nodes))
    names = dict(zip(body.inputs, arguments))
    for name, tensor in body.tensors.items():
        if name in names:
            continue
        if tensor.is_constant:
            shared = f"{body.name}/{name}"
            lowering.tensors.setdefault(shared, replace(tensor, name=shared))
            names[name] = shared
        else:
            names[name] = lowering.add_tensor(f"{prefix}/{name}", tensor.type)
    empty: set[str] = set()
    lowering.bodies.append(body)
    for index, node in enumerate(body.nodes):
        if _leaves_nothing(lowering, node, names, empty):
            continue
        inputs = tuple(
            ABSENT if item == ABSENT else names[item]
            for item in node.inputs
            if item == ABSENT or names[item] not in empty
        )
        if node.op == "tfl.CONCATENATION" and len(inputs) == 1 and len(node.inputs) > 1:
            names[node.outputs[0]] = inputs[0]
            continue
        outputs = tuple(names[item] for item in node.outputs)
        copy = replace(node, name=f"{prefix}/{node.name}", inputs=inputs, outputs=outputs)
        lowering.lower_node(index, replace(copy, origin=(node.name,)))
    lowering.bodies.pop()
    return [names[name] for name in body.outputs]


def _leaves_nothing(lowering: Lowering, node: Node, names: dict[str, str], empty: set[str]) -> bool:
    """Whether a node cuts out a piece without elements, which is then noted."""
    if node.op != "tfl.SLICE" or len(node.inputs) != 3:
        return False
    x, begin, size = (lowering.tensors[names[item]] for item in node.inputs)
    if begin.data is None or size.data is None:
        return False
    extents = [
        extent - first if count < 0 else count
        for extent, first, count in zip(
            x.type.shape, begin.data.reshape(-1).tolist(), size.data.reshape(-1).tolist()
        )
    ]
    out = names[node.outputs[0]]
    if 0 in extents:
        empty.add(out)
        return True
    # the file states 1 where the converter did not know
    tensor = lowering.tensors[out]
    lowering.tensors[out] = Tensor(out, tensor.type.with_shape(tuple(extents)))
    return False


def _reverse(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    shape = lowering.type(node.inputs[0]).shape
    axes = {lowering.axis(axis, len(shape)) for axis in lowering.integers(node, 1, "dimension")}
    lowering.emit(
        "strided_slice",
        node.inputs[:1],
        node.outputs,
        node,
        begin=tuple(n - 1 if d in axes else 0 for d, n in enumerate(shape)),
        end=tuple(-1 if d in axes else n for d, n in enumerate(shape)),
        stride=tuple(-1 if d in axes else 1 for d in range(len(shape))),
    )


RULES: dict[str, Rule] = {"WHILE": _while, "REVERSE_V2": _reverse}
