"""Element types as the device will hold them, for a graph that was trained in others."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from budget.analysis.operands import operand_roles, weight_axes
from budget.errors import UsageError
from budget.graph import DType, Graph, Node, TensorType

MULTIPLIER_BYTES = 8
"""A 32-bit multiplier and a 32-bit shift for each output scale of an integer kernel."""


class Precision(StrEnum):
    """What arithmetic the device runs.

    INT8: activations and weights of 8 bits, 32-bit bias.
    INT16X8: activations of 16 bits, weights of 8 bits, 64-bit bias.
    FLOAT32: as trained.
    """

    INT8 = "int8"
    INT16X8 = "int16x8"
    FLOAT32 = "float32"


_ACTIVATION = {Precision.INT8: DType.INT8, Precision.INT16X8: DType.INT16}
_BIAS = {Precision.INT8: DType.INT32, Precision.INT16X8: DType.INT64}
_ROLE_STRENGTH = {"bias": 2, "weights": 1}


def as_precision(precision: Precision | str | None) -> Precision | None:
    """The precision of that name; None stays None.

    Raises:
        UsageError: there is none.
    """
    if precision is None:
        return None
    if precision not in set(Precision):
        raise UsageError(
            f"precision {precision!r} does not exist",
            hint=f"choose one of {', '.join(Precision)}",
        )
    return Precision(precision)


def deployed_types(graph: Graph, precision: Precision | None = None) -> dict[str, TensorType]:
    """Type of every tensor once the graph runs at ``precision``.

    Only floating-point tensors change; a graph that is quantised already, indices, and anything
    else keep the type the file gave them. Quantisation parameters are not invented.

    Args:
        graph: canonical.
        precision: None keeps everything as the file holds it.
    """
    types = {name: tensor.type for name, tensor in graph.tensors.items()}
    if precision is None or precision is Precision.FLOAT32:
        return types
    roles: dict[str, str] = {}
    for node in graph.nodes:
        for index, name in enumerate(node.inputs):
            role = operand_roles(node.op).get(index, "")
            if _ROLE_STRENGTH.get(role, 0) > _ROLE_STRENGTH.get(roles.get(name, ""), 0):
                roles[name] = role
    for name, type in types.items():
        if not type.dtype.is_float:
            continue
        dtype = _ACTIVATION[precision]
        if graph.tensors[name].is_constant and roles.get(name) == "bias":
            dtype = _BIAS[precision]
        elif graph.tensors[name].is_constant and roles.get(name) == "weights":
            dtype = DType.INT8
        types[name] = TensorType(type.shape, dtype, type.quant)
    return types


def multiplier_bytes(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> int:
    """Flash for the requantisation of one node: a multiplier and a shift per output scale.

    Nodes with quantised weights have one pair for each scale of the weights; weights without
    recorded scales (a float graph judged as integers) count one pair per output channel.
    """
    total = 0
    for index, name in enumerate(node.inputs):
        if operand_roles(node.op).get(index) != "weights" or name not in types:
            continue
        type = types[name]
        if not graph.tensors[name].is_constant or type.dtype.is_float:
            continue
        if type.quant is not None:
            scales = len(type.quant.scale)
        else:
            axis = weight_axes(node.op).get(index)
            scales = 1 if axis is None or not type.shape else type.shape[axis]
        total += MULTIPLIER_BYTES * scales
    return total
