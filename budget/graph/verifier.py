"""Checks that a graph keeps its own rules; every pass is verified before and after."""

from __future__ import annotations

from budget.errors import InvalidGraphError
from budget.graph.graph import Graph


def verify(graph: Graph) -> Graph:
    """Returns the graph, or raises if it breaks an invariant.

    Raises:
        InvalidGraphError: names are not unique, an edge leads nowhere, a tensor is read before it
            is computed, a constant's data does not have its type, a subgraph is missing.
    """
    problems = [problem for part in graph.walk() for problem in _problems(part)]
    if problems:
        raise InvalidGraphError(f"graph {graph.name!r}: " + "; ".join(problems[:10]))
    return graph


def _problems(graph: Graph) -> list[str]:
    problems: list[str] = []
    for key, tensor in graph.tensors.items():
        if key != tensor.name:
            problems.append(f"tensor {tensor.name!r} is stored as {key!r}")
        if tensor.data is not None and tuple(tensor.data.shape) != tensor.type.shape:
            problems.append(f"constant {key!r} has shape {tensor.data.shape}, not its type's")
        if tensor.data is not None and tensor.data.dtype != tensor.type.dtype.numpy:
            problems.append(f"constant {key!r} has elements {tensor.data.dtype}, not its type's")
        if any(extent < 0 for extent in tensor.type.shape):
            problems.append(f"tensor {key!r} has an unknown dimension: {tensor.type.shape}")
    known = {name for name, t in graph.tensors.items() if t.is_constant or t.is_variable}
    known.update(graph.inputs)
    produced: set[str] = set()
    names: set[str] = set()
    for node in graph.nodes:
        if node.name in names:
            problems.append(f"two nodes are called {node.name!r}")
        for tensor_name in node.present_inputs:
            if tensor_name not in graph.tensors:
                problems.append(f"node {node.name!r} reads {tensor_name!r}, which does not exist")
            elif tensor_name not in known:
                problems.append(f"node {node.name!r} reads {tensor_name!r} before it is computed")
        for out in node.outputs:
            if out not in graph.tensors:
                problems.append(f"node {node.name!r} writes {out!r}, which does not exist")
            elif out in produced or (out in known and not graph.tensors[out].is_variable):
                problems.append(f"tensor {out!r} has two producers")
        for control in node.control_inputs:
            if control not in names:
                problems.append(f"node {node.name!r} waits for {control!r}, which is not before it")
        for subgraph in node.subgraphs:
            if subgraph not in graph.subgraphs:
                problems.append(f"node {node.name!r} runs {subgraph!r}, which does not exist")
        names.add(node.name)
        produced.update(node.outputs)
        known.update(node.outputs)
    problems += [
        f"output {name!r} is never computed" for name in graph.outputs if name not in known
    ]
    return problems
