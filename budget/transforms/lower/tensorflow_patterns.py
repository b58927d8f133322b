"""Groups of TensorFlow nodes that stand for one operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from budget.formats.tensorflow_schema import SCHEMAS, DataType
from budget.formats.tensorflow_values import TYPES_BY_DTYPE, Shape, TensorValue
from budget.graph.editor import GraphEditor
from budget.graph.graph import Graph, Node
from budget.graph.types import Array

_TRANSPARENT = ("tf.Identity", "tf.Cast", "tf.StopGradient")
_ADD = ("tf.Add", "tf.AddV2")
_CURVES = ("tf.Erf", "tf.Erfc", "tf.Tanh")
_CALLS = ("tf.PartitionedCall", "tf.StatefulPartitionedCall")


def merge_patterns(graph: Graph) -> Graph:
    """Inlines calls, then finds dilated convolutions and GELU; the rest stays as it is."""
    graph = _without_calls(graph)
    editor = GraphEditor(graph)
    found = 0
    for node in graph.nodes:
        if node.op == "tf.BatchToSpaceND":
            found += _dilate(editor, node)
        elif node.op in _CURVES:
            found += _gelu(editor, node)
    return editor.finish() if found else graph


def _without_calls(graph: Graph) -> Graph:
    """The bodies of called functions in the place of the calls."""
    from budget.readers.graphdef import FlatNode, build_graph, node_of
    from budget.readers.tensorflow_functions import FunctionLibrary, inline_calls

    library = FunctionLibrary(
        SCHEMAS["FunctionDefLibrary"].decode(graph.extras.get("library", b"")), graph.source.name
    )
    if not any(n.op in _CALLS or n.op.removeprefix("tf.") in library for n in graph.nodes):
        return graph
    flat = [
        FlatNode(n.name, n.op.removeprefix("tf."), list(n.inputs), list(n.control_inputs),
                 dict(n.attributes))
        for n in graph.nodes
    ]  # fmt: skip
    for tensor in graph.constants:
        dtype = TYPES_BY_DTYPE.get(tensor.type.dtype, DataType.FLOAT)
        value = TensorValue(dtype, tensor.data if tensor.data is not None else np.zeros(0))
        flat.append(FlatNode(tensor.name, "Const", [], [], {"dtype": dtype, "value": value}))
    known = {node.name for node in flat}
    for name in graph.inputs:
        type = graph.type_of(name)
        shapes = {"_output_shapes": (Shape(type.shape),), "dtype": TYPES_BY_DTYPE[type.dtype]}
        if node_of(name) not in known:
            flat.append(FlatNode(node_of(name), "Placeholder", [], [], shapes))
    inlined = inline_calls(flat, library, [*graph.outputs, *graph.inputs])
    shapes_given = {name: graph.type_of(name).shape for name in graph.inputs}
    return build_graph(
        inlined, graph.source, graph.inputs, graph.outputs, shapes_given, graph.extras
    )


def _constant(editor: GraphEditor, tensor: str) -> Array | None:
    """A constant, also behind nodes that only hand it on."""
    for _ in range(4):
        data = editor.tensors[tensor].data
        producer = editor.producer(tensor)
        if data is not None or producer is None or producer.op not in _TRANSPARENT:
            return data
        tensor = producer.inputs[0]
    return None


def _is_number(editor: GraphEditor, tensor: str, value: float) -> bool:
    data = _constant(editor, tensor)
    return (
        data is not None
        and data.size == 1
        and bool(abs(float(np.asarray(data, np.float64).reshape(())) - value) < 1e-4 * abs(value))
    )


def _beside_number(editor: GraphEditor, node: Node | None, ops: Sequence[str], value: float) -> str:
    """The operand of a commutative node whose other one is a number; empty if it is not so."""
    if node is None or node.op not in ops or len(node.inputs) != 2:
        return ""
    first, second = node.inputs
    if _is_number(editor, first, value):
        return second
    return first if _is_number(editor, second, value) else ""


def _dilate(editor: GraphEditor, last: Node) -> bool:
    """SpaceToBatchND, convolution, BatchToSpaceND: a dilated convolution.

    The space between taps is the block, and what was added around the image and not cropped
    again is its padding. In one dimension an ExpandDims and a Squeeze stand around it.
    """
    chain: list[Node] = []
    tensor = last.inputs[0]
    for ops in (("tf.Squeeze",), ("tf.Conv2D", "tf.DepthwiseConv2dNative"), ("tf.ExpandDims",),
                ("tf.SpaceToBatchND",)):  # fmt: skip
        node = editor.producer(tensor)
        if node is None or editor.only_consumer(tensor) is None:
            return False
        if node.op in ops:
            chain.append(node)
            tensor = node.inputs[0]
        elif ops[0] not in ("tf.Squeeze", "tf.ExpandDims"):
            return False
    first = chain[-1]
    conv = next(node for node in chain if node.op.startswith(("tf.Conv", "tf.Depth")))
    geometry = _geometry(editor, first, last)
    if geometry is None or conv.attributes.get("padding") != b"VALID":
        return False
    if any(step != 1 for step in conv.attributes.get("strides", ())):
        return False
    block, margins = geometry
    expand = next((node for node in chain if node.op == "tf.ExpandDims"), None)
    if (len(block) == 1) is not (expand is not None):
        return False
    if expand is not None:
        axis = _constant(editor, expand.inputs[1])
        if axis is None or int(np.asarray(axis).reshape(())) not in (1, -3):
            return False
        block, margins = [1, *block], [(0, 0), *margins]
    if len(block) != 2 or conv.attributes.get("data_format", b"NHWC") != b"NHWC":
        return False
    attributes: dict[str, Any] = dict(conv.attributes)
    attributes["dilations"] = (1, *block, 1)
    attributes["padding"] = b"EXPLICIT"
    attributes["explicit_paddings"] = (0, 0, *margins[0], *margins[1], 0, 0)
    editor.replace_node(conv.name, replace(conv, attributes=attributes))
    editor.redirect(first.outputs[0], first.inputs[0])
    editor.redirect(last.outputs[0], last.inputs[0])
    return True


def _geometry(
    editor: GraphEditor, first: Node, last: Node
) -> tuple[list[int], list[tuple[int, int]]] | None:
    block = _constant(editor, first.inputs[1])
    back = _constant(editor, last.inputs[1])
    added, cropped = _constant(editor, first.inputs[2]), _constant(editor, last.inputs[2])
    if block is None or back is None or added is None or cropped is None:
        return None
    if not np.array_equal(block, back) or added.shape != cropped.shape or added.ndim != 2:
        return None
    margins = np.asarray(added, np.int64) - np.asarray(cropped, np.int64)
    if (margins < 0).any() or len(margins) != block.size:
        return None
    return [int(b) for b in block.ravel()], [(int(a), int(b)) for a, b in margins]


def _gelu(editor: GraphEditor, curve: Node) -> bool:
    """x/2·(1 + erf(x/√2)), x/2·erfc(-x/√2) or the approximation by tanh; factors in any order."""
    x = _inside_tanh(editor, curve) if curve.op == "tf.Tanh" else _inside_erf(editor, curve)
    shifted: Node | None = curve
    if curve.op != "tf.Erfc":
        shifted = editor.only_consumer(curve.outputs[0])
        if not _beside_number(editor, shifted, _ADD, 1.0):
            return False
    if not x or shifted is None:
        return False
    product = editor.only_consumer(shifted.outputs[0])
    if product is None or product.op != "tf.Mul":
        return False
    other = next((item for item in product.inputs if item != shifted.outputs[0]), "")
    last: Node | None = None
    if _beside_number(editor, editor.producer(other), ("tf.Mul",), 0.5) == x:
        last = product
    else:
        after = editor.only_consumer(product.outputs[0])
        rest = _other(after, product.outputs[0])
        halves = other == x and bool(rest) and _is_number(editor, rest, 0.5)
        if halves or (bool(other) and _is_number(editor, other, 0.5) and rest == x):
            last = after
    if last is None:
        return False
    attributes = {"approximate": curve.op == "tf.Tanh"}
    editor.replace_node(
        last.name, replace(last, op="tf.Gelu", inputs=(x,), attributes=attributes, source=None)
    )
    return True


def _other(node: Node | None, tensor: str) -> str:
    if node is None or node.op != "tf.Mul":
        return ""
    return next((item for item in node.inputs if item != tensor), "")


def _inside_erf(editor: GraphEditor, curve: Node) -> str:
    """The x of erf(x/√2) or erfc(-x/√2)."""
    scaled = editor.producer(curve.inputs[0])
    sign = -1 if curve.op == "tf.Erfc" else 1
    x = _scaled(editor, scaled, sign)
    if x or sign == 1:
        return x
    negated = editor.producer(_scaled(editor, scaled, 1))
    return negated.inputs[0] if negated is not None and negated.op == "tf.Neg" else ""


def _scaled(editor: GraphEditor, node: Node | None, sign: int) -> str:
    """The x of sign·x/√2."""
    if node is not None and node.op == "tf.RealDiv":
        return node.inputs[0] if _is_number(editor, node.inputs[1], sign * 2**0.5) else ""
    return _beside_number(editor, node, ("tf.Mul",), sign * 0.5**0.5)


def _inside_tanh(editor: GraphEditor, curve: Node) -> str:
    scaled = editor.producer(curve.inputs[0])
    total = _beside_number(editor, scaled, ("tf.Mul",), (2 / np.pi) ** 0.5)
    added = editor.producer(total) if total else None
    if added is None or added.op not in _ADD:
        return ""
    for x, cubic in (added.inputs, added.inputs[::-1]):
        power = _beside_number(editor, editor.producer(cubic), ("tf.Mul",), 0.044715)
        cube = editor.producer(power) if power else None
        if cube is not None and cube.op == "tf.Pow" and cube.inputs[0] == x:
            return x if _is_number(editor, cube.inputs[1], 3.0) else ""
    return ""
