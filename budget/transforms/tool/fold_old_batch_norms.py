"""``fold_old_batch_norms``: batch norms that are one operator move into the weights before them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from budget.transforms.tool.affine import (
    BIASED,
    PRODUCT,
    array_of,
    bias_add,
    bias_vector,
    channel_count,
    is_channels_first,
    norm_factor_and_offset,
    scaled,
)
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import Match, Pattern, Rewriting, find_matches
from budget.transforms.tool.transform import Context, Transform

_FUSED = ("scale", "offset", "mean", "variance")
_GLOBAL = ("mean", "variance", "offset", "scale")


def _refusal(graph: NodeGraph, match: Match) -> str:
    root, nodes = match.root, match.nodes
    if root.op.startswith("Fused") and root.attributes.get("is_training", True):
        return "it is in training mode, and takes the statistics of each batch"
    extra = [f"{root.name}:{port}" for port in range(1, 6)]
    if any(item in graph.read_tensors for item in extra):
        return "its statistics are read"
    total = 0
    for product, weights in _products(match):
        if product.op == "MatMul" or is_channels_first(product) != is_channels_first(root):
            return "the product before it has another layout"
        total += channel_count(product, array_of(weights))
    if any(array_of(nodes[name]).shape != (total,) for name in _FUSED):
        return "its parameters are not one value for each channel"
    if "axis" in nodes and int(array_of(nodes["axis"])) not in (3, -1):
        return "the convolutions before it are not joined along their channels"
    if "add" in nodes:
        bias = bias_vector(nodes["product"], array_of(nodes["weights"]), nodes["add"],
                           array_of(nodes["bias"]))  # fmt: skip
        if bias is None:
            return "the constant added before it is not one value for each channel"
    return ""


def _products(match: Match) -> list[tuple[NodeDef, NodeDef]]:
    """The products before a batch norm and their weights, in the order of their channels."""
    nodes = match.nodes
    if "product" in nodes:
        return [(nodes["product"], nodes["weights"])]
    count = sum(name.startswith("product") for name in nodes)
    return [(nodes[f"product{i}"], nodes[f"weights{i}"]) for i in range(count)]


def _heads(below: Pattern) -> list[Pattern]:
    constants = {name: Pattern("Const", capture=name) for name in _FUSED}
    return [
        Pattern("FusedBatchNorm|FusedBatchNormV2|FusedBatchNormV3",
                (below, *(constants[name] for name in _FUSED)), condition=_refusal),
        Pattern("BatchNormWithGlobalNormalization",
                (below, *(constants[name] for name in _GLOBAL)), condition=_refusal),
    ]  # fmt: skip


_CONVOLUTION = replace(PRODUCT, op="Conv2D|DepthwiseConv2dNative")
_BRANCH = Pattern(
    "Conv2D", (Pattern(), Pattern("Const", capture="weights")), capture="product", single=True,
    repeat=True,
)  # fmt: skip
_BELOW = (
    replace(BIASED, inputs=(_CONVOLUTION, BIASED.inputs[1]), optional=True),
    Pattern("BatchToSpaceND", (_CONVOLUTION, Pattern(), Pattern()), capture="spread", single=True),
    Pattern("ConcatV2", (_BRANCH, Pattern("Const", capture="axis")), capture="join", single=True),
    Pattern("Concat", (Pattern("Const", capture="axis"), _BRANCH), capture="join", single=True),
)
_PATTERNS = tuple(head for below in _BELOW for head in _heads(below))


@dataclass(frozen=True)
class FoldOldBatchNorms(Transform):
    """Replaces s · (w ∗ x + b - μ) + β by (s · w) ∗ x + (β + (b - μ) · s), where s = γ / √(σ² + ε).

    For Conv2D and DepthwiseConv2dNative, with a bias between or without, before a BatchToSpaceND
    or any number of Conv2D joined along their channels. The addition takes the batch norm's name.
    ``compat`` folds what the old tool did: no FusedBatchNormV2 and V3, no depthwise convolution,
    no bias between, no more than two joined.
    """

    called: ClassVar[str] = "fold_old_batch_norms"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        notes: dict[str, str] = {}
        for pattern in _PATTERNS:
            matches, refusals = find_matches(graph, pattern)
            if context.compat:
                matches = [match for match in matches if _was_folded(match)]
            notes.update({item.node: item.reason for item in refusals})
            if matches:
                graph = _fold(graph, matches)
        context.notes += [
            f"{name} stays: {reason}"
            for name, reason in notes.items()
            if name in graph.nodes and "BatchNorm" in graph.nodes[name].op
        ]
        return graph


def _was_folded(match: Match) -> bool:
    """Whether the Graph Transform Tool folded that form."""
    products = _products(match)
    return (
        match.root.op in ("FusedBatchNorm", "BatchNormWithGlobalNormalization")
        and "add" not in match.nodes
        and len(products) <= 2
        and all(product.op == "Conv2D" for product, _ in products)
    )


def _fold(graph: NodeGraph, matches: list[Match]) -> NodeGraph:
    rewriting = Rewriting(graph)
    for match in matches:
        nodes, root = match.nodes, match.root
        factors, offsets = norm_factor_and_offset(
            root, {name: array_of(nodes[name]) for name in _FUSED}
        )
        if "add" in nodes:
            bias = bias_vector(nodes["product"], array_of(nodes["weights"]), nodes["add"],
                               array_of(nodes["bias"]))  # fmt: skip
            offsets = offsets + bias * factors
        around = nodes.get("spread") or nodes.get("join")
        new: list[NodeDef] = []
        renamed: dict[str, str] = {}
        start = 0
        for product, weights in _products(match):
            values = array_of(weights)
            stop = start + channel_count(product, values)
            kernel = scaled(product, values, factors[start:stop]).astype(values.dtype)
            held = rewriting.constant_like(weights, kernel)
            offset = constant(
                rewriting.name(f"{product.name}_bn_offset"),
                offsets[start:stop].astype(values.dtype), weights.attributes["dtype"],
                weights.device,
            )  # fmt: skip
            name = rewriting.name(f"{product.name}_bn_add") if around else root.name
            renamed[product.name] = name
            new += [held, product.changed(inputs=(product.inputs[0], held.name)), offset,
                    bias_add(name, product, offset, product.name)]  # fmt: skip
            start = stop
        if around:
            inputs = tuple(renamed.get(item, item) for item in around.inputs)
            new.append(around.changed(name=root.name, inputs=inputs))
        controls = dict.fromkeys(
            (*new[-1].controls, *root.controls, *(nodes["add"].controls if "add" in nodes else ()))
        )
        new[-1] = new[-1].changed(controls=tuple(controls))
        rewriting.replace(match, new)
    return rewriting.finish()
