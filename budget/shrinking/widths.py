"""Which node computes in which width, and the conversions where widths meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from budget.analysis.operands import operand_roles
from budget.graph import ABSENT, DType, Graph, GraphEditor, Node, TensorType
from budget.ops import NoAttributes, registry
from budget.ops.quantization import ConversionAttributes

WIDTHS = {"int8": DType.INT8, "int16": DType.INT16, "float32": DType.FLOAT32}


@cache
def output_rule(op: str, dtype: DType = DType.INT8) -> tuple[float, int] | str | None:
    """What TFLite fixes of an operator's output: (scale, zero point), "same", or nothing."""
    cases = [case for case in registry.get(op).cases() if dtype in case.dtypes]
    rule = cases[0].output_quant if cases else None
    return (1 / 32768, 0) if dtype is DType.INT16 and isinstance(rule, tuple) else rule


@cache
def supports(op: str, dtype: DType) -> bool:
    """Whether there is arithmetic of a width for an operator."""
    if dtype is DType.FLOAT32:
        return True
    return any(dtype in case.dtypes for case in registry.get(op).cases())


def has_weights(graph: Graph, node: Node) -> bool:
    """Whether a node multiplies by constants of the model file."""
    roles = operand_roles(node.op)
    return any(
        roles.get(index) == "weights" and graph.constant(name) is not None
        for index, name in enumerate(node.inputs)
        if name != ABSENT
    )


def is_flowing(graph: Graph, node: Node, index: int) -> bool:
    """Whether an operand is a computed or given float."""
    name = node.inputs[index]
    if name == ABSENT or graph.type_of(name).dtype is not DType.FLOAT32:
        return False
    return graph.constant(name) is None


def choose(
    graph: Graph, width: DType, kept: Mapping[str, DType], fallback: bool
) -> dict[str, DType]:
    """The width of every node.

    A node without weights follows what it reads, where there is arithmetic for it.

    Args:
        graph: in float.
        width: of everything else.
        kept: widths of some nodes by name.
        fallback: nodes without arithmetic of their width get a wider one.
    """
    found: dict[str, DType] = {}
    homes: dict[str, DType] = {}
    for node in graph.nodes:
        chosen = kept.get(node.name, width)
        flows = [
            homes.get(name, width)
            for index, name in enumerate(node.inputs)
            if is_flowing(graph, node, index)
        ]
        follows = node.name not in kept and kept and not has_weights(graph, node)
        if follows and len(set(flows)) == 1 and supports(node.op, flows[0]):
            chosen = flows[0]
        if fallback and not supports(node.op, chosen):
            chosen = DType.INT16 if supports(node.op, DType.INT16) else DType.FLOAT32
            if kept.get(node.name) is DType.INT16:
                chosen = DType.FLOAT32
        found[node.name] = chosen
        homes.update(dict.fromkeys(node.outputs, chosen))
    return found


def with_borders(
    graph: Graph, width: DType, widths: Mapping[str, DType]
) -> tuple[Graph, dict[str, DType], dict[str, str]]:
    """Puts conversions (identities on floats) where a node reads what another width computes.

    Args:
        graph: in float.
        width: that inputs come in, unless all their readers agree on another integer width.
        widths: of every node.

    Returns:
        The graph, the width of every float tensor that flows, and for each tensor behind a
        conversion the one in front of it.
    """
    homes = {out: widths[node.name] for node in graph.nodes for out in node.outputs}
    for name in graph.inputs:
        readers = {widths[node.name] for node in graph.consumers.get(name, ())}
        homes[name] = readers.pop() if len(readers) == 1 else width
    editor = GraphEditor(graph)
    converted: dict[tuple[str, DType], str] = {}
    copies: dict[str, str] = {}
    for node in graph.nodes:
        wanted = widths[node.name]
        inputs = list(node.inputs)
        for index, name in enumerate(node.inputs):
            if not is_flowing(graph, node, index) or homes[name] is wanted:
                continue
            if (name, wanted) not in converted:
                type = TensorType(graph.type_of(name).shape, DType.FLOAT32)
                out = editor.add_tensor(f"{name}_{wanted.value}", type)
                editor.add_node(_conversion(editor, name, out, homes[name], wanted))
                converted[name, wanted] = out
                copies[out], homes[out] = name, wanted
            inputs[index] = converted[name, wanted]
        if inputs != list(node.inputs):
            editor.replace_node(node.name, replace(node, inputs=tuple(inputs)))
    return (editor.finish() if copies else graph), homes, copies


def _conversion(editor: GraphEditor, x: str, y: str, source: DType, target: DType) -> Node:
    name = editor.unique_name(f"{y}_conversion")
    if target is DType.FLOAT32:
        return Node(name, "dequantize", (x,), (y,), NoAttributes())
    op = "quantize" if source is DType.FLOAT32 else "requantize"
    return Node(name, op, (x,), (y,), ConversionAttributes(target))
