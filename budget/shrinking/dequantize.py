"""A quantised graph as the float graph it stands for, so that it can be shrunk and trained."""

from __future__ import annotations

from dataclasses import replace

from budget.graph import DType, Graph, GraphEditor, TensorType, verify
from budget.ops.shaping import ReshapeAttributes
from budget.shrinking.stored import real_values

_CONVERSIONS = frozenset({"quantize", "dequantize", "requantize"})


def dequantize(graph: Graph) -> Graph:
    """The float graph whose tensors are what the integers of a quantised one stand for.

    Weights and biases are the stored ones times their scales; conversions between scales fall
    away, except at the graph's own outputs. Nothing is rounded any more.

    Args:
        graph: canonical; one in float comes back as it is.
    """
    if not any(tensor.type.is_quantized for tensor in graph.tensors.values()):
        return graph
    editor = GraphEditor(graph)
    real: dict[str, str] = {}
    for name, tensor in graph.tensors.items():
        quant = tensor.type.quant
        if quant is None or not tensor.type.is_quantized:
            continue
        if tensor.data is not None:
            real[name] = editor.add_constant(f"{name}_real", real_values(tensor.data, quant))
        else:
            editor.set_type(name, TensorType(tensor.type.shape, DType.FLOAT32))
    for name in [node.name for node in graph.nodes]:
        node = editor.nodes[name]
        inputs = tuple(real.get(operand, operand) for operand in node.inputs)
        if node.op not in _CONVERSIONS:
            if inputs != node.inputs:
                editor.replace_node(name, replace(node, inputs=inputs))
        elif editor.is_output(node.outputs[0]):
            # the output keeps its name: a reshape to the same shape only renames
            shape = ReshapeAttributes(graph.type_of(node.outputs[0]).shape)
            same = replace(node, op="reshape", inputs=inputs[:1], attributes=shape)
            editor.replace_node(name, same)
        else:
            editor.remove_node(name)
            editor.redirect(node.outputs[0], inputs[0])
    return verify(editor.finish())
