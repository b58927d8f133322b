"""``fold_batch_norms``: factors and offsets by channel move into the weights before them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from budget.transforms.tool.affine import (
    BIASED,
    PRODUCT,
    array_of,
    bias_add,
    bias_vector,
    channel_count,
    channel_vector,
    is_channels_first,
    scaled,
)
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import (
    Match,
    Pattern,
    Rewriting,
    controls_of,
    find_matches,
)
from budget.transforms.tool.transform import Context, Transform

_OPERAND = Pattern("Const", capture="operand")


def _vectors(match: Match) -> tuple[Any, Any, Any]:
    """Weights, the constant by channel, and the bias before it by channel (or None)."""
    product, weights = match.nodes["product"], array_of(match.nodes["weights"])
    operand, root = array_of(match.nodes["operand"]), match.root
    vector = (
        bias_vector(product, weights, root, operand)
        if root.op == "BiasAdd"
        else channel_vector(product, weights, operand)
    )
    if vector is not None and root.op in ("Sub", "RealDiv"):
        vector = -vector if root.op == "Sub" else 1 / vector
    bias = None
    if "add" in match.nodes:
        bias = bias_vector(product, weights, match.nodes["add"], array_of(match.nodes["bias"]))
    return weights, vector, bias


def _by_channel(graph: NodeGraph, match: Match) -> str:
    _, vector, bias = _vectors(match)
    if vector is None:
        return f"{match.nodes['operand'].name} is not one value for each channel"
    if vector.dtype.kind != "f":
        return "it is arithmetic on integers"
    if bias is None and "add" in match.nodes:
        return f"{match.nodes['bias'].name} is not one value for each channel"
    return ""


def _both_orders(op: str, below: Pattern, more: str) -> list[Pattern]:
    """``op`` with its operands in either order, and operators that have one order only."""
    inputs = (below, _OPERAND)
    return [
        Pattern(op, inputs, commutative=True, condition=_by_channel),
        Pattern(more, inputs, condition=_by_channel),
    ]


_PATTERNS = [
    *_both_orders("Mul", replace(BIASED, optional=True), "RealDiv"),
    *_both_orders("BiasAdd|Add|AddV2", BIASED, "Sub"),
    *_both_orders("Add|AddV2", PRODUCT, "Sub"),
]
_COMPAT = [Pattern("Mul", (PRODUCT, _OPERAND), condition=_by_channel)]


def _can_be_parted(graph: NodeGraph, match: Match) -> str:
    counts = _branch_counts(match)
    first = match.nodes["product0"]
    rank, last = (2, 1) if first.op == "MatMul" else (4, 3)
    channels = 1 if is_channels_first(first) else last
    axis = int(array_of(match.nodes["axis"]))
    if axis % rank != channels:
        return "the products before it are not joined along their channels"
    operand = array_of(match.nodes["operand"])
    wanted = [1] * (rank - 1 - channels)
    extents = list(operand.shape)
    short = extents if match.root.op == "BiasAdd" else extents[: len(extents) - len(wanted)]
    if operand.size != sum(counts) or not short or short[-1] != sum(counts):
        return f"{match.nodes['operand'].name} is not one value for each channel"
    return ""


def _branch_counts(match: Match) -> list[int]:
    count = sum(name.startswith("product") for name in match.nodes)
    return [
        channel_count(match.nodes[f"product{i}"], array_of(match.nodes[f"weights{i}"]))
        for i in range(count)
    ]


_JOIN = Pattern(
    "ConcatV2",
    (
        replace(BIASED, optional=True, repeat=True, capture="branch"),
        Pattern("Const", capture="axis"),
    ),
    capture="join",
    single=True,
)
_JOINED = [
    Pattern("Mul|Add|AddV2", (_JOIN, _OPERAND), commutative=True, condition=_can_be_parted),
    Pattern("Sub|RealDiv|BiasAdd", (_JOIN, _OPERAND), condition=_can_be_parted),
]


@dataclass(frozen=True)
class FoldBatchNorms(Transform):
    """Moves what a batch norm leaves behind constants into the product before it.

    f · (w ∗ x + b) = (f · w) ∗ x + f · b, and (w ∗ x + b) + c = w ∗ x + (b + c), where f, b and c
    have one value for each channel; subtractions and divisions are additions and products. Behind
    products that are joined along their channels, each takes its part: f · [y, z] = [f₁ · y,
    f₂ · z]. Run fold_constants before, so that they are constants. A product without a bias takes
    the multiplication's name, as the Graph Transform Tool had it; ``compat`` folds only that form.
    """

    called: ClassVar[str] = "fold_batch_norms"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        notes: dict[str, str] = {}
        changed = True
        while changed:
            changed = False
            for pattern in _COMPAT if context.compat else _PATTERNS:
                matches, refusals = find_matches(graph, pattern)
                notes.update({item.node: item.reason for item in refusals})
                if matches:
                    graph, changed = _fold(graph, matches), True
            for pattern in () if changed or context.compat else _JOINED:
                matches, refusals = find_matches(graph, pattern)
                notes.update({item.node: item.reason for item in refusals})
                if matches:
                    graph, changed = _part(graph, matches), True
        context.notes += [f"{name} stays: {reason}" for name, reason in notes.items()
                          if name in graph.nodes]  # fmt: skip
        return graph


def _fold(graph: NodeGraph, matches: list[Match]) -> NodeGraph:
    rewriting = Rewriting(graph)
    for match in matches:
        weights, vector, bias = _vectors(match)
        product, root = match.nodes["product"], match.root
        controls = controls_of(graph, match)
        new: list[NodeDef] = []
        if root.op in ("Mul", "RealDiv"):
            kernel = rewriting.constant_like(
                match.nodes["weights"], scaled(product, weights, vector)
            )
            inputs = (product.inputs[0], kernel.name)
            new = [kernel, product.changed(inputs=inputs)]
            bias = None if bias is None else bias * vector
        else:
            new = [product]
            bias = vector if bias is None else bias + vector
        if bias is None:
            new[-1] = new[-1].changed(name=root.name, controls=controls)
        else:
            held = match.nodes.get("bias", match.nodes["operand"])
            offset = constant(
                rewriting.name(f"{held.name}/folded"), bias, held.attributes["dtype"], held.device
            )
            add = bias_add(root.name, product, offset, product.name)
            new += [offset, replace(add, controls=controls)]
        rewriting.replace(match, new)
    return rewriting.finish()


def _part(graph: NodeGraph, matches: list[Match]) -> NodeGraph:
    """The constant's operation in front of the concatenation instead, once for each branch."""
    rewriting = Rewriting(graph)
    for match in matches:
        root, join, held = match.root, match.nodes["join"], match.nodes["operand"]
        new: list[NodeDef] = []
        renamed: list[str] = []
        start = 0
        flat = array_of(held)
        along = next(axis for axis in range(flat.ndim) if flat.shape[axis] == flat.size)
        for index, count in enumerate(_branch_counts(match)):
            head = join.inputs[index]
            # a branch without a bias is headed by its product
            inside = [name for name in (f"branch{index}", f"product{index}") if name in match.nodes]
            new += [match.nodes[name] for name in reversed(inside)]
            part = flat.take(range(start, start + count), axis=along)
            piece = constant(rewriting.name(f"{held.name}/part{index}"), part,
                             held.attributes["dtype"], held.device)  # fmt: skip
            name = rewriting.name(f"{root.name}/part{index}")
            new += [piece, root.changed(name=name, inputs=(head, piece.name), controls=())]
            renamed.append(name)
            start += count
        inputs = (*renamed, *join.inputs[len(renamed) :])
        new.append(join.changed(name=root.name, inputs=inputs, controls=controls_of(graph, match)))
        rewriting.replace(match, new)
    return rewriting.finish()
