"""``fuse_bias_and_activation``: a product, its bias and its activation as one operator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from budget.formats.tensorflow_schema import DataType
from budget.transforms.tool.affine import PRODUCTS, array_of
from budget.transforms.tool.nodes import NodeDef, NodeGraph
from budget.transforms.tool.patterns import (
    ANY,
    Match,
    Pattern,
    Rewriting,
    controls_of,
    find_matches,
    replaced,
)
from budget.transforms.tool.transform import Context, Transform

_FUSED = {
    "Conv2D": "_FusedConv2D",
    "DepthwiseConv2dNative": "_FusedDepthwiseConv2dNative",
    "MatMul": "_FusedMatMul",
}
_KEPT = ("T", "transpose_a", "transpose_b", "strides", "padding", "explicit_paddings",
         "data_format", "dilations", "use_cudnn_on_gpu")  # fmt: skip


def _refusal(graph: NodeGraph, match: Match) -> str:
    product, add = match.nodes["product"], match.nodes["add"]
    if product.attributes.get("T") is not DataType.FLOAT:
        return "the fused operator takes float32 only"
    if product.attributes.get("data_format", b"NHWC") != b"NHWC":
        return "the fused operator runs in the layout NHWC only"
    if product.op == "DepthwiseConv2dNative" and product.attributes.get("explicit_paddings"):
        return "the fused operator has no explicit padding"
    if add.op != "BiasAdd" and array_of(match.nodes["bias"]).ndim != 1:
        return f"{match.nodes['bias'].name} is not one value for each channel"
    return ""


_PRODUCT = Pattern(PRODUCTS, (ANY, ANY), capture="product", single=True)
_BIASED = (
    Pattern("BiasAdd", (_PRODUCT, Pattern(capture="bias")), capture="add"),
    Pattern("Add|AddV2", (_PRODUCT, Pattern("Const", capture="bias")), capture="add",
            commutative=True),
)  # fmt: skip
_ACTIVATED = tuple(
    Pattern("Relu|Relu6|Elu", (replace(item, single=True),), condition=_refusal) for item in _BIASED
)
_PATTERNS = (*_ACTIVATED, *(replace(item, condition=_refusal) for item in _BIASED))


@dataclass(frozen=True)
class FuseBiasAndActivation(Transform):
    """Replaces g(w ∗ x + b) by one operator, where g is Relu, Relu6, Elu or nothing.

    The operators are those that TensorFlow's own optimiser makes when a graph is run
    (_FusedConv2D, _FusedDepthwiseConv2dNative, _FusedMatMul): it runs them, other readers of
    graph files may not know them. Run inline_partitionedcall before, so that none is hidden.
    """

    called: ClassVar[str] = "fuse_bias_and_activation"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        notes: dict[str, str] = {}
        for pattern in _PATTERNS:
            matches, refusals = find_matches(graph, pattern)
            notes.update({item.node: item.reason for item in refusals})
            if matches:
                graph = replaced(graph, matches, _fused)
        context.notes += [f"{name} stays: {reason}" for name, reason in notes.items()
                          if name in graph.nodes]  # fmt: skip
        return graph


def _fused(match: Match, rewriting: Rewriting) -> list[NodeDef]:
    bias, product, root = match.nodes["bias"], match.nodes["product"], match.root
    names = [b"BiasAdd"]
    if root is not match.nodes["add"]:
        names.append(root.op.encode())
    attributes: dict[str, Any] = {
        **{key: product.attributes[key] for key in _KEPT if key in product.attributes},
        "num_args": 1,
        "fused_ops": tuple(names),
        "epsilon": 0.0,
    }
    if product.op == "Conv2D":
        attributes["TArgs"] = (DataType.FLOAT,)
    if product.op != "Conv2D":
        attributes.pop("use_cudnn_on_gpu", None)
    controls = controls_of(rewriting.graph, match)
    inputs = (*product.inputs, match.tensors["bias"])
    op = _FUSED[product.op]
    fused = NodeDef(root.name, op, inputs, controls, product.device, attributes)
    return [*[bias] * (bias.op == "Const"), fused]
