"""Parts of a graph between tensors that the user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from budget.errors import UsageError
from budget.graph import Graph


def select(
    graph: Graph,
    inputs: Sequence[str],
    outputs: Sequence[str],
    input_shapes: Mapping[str, tuple[int, ...]],
) -> Graph:
    """The part of a graph that leads from ``inputs`` to ``outputs``; empty means the graph's own.

    Args:
        graph: with shapes that are fixed.
        inputs: tensors that the caller shall provide instead of computing them.
        outputs: tensors that the caller shall receive.
        input_shapes: shapes the user expects; they must be those of the graph.

    Raises:
        UsageError: a name is unknown, a shape differs, an output needs an input that is left out.
    """
    given_shapes = {
        name or (graph.inputs[0] if len(graph.inputs) == 1 else name): shape
        for name, shape in input_shapes.items()
    }
    _check_shapes(graph, given_shapes)
    if not inputs and not outputs:
        return graph
    _check_names(graph, (*inputs, *outputs))
    chosen_inputs = tuple(inputs) or graph.inputs
    chosen_outputs = tuple(outputs) or graph.outputs
    given = set(chosen_inputs)
    needed: set[str] = set()
    stack = [name for name in chosen_outputs if name not in given]
    while stack:
        name = stack.pop()
        producer = graph.producers.get(name)
        if name in given or (producer is None and name not in graph.inputs):
            continue
        if producer is None:
            raise UsageError(
                f"the outputs need {name!r} as well",
                where=graph.source.name,
                hint="add it to --inputs",
            )
        if producer.name not in needed:
            needed.add(producer.name)
            stack.extend(producer.present_inputs)
    nodes = tuple(node for node in graph.nodes if node.name in needed)
    used = {name for node in nodes for name in (*node.present_inputs, *node.outputs)}
    used.update(chosen_inputs, chosen_outputs)
    return graph.replace(
        inputs=chosen_inputs,
        outputs=chosen_outputs,
        nodes=nodes,
        tensors={name: tensor for name, tensor in graph.tensors.items() if name in used},
    )


def _check_names(graph: Graph, names: Sequence[str]) -> None:
    for name in names:
        if name not in graph.tensors:
            from difflib import get_close_matches

            near = get_close_matches(name, list(graph.tensors)[:5000], 3)
            known = near or [*graph.inputs, *graph.outputs]
            raise UsageError(
                f"the model has no tensor {name!r}",
                where=graph.source.name,
                hint="did you mean " + " or ".join(map(repr, known)) + "?",
            )


def _check_shapes(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in input_shapes.items():
        _check_names(graph, (name,))
        if graph.type_of(name).shape != tuple(shape):
            raise UsageError(
                f"the file fixes the shape of {name!r} to {list(graph.type_of(name).shape)}",
                where=graph.source.name,
                hint=f"convert the model again with the shape {list(shape)}",
            )
