"""``fold_leading_batch_norms``: factors and offsets move into the product behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from budget.transforms.tool.affine import (
    PRODUCTS,
    array_of,
    bias_add,
    input_count,
    is_channels_first,
    norm_factor_and_offset,
    pads_nothing,
    vector_along,
)
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import ANY, Match, Pattern, Rewriting, find_matches
from budget.transforms.tool.transform import Context, Transform

_PARAMETERS = ("scale", "offset", "mean", "variance")


def _affine(match: Match) -> tuple[Any, Any, str]:
    """Factor and offset for each input channel (None for neither), or why there are none."""
    before, product = match.nodes["before"], match.nodes["product"]
    weights = array_of(match.nodes["weights"])
    count = input_count(product, weights)
    if "BatchNorm" in before.op:
        values = {name: array_of(match.nodes[name]) for name in _PARAMETERS}
        if before.attributes.get("is_training", before.op.startswith("Fused")):
            return None, None, "the batch norm is in training mode"
        if any(item.shape != (count,) for item in values.values()):
            return None, None, "its parameters are not one value for each channel"
        return *norm_factor_and_offset(before, values), ""
    rank = 2 if product.op == "MatMul" else 4
    axis = 1 if is_channels_first(product) else rank - 1
    values = array_of(match.nodes["operand"])
    if before.op == "BiasAdd":
        vector = values if values.shape == (count,) else None
    else:
        vector = vector_along(values, rank, axis, count)
    if vector is None:
        return None, None, f"{match.nodes['operand'].name} is not one value for each channel"
    vector = vector.astype(np.float64)
    if before.op in ("Mul", "RealDiv"):
        return (1 / vector if before.op == "RealDiv" else vector), None, ""
    return None, (-vector if before.op == "Sub" else vector), ""


def _refusal(graph: NodeGraph, match: Match) -> str:
    product, weights = match.nodes["product"], array_of(match.nodes["weights"])
    if weights.dtype.kind != "f" or product.attributes.get("transpose_a"):
        return "the product is one of integers, or of a transposed input"
    before = match.nodes["before"]
    if "BatchNorm" in before.op:
        if is_channels_first(before) != is_channels_first(product):
            return "the batch norm has another layout"
        if any(f"{before.name}:{port}" in graph.read_tensors for port in range(1, 6)):
            return "its statistics are read"
    _, offset, reason = _affine(match)
    if not reason and offset is not None and not pads_nothing(product, weights):
        return f"{product.name} pads with zeros, to which nothing would be added"
    return reason


def _product(before: Pattern) -> Pattern:
    weights = Pattern("Const", capture="weights")
    return Pattern(PRODUCTS, (before, weights), capture="product", condition=_refusal)


_OPERAND = Pattern("Const", capture="operand")
_SHAPE = Pattern(capture="before", single=True)
_PATTERNS = (
    _product(replace(_SHAPE, op="Mul|Add|AddV2", inputs=(ANY, _OPERAND), commutative=True)),
    _product(replace(_SHAPE, op="Sub|RealDiv|BiasAdd", inputs=(ANY, _OPERAND))),
    _product(replace(
        _SHAPE, op="FusedBatchNorm|FusedBatchNormV2|FusedBatchNormV3",
        inputs=(ANY, *(Pattern("Const", capture=name) for name in _PARAMETERS)),
    )),
    _product(replace(
        _SHAPE, op="BatchNormWithGlobalNormalization",
        inputs=(ANY, *(Pattern("Const", capture=name)
                       for name in ("mean", "variance", "offset", "scale"))),
    )),
)  # fmt: skip


@dataclass(frozen=True)
class FoldLeadingBatchNorms(Transform):
    """Moves factor and offset by channel into the product that reads them.

    w ∗ (f · x + b) = (w · f) ∗ x + w ∗ b, where f and b have one value for each input channel.
    An offset only where the product pads nothing (VALID, 1×1 or a matrix product), as it would be
    missing in the padding.
    """

    called: ClassVar[str] = "fold_leading_batch_norms"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        notes: dict[str, str] = {}
        changed = True
        while changed:
            changed = False
            for pattern in _PATTERNS:
                matches, refusals = find_matches(graph, pattern)
                notes.update({item.node: item.reason for item in refusals})
                if matches:
                    graph, changed = _fold(graph, matches), True
        context.notes += [f"what is before {name} stays: {reason}"
                          for name, reason in notes.items() if name in graph.nodes]  # fmt: skip
        return graph


def _fold(graph: NodeGraph, matches: list[Match]) -> NodeGraph:
    rewriting = Rewriting(graph)
    for match in matches:
        root, before = match.root, match.nodes["before"]
        weights = match.nodes["weights"]
        old = array_of(weights)
        kernel = np.asarray(old, np.float64)
        factor, offset, _ = _affine(match)
        bias = None if offset is None else _response(root, kernel, offset)
        if factor is not None:
            kernel = _by_input(root, kernel, factor)
        held = rewriting.constant_like(weights, kernel.astype(old.dtype))
        operand = match.tensors.get("operand", "")
        source = next(item for item in before.inputs if item != operand)
        controls = tuple(dict.fromkeys((*root.controls, *before.controls)))
        product = root.changed(inputs=(source, held.name), controls=controls)
        new: list[NodeDef] = [held, product]
        if bias is not None:
            product = product.changed(name=rewriting.name(f"{root.name}/product"))
            added = constant(rewriting.name(f"{root.name}/folded"), bias.astype(old.dtype),
                             weights.attributes["dtype"], weights.device)  # fmt: skip
            new = [held, product, added, bias_add(root.name, product, added, product.name)]
        rewriting.replace(match, new)
    return rewriting.finish()


def _by_input(product: NodeDef, kernel: Any, factor: Any) -> Any:
    if product.op == "MatMul":
        return kernel * (factor[None] if product.attributes.get("transpose_b") else factor[:, None])
    return kernel * factor[:, None]


def _response(product: NodeDef, kernel: Any, offset: Any) -> Any:
    """What the product makes of an input that is ``offset`` everywhere."""
    weighted = _by_input(product, kernel, offset)
    if product.op == "DepthwiseConv2dNative":
        return weighted.sum(axis=(0, 1)).ravel()
    if product.op == "MatMul":
        return weighted.sum(axis=1 if product.attributes.get("transpose_b") else 0)
    return weighted.sum(axis=(0, 1, 2))
