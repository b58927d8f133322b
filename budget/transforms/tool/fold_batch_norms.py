"""``fold_batch_norms``: factors and offsets by channel move into the weights before them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from budget.transforms.tool.affine import (
    BIASED,
    PRODUCT,
    bias_add,
    bias_vector,
    channel_vector,
    scaled,
)
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import Match, Pattern, Rewriting, find_matches
from budget.transforms.tool.transform import Context, Transform


def _vectors(graph: NodeGraph, match: Match) -> tuple[Any, Any, Any]:
    """Weights, the constant by channel, and the bias before it by channel (or None)."""
    product, weights = match.nodes["product"], _array(match, "weights")
    operand = _array(match, "operand")
    root = match.root
    vector = (
        bias_vector(product, weights, root, operand)
        if root.op == "BiasAdd"
        else channel_vector(product, weights, operand)
    )
    bias = None
    if "add" in match.nodes:
        bias = bias_vector(product, weights, match.nodes["add"], _array(match, "bias"))
    return weights, vector, bias


def _array(match: Match, name: str) -> Any:
    value = match.nodes[name].value
    return None if value is None else value.array


def _by_channel(graph: NodeGraph, match: Match) -> str:
    _, vector, bias = _vectors(graph, match)
    if vector is None:
        return f"{match.nodes['operand'].name} is not one value for each channel"
    if bias is None and "add" in match.nodes:
        return f"{match.nodes['bias'].name} is not one value for each channel"
    return ""


_FACTOR = Pattern(
    "Mul", (replace(BIASED, optional=True), Pattern("Const", capture="operand")),
    commutative=True, condition=_by_channel,
)  # fmt: skip
_OFFSET = Pattern(
    "BiasAdd|Add|AddV2", (BIASED, Pattern("Const", capture="operand")),
    commutative=True, condition=_by_channel,
)  # fmt: skip
_FIRST_OFFSET = Pattern(
    "Add|AddV2", (PRODUCT, Pattern("Const", capture="operand")),
    commutative=True, condition=_by_channel,
)  # fmt: skip


@dataclass(frozen=True)
class FoldBatchNorms(Transform):
    """Moves what a batch norm leaves behind constants into the product before it.

    f · (w ∗ x + b) = (f · w) ∗ x + f · b, and (w ∗ x + b) + c = w ∗ x + (b + c), where f, b and c
    have one value for each channel. Run fold_constants before, so that they are constants. A
    product without a bias takes the multiplication's name, as the Graph Transform Tool had it;
    ``compat`` folds only that form.
    """

    called: ClassVar[str] = "fold_batch_norms"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        factor = _FACTOR if not context.compat else replace(
            _FACTOR, inputs=(PRODUCT, _FACTOR.inputs[1]), commutative=False
        )  # fmt: skip
        patterns = [factor] if context.compat else [factor, _OFFSET, _FIRST_OFFSET]
        notes: dict[str, str] = {}
        changed = True
        while changed:
            changed = False
            for pattern in patterns:
                matches, refusals = find_matches(graph, pattern)
                notes.update({item.node: item.reason for item in refusals})
                if matches:
                    graph, changed = _fold(graph, matches), True
        context.notes += [f"{name} stays: {reason}" for name, reason in notes.items()
                          if name in graph.nodes]  # fmt: skip
        return graph


def _fold(graph: NodeGraph, matches: list[Match]) -> NodeGraph:
    rewriting = Rewriting(graph)
    for match in matches:
        weights, vector, bias = _vectors(graph, match)
        product, root = match.nodes["product"], match.root
        controls = tuple(
            dict.fromkeys(c for name in match.matched for c in graph.nodes[name].controls)
        )
        new: list[NodeDef] = []
        if root.op == "Mul":
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
