"""Runs canonical graphs on the host, node by node, in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from budget.errors import ModelError, UsageError
from budget.graph.graph import ABSENT, Graph, Node
from budget.graph.types import Array, DType, TensorType
from budget.ops.operator import QuantizedCall, Rounding
from budget.ops.registry import get


def run(
    graph: Graph,
    inputs: Mapping[str, Array],
    *,
    rounding: Rounding = Rounding.TFLITE,
    keep: Literal["all"] | None = None,
) -> dict[str, Array]:
    """Executes a canonical graph.

    Args:
        graph: in the canonical dialect.
        inputs: by tensor name, in the tensor's own shape and element type; the values that
            variables start with may be given too, they are zero otherwise.
        rounding: which family of integer kernels to equal.
        keep: ``"all"`` returns every computed tensor instead of the graph's outputs only.

    Returns:
        The graph's outputs by name, and with ``keep="all"`` everything else that was computed.

    Raises:
        UsageError: an input is missing, superfluous or of another shape or type.
        ModelError: a node cannot be executed; the error names it.
    """
    values = _start(graph, inputs)
    last_use = _last_uses(graph)
    kept = set(graph.outputs)
    for index, node in enumerate(graph.nodes):
        values.update(zip(node.outputs, run_node(graph, node, values, rounding), strict=True))
        if keep is None:
            for name in last_use.get(index, ()):
                if name not in kept:
                    values.pop(name, None)
    if keep == "all":
        computed = {name for node in graph.nodes for name in node.outputs}
        return {name: values[name] for name in values if name in computed or name in kept}
    return {name: values[name] for name in graph.outputs}


def run_node(
    graph: Graph, node: Node, values: Mapping[str, Array], rounding: Rounding = Rounding.TFLITE
) -> tuple[Array, ...]:
    """Executes one node on values by tensor name; constants are found in the graph.

    Raises:
        ModelError: it cannot be executed.
    """
    where = f"{graph.name}: node {node.name!r} ({node.op})"
    types = tuple(None if name == ABSENT else graph.type_of(name) for name in node.inputs)
    outputs = tuple(graph.type_of(name) for name in node.outputs)
    operands = [
        None if name == ABSENT else values[name] if name in values else graph.constant(name)
        for name in node.inputs
    ]
    try:
        operator = get(node.op)
        if is_quantized(types, outputs):
            call = QuantizedCall(types, outputs, rounding)
            results = operator.run_quantized(node.attributes, operands, call)
        else:
            results = operator.run_float(node.attributes, operands)
    except ModelError as error:
        error.where = error.where or where
        raise
    for name, type, result in zip(node.outputs, outputs, results, strict=True):
        if result.shape != type.shape or result.dtype != type.dtype.numpy:
            raise ModelError(
                f"computes {result.dtype}{list(result.shape)} for {name!r}, which is declared "
                f"{type.dtype.value}{list(type.shape)}",
                where=where,
            )
    return results


def is_quantized(types: tuple[TensorType | None, ...], outputs: tuple[TensorType, ...]) -> bool:
    """Whether a node computes on quantised integers.

    A float operator whose constant weights only are stored as integers does not count.
    """
    present = [type for type in types if type is not None]
    if any(type.is_quantized for type in outputs):
        return True
    return bool(present) and present[0].is_quantized


def _start(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    variables = {name for name, tensor in graph.tensors.items() if tensor.is_variable}
    missing = [name for name in graph.inputs if name not in inputs]
    unknown = [name for name in inputs if name not in graph.inputs and name not in variables]
    if missing or unknown:
        what = "; ".join(
            f"{label}: {', '.join(map(repr, names))}"
            for label, names in (("no value for input", missing), ("no such input", unknown))
            if names
        )
        raise UsageError(
            what, where=graph.name, hint=f"inputs are: {', '.join(map(repr, graph.inputs))}"
        )
    values: dict[str, Array] = {}
    for name, given in inputs.items():
        type, array = graph.type_of(name), np.asarray(given)
        if array.shape != type.shape or array.dtype != type.dtype.numpy:
            raise UsageError(
                f"input {name!r} is {array.dtype}{list(array.shape)}, "
                f"not {type.dtype.value}{list(type.shape)}",
                where=graph.name,
            )
        values[name] = array
    for name in variables - values.keys():
        values[name] = _zeros(graph.type_of(name))
    for name in graph.outputs:
        constant = graph.constant(name)
        if constant is not None:
            values[name] = constant
    return values


def _zeros(type: TensorType) -> Array:
    """What a state starts with: real zero."""
    stored = 0 if type.quant is None else int(type.quant.zero_point[0])
    return np.full(type.shape, stored, type.dtype.numpy if type.dtype.bits else DType.FLOAT32.numpy)


def _last_uses(graph: Graph) -> dict[int, list[str]]:
    last = {
        name: index
        for index, node in enumerate(graph.nodes)
        for name in (*node.outputs, *node.present_inputs)
    }
    dying: dict[int, list[str]] = {}
    for name, index in last.items():
        dying.setdefault(index, []).append(name)
    return dying
