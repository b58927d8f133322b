"""``decompose_batch_norms``: batch norms become a multiplication and an addition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.affine import array_of, is_channels_first, norm_factor_and_offset
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import (
    ANY,
    Match,
    Pattern,
    Rewriting,
    find_matches,
    replaced,
)
from budget.transforms.tool.transform import Context, Transform

_FUSED = ("scale", "offset", "mean", "variance")
_GLOBAL = ("mean", "variance", "offset", "scale")


def _refusal(graph: NodeGraph, match: Match) -> str:
    root = match.root
    if root.attributes.get("is_training", root.op.startswith("Fused")):
        return "it is in training mode, and takes the statistics of each batch"
    if any(f"{root.name}:{port}" in graph.read_tensors for port in range(1, 6)):
        return "its statistics are read"
    return ""


def _norm(op: str, names: tuple[str, ...]) -> Pattern:
    constants = (Pattern("Const", capture=name) for name in names)
    return Pattern(op, (ANY, *constants), condition=_refusal)


_PATTERNS = (
    _norm("FusedBatchNorm|FusedBatchNormV2|FusedBatchNormV3", _FUSED),
    _norm("BatchNormWithGlobalNormalization", _GLOBAL),
)


@dataclass(frozen=True)
class DecomposeBatchNorms(Transform):
    """Replaces γ · (x - μ) / √(σ² + ε) + β by s · x + (β - s · μ), where s = γ / √(σ² + ε).

    For runtimes without the operator, and for batch norms that no product can take in.
    """

    called: ClassVar[str] = "decompose_batch_norms"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        for pattern in _PATTERNS:
            matches, refusals = find_matches(graph, pattern)
            context.notes += [f"{item.node} stays: {item.reason}" for item in refusals]
            if matches:
                graph = replaced(graph, matches, _replacement)
        return graph


def _replacement(match: Match, rewriting: Rewriting) -> list[NodeDef]:
    root, nodes = match.root, match.nodes
    held = nodes["scale"]
    dtype = array_of(held).dtype
    parts = norm_factor_and_offset(root, {name: array_of(nodes[name]) for name in _FUSED})
    shape = (-1, 1, 1) if is_channels_first(root) else (-1,)
    factor, offset = (
        constant(rewriting.name(f"{root.name}/{name}"), part.astype(dtype).reshape(shape),
                 held.attributes["dtype"], held.device)
        for name, part in zip(("factor", "offset"), parts)
    )  # fmt: skip
    attributes = {"T": root.attributes["T"]}
    scaled = NodeDef(rewriting.name(f"{root.name}/scaled"), "Mul", (root.inputs[0], factor.name),
                     (), root.device, attributes)  # fmt: skip
    shifted = NodeDef(root.name, "AddV2", (scaled.name, offset.name), root.controls, root.device,
                      attributes)  # fmt: skip
    return [factor, offset, scaled, shifted]
