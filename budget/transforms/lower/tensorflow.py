"""TensorFlow graphs to canonical operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from budget.errors import ModelError, UnsupportedModelError
from budget.graph.graph import Graph, Node
from budget.graph.verifier import verify
from budget.transforms.lower import (
    tensorflow_elementwise,
    tensorflow_fused,
    tensorflow_layers,
    tensorflow_loops,
    tensorflow_shapes,
)
from budget.transforms.lower.folding import fold_affine
from budget.transforms.lower.fusion import fuse
from budget.transforms.lower.reshapes import sink_reshapes
from budget.transforms.lower.tensorflow_context import Context, Handler, Value
from budget.transforms.lower.tensorflow_evaluate import SHAPE_EVALUATORS, evaluate
from budget.transforms.lower.tensorflow_patterns import merge_patterns
from budget.transforms.lower.transposes import cancel_transposes

_HANDLERS: dict[str, Handler] = {
    **tensorflow_layers.HANDLERS,
    **tensorflow_elementwise.HANDLERS,
    **tensorflow_fused.HANDLERS,
    **tensorflow_shapes.HANDLERS,
    **tensorflow_loops.HANDLERS,
}
_LOOPS = ("While", "StatelessWhile")
_TRANSPARENT = frozenset(
    (
        "Identity", "IdentityN", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot",
        "EnsureShape", "PlaceholderWithDefault", "ReadVariableOp",
    )
)  # fmt: skip


_ASSIGNMENTS = frozenset(
    f"tf.{name}"
    for name in (
        "Assign", "AssignAdd", "AssignSub", "AssignVariableOp", "AssignAddVariableOp",
        "AssignSubVariableOp", "ResourceScatterUpdate", "ScatterUpdate",
    )
)  # fmt: skip


class _Dead:
    """The value of a branch that a constant condition never takes."""


class _Unknown:
    """The value of a node that cannot be lowered."""


def lower_tensorflow(graph: Graph, *, as_is: bool = False) -> Graph:
    """Makes a canonical graph of a graph in the dialect ``tf``.

    Constants are folded, images get the layout NHWC and explicit padding. Unless told otherwise
    the graph is also made as it would be deployed: batch norms and biases in the weights,
    activations fused.

    Args:
        graph: as a reader made it; variables have to be constants.
        as_is: keeps batch norms, biases and activations as operators of their own.

    Returns:
        The canonical graph; inputs keep their names, and so does every tensor that still exists.

    Raises:
        UnsupportedModelError: it has operators that are not known here; all of them are listed.
        ModelError: operands do not go together.
    """
    lowered = verify(cancel_transposes(_Lowering(merge_patterns(graph)).run()))
    return lowered if as_is else verify(fuse(fold_affine(sink_reshapes(lowered))))


class _Lowering:
    def __init__(self, graph: Graph, visits: list[int] | None = None) -> None:
        self.graph = graph
        self.visits = [0] if visits is None else visits  # one count for loops inside loops
        self.context = Context(graph)
        self.values: dict[str, Any] = self.context.values
        self.problems: dict[str, list[str]] = {}
        self.errors: list[ModelError] = []

    def run(self) -> Graph:
        graph, builder = self.graph, self.context.builder
        for tensor in graph.constants:
            self.values[tensor.name] = tensor.data
        for name in graph.inputs:
            builder.input(name, graph.type_of(name))
            self.values[name] = name
        needed = graph.needed(graph.outputs)
        for node in graph.nodes:
            if node.name in needed:
                self._lower(node)
        # what an inference leaves behind for the next one must not get lost
        effects = graph.needed(graph.outputs, with_controls=True) - needed
        for node in graph.nodes:
            if node.name in effects and node.op in _ASSIGNMENTS:
                self._cannot(node)
        self._report()
        for name in graph.outputs:
            builder.output(self._output(name))
        return builder.build(graph.source)

    def _lower(self, node: Node) -> None:
        values = [self.values[name] for name in node.inputs]
        kind = node.op.removeprefix("tf.")
        if kind == "Merge":
            live = [value for value in values if not isinstance(value, _Dead)]
            self._store(node, live[:1] if len(live) == 1 else [_Unknown()])
            if len(live) > 1:
                self._cannot(node)
        elif any(isinstance(value, _Dead) for value in values):
            self._store(node, [_Dead()] * len(node.outputs))
        elif any(isinstance(value, _Unknown) for value in values):
            if not self._knows(kind):
                self._cannot(node)
            self._store(node, [_Unknown()] * len(node.outputs))
        else:
            self._lower_known(node, kind, values)

    def _lower_known(self, node: Node, kind: str, values: list[Value]) -> None:
        if kind in _TRANSPARENT:
            self._store(node, values)
        elif kind in _LOOPS and len(node.subgraphs) == 2:
            self._loop(node, values)
        elif kind == "Switch" and isinstance(values[1], np.ndarray):
            taken = bool(values[1])
            self._store(node, [_Dead(), values[0]] if taken else [values[0], _Dead()])
        elif kind in SHAPE_EVALUATORS:
            self._attempt(node, lambda: self._from_shapes(node, kind, values[:1]))
        elif kind == "ShapeN":
            self._attempt(node, lambda: self._from_shapes(node, "Shape", values))
        else:
            constants = [value for value in values if isinstance(value, np.ndarray)]
            folded = evaluate(node, constants) if len(constants) == len(values) else None
            if folded is not None:
                self._store(node, list(folded))
            elif kind in _HANDLERS:
                self._handle(node, kind)
            else:
                self._cannot(node)
                self._store(node, [_Unknown()] * len(node.outputs))

    def _loop(self, node: Node, values: list[Value]) -> None:
        cond, body = (self.graph.subgraphs[name] for name in node.subgraphs)
        self._attempt(
            node,
            lambda: tuple(
                tensorflow_loops.lower_loop(self.context, node, cond, body, values, _Runner(self))
            ),
        )

    def run_body(
        self, context: Context, arguments: Sequence[Any], outputs: Sequence[str] | None = None
    ) -> list[Any]:
        """Lowers all that some results, or all, need into a context, with given arguments."""
        values: dict[str, Any] = context.values
        self.context, self.values = context, values
        outputs = self.graph.outputs if outputs is None else outputs
        needed = self.graph.needed(outputs)
        self.visits[0] += 1 + len(needed)
        if self.visits[0] > tensorflow_loops.MAX_VISITS:
            raise UnsupportedModelError(
                "the model's loops take too many steps",
                hint="a .keras file names its recurrent layers, whose steps need no counting",
            )
        for tensor in self.graph.constants:
            values[tensor.name] = tensor.data
        for name, value in zip(self.graph.inputs, arguments, strict=True):
            self.values[name] = _Unknown() if value is None else value
        for node in self.graph.nodes:
            if node.name in needed:
                self._lower(node)
        return [self.values[name] for name in outputs]

    def _from_shapes(self, node: Node, kind: str, values: Sequence[Value]) -> tuple[Value, ...]:
        of = SHAPE_EVALUATORS[kind]
        return tuple(of(node.attributes, self.context.shape(value)) for value in values)

    def _handle(self, node: Node, kind: str) -> None:
        self._attempt(node, lambda: _HANDLERS[kind](self.context, node))

    def _attempt(self, node: Node, work: Callable[[], Any]) -> None:
        try:
            result = work()
        except ModelError as error:
            self.errors.append(
                error
                if error.where
                else type(error)(error.what, where=self.context.where(node), hint=error.hint)
            )
            self._store(node, [_Unknown()] * len(node.outputs))
        except (ValueError, IndexError, TypeError, KeyError, OverflowError) as error:
            # attributes or operands that no sound file has: wrong ranks, counts, names
            self.errors.append(
                ModelError(
                    f"its operands or attributes make no sense ({error})",
                    where=self.context.where(node),
                )
            )
            self._store(node, [_Unknown()] * len(node.outputs))
        else:
            self._store(node, list(result) if isinstance(result, tuple) else [result])

    def _store(self, node: Node, values: list[Any]) -> None:
        for index, name in enumerate(node.outputs):
            value = values[index] if index < len(values) else _Unknown()
            if isinstance(value, str) and value != name and index == 0:
                value = self._named(value, name)
            self.values[name] = value

    def _named(self, value: str, name: str) -> str:
        """The node's own name for what its last part computes."""
        if value in self.values:
            return value
        return self.context.rename(value, name)

    def _knows(self, kind: str) -> bool:
        return (
            kind in _HANDLERS
            or kind in _TRANSPARENT
            or kind in SHAPE_EVALUATORS
            or kind in ("Switch", "Merge", "ShapeN", "Prod", "Fill", "Range", *_LOOPS)
        )

    def _cannot(self, node: Node) -> None:
        self.problems.setdefault(node.op, []).append(node.name)

    def _report(self) -> None:
        where = self.graph.source.name or self.graph.name
        if self.problems:
            parts = []
            for op, names in sorted(self.problems.items()):
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                parts.append(f"{op} ({', '.join(names[:5])}{more})")
            parts += [str(error) for error in self.errors]
            raise UnsupportedModelError(
                f"operators that are not known here: {'; '.join(parts)}",
                where=where,
                hint="cut them off with --inputs and --outputs, or export the model without them",
            )
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise UnsupportedModelError("; ".join(map(str, self.errors)), where=where)

    def _output(self, name: str) -> str:
        value = self.values[name]
        if isinstance(value, (_Dead, _Unknown)):
            raise UnsupportedModelError(
                f"output {name!r} is never computed", where=self.graph.source.name
            )
        if isinstance(value, np.ndarray):
            return self.context.builder.constant(
                self.context.builder.unique_name(name), np.asarray(value)
            )
        return str(value)


class _Runner(tensorflow_loops.Runner):
    """Runs bodies of loops for a lowering."""

    def __init__(self, outer: _Lowering) -> None:
        self.outer = outer

    def run(self, body: Graph, arguments: Sequence[Any], c: Context) -> list[Any]:
        """Results of a body; what it holds that is unknown is the whole model's problem."""
        inner = _Lowering(body, self.outer.visits)
        results = inner.run_body(c.nested(body), arguments)
        if c.builder is self.outer.context.builder:
            for op, names in inner.problems.items():
                self.outer.problems.setdefault(op, []).extend(names)
            self.outer.errors += inner.errors
        return results

    def constants(
        self, body: Graph, arguments: Sequence[Any], wanted: Sequence[int]
    ) -> dict[int, Any]:
        """Those of the wanted results that are constants if only some arguments are."""
        names = [body.outputs[index] for index in wanted]
        results = _Lowering(body, self.outer.visits).run_body(Context(body), arguments, names)
        return {i: value for i, value in zip(wanted, results) if isinstance(value, np.ndarray)}
