"""Outputs laid over inputs that die: which kernels allow it, and at what distance."""

from __future__ import annotations

from collections.abc import Mapping

from budget.graph import Graph, Node, TensorType
from budget.ops import registry
from budget.plan.spans import align
from budget.plan.variants import kind_of, planes_of

PLANES = "armv7em-planes"

LOOKAHEAD: dict[tuple[str, str], int] = {
    # (operator, kernel variant): output pixels (rows of a fully connected layer) behind the one
    # whose input is still needed that the kernel may have written. 0: element after element, in
    # memory order. A kernel that is not listed never has its output over its input.
    ("conv_2d", ""): 0,
    ("depthwise_conv_2d", ""): 0,
    ("average_pool_2d", ""): 0,
    ("max_pool_2d", ""): 0,
    ("fully_connected", ""): 0,
    # these widen all that they read before they write the first output that depends on it
    ("conv_2d", "armv7em-pointwise"): 0,
    ("conv_2d", "armv7em-columns"): 0,
    ("conv_2d", "armv7em-rows"): 0,
    ("conv_2d", "armv7em-winograd2"): 0,
    ("conv_2d", "armv7em-winograd4"): 0,
    ("fully_connected", "armv7em-rows"): 0,
    ("conv_2d", "scalar-pairs"): 0,
    ("depthwise_conv_2d", "scalar-windows"): 0,
}


def runs_in_place(node: Node, types: Mapping[str, TensorType], variant: str) -> bool:
    """Whether a kernel may write output 0 exactly where input 0 lies.

    The depthwise kernel that takes four channels apart at a time has read all of them before it
    writes the first, and leaves the others alone, if its planes hold whole images.
    """
    if variant != PLANES:
        return False
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    whole = planes_of(node, x, weights, y).block >= y.shape[1]
    return whole and x.shape == y.shape and x.shape[3] % 4 == 0 and x.dtype is y.dtype


def overlay_distance_bytes(
    node: Node,
    graph: Graph,
    types: Mapping[str, TensorType],
    alignment_bytes: int,
    variant: str = "",
) -> int | None:
    """How far below input 0 the output of a node must start to lie over it.

    Args:
        node: of the graph.
        graph: canonical.
        types: deployed types.
        alignment_bytes: of every offset, and so of the distance.
        variant: of the kernel that will run.

    Returns:
        A multiple of the alignment; None where the kernel or the operator does not allow it.
    """
    lookahead = LOOKAHEAD.get((node.op, kind_of(variant)))
    if lookahead is None or len(node.outputs) != 1 or node.inputs[0] in node.inputs[1:]:
        return None
    if any(graph.constant(name) is None for name in node.present_inputs[1:]):
        return None  # another operand might lie in the same bytes
    inputs = [types.get(name) for name in node.inputs]
    outputs = [types[name] for name in node.outputs]
    reach = registry.get(node.op).reach_bytes(node.attributes, inputs, outputs, lookahead)
    return None if reach is None else align(reach, alignment_bytes)
