"""Factors and offsets by channel behind a product, moved into its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from budget.errors import CorruptModelError
from budget.transforms.tool.nodes import PRODUCT_RANKS, NodeDef
from budget.transforms.tool.patterns import ANY, Pattern

PRODUCTS = "|".join(PRODUCT_RANKS)

PRODUCT = Pattern(
    PRODUCTS, (ANY, Pattern("Const", capture="weights")), capture="product", single=True
)
"""A product with constant weights that only the node above reads."""

BIASED = Pattern(
    "BiasAdd|Add|AddV2",
    (PRODUCT, Pattern("Const", capture="bias")),
    capture="add",
    commutative=True,
    single=True,
)
"""A product to which a constant is added."""


def channel_count(product: NodeDef, weights: Any) -> int:
    """Number of output channels of a product.

    Raises:
        CorruptModelError: the weights have another number of axes than such a product's.
    """
    if weights.ndim != PRODUCT_RANKS[product.op]:
        raise CorruptModelError(
            f"weights of {weights.ndim} axes, not {PRODUCT_RANKS[product.op]}",
            where=f"node {product.name!r} ({product.op})",
        )
    if product.op == "MatMul":
        return int(weights.shape[0 if product.attributes.get("transpose_b") else 1])
    if product.op == "DepthwiseConv2dNative":
        return int(weights.shape[2] * weights.shape[3])
    return int(weights.shape[3])


def channel_vector(product: NodeDef, weights: Any, values: Any) -> Any:
    """A constant that is added to or multiplied with a product, as one value for each channel.

    Returns:
        None if it differs along another axis than the channels', or has more axes than the product.
    """
    rank = PRODUCT_RANKS[product.op]
    axis = 1 if is_channels_first(product) else rank - 1
    return vector_along(values, rank, axis, channel_count(product, weights))


def vector_along(values: Any, rank: int, axis: int, count: int) -> Any:
    """A constant that broadcasts against a tensor, as one value for each index of an axis.

    Returns:
        None if it differs along another axis, or has more axes than ``rank``.
    """
    if values.size == 1 and values.ndim <= rank:
        return np.full(count, values.ravel()[0], values.dtype)
    wanted = [1] * rank
    wanted[axis] = count
    if values.ndim > rank or [1] * (rank - values.ndim) + list(values.shape) != wanted:
        return None
    return values.reshape(count)


def is_channels_first(product: NodeDef) -> bool:
    """Whether channels stand in front of height and width."""
    return product.attributes.get("data_format") == b"NCHW"


def scaled(product: NodeDef, weights: Any, factor: Any) -> Any:
    """Weights that give ``factor`` times the product: f · (w ∗ x) = (f · w) ∗ x."""
    if product.op == "DepthwiseConv2dNative":
        return weights * factor.reshape(weights.shape[2:])
    if product.op == "MatMul" and product.attributes.get("transpose_b"):
        return weights * factor[:, None]
    return weights * factor


def input_count(product: NodeDef, weights: Any) -> int:
    """Number of input channels that the weights hold."""
    if product.op == "MatMul":
        return int(weights.shape[1 if product.attributes.get("transpose_b") else 0])
    return int(weights.shape[2])


def pads_nothing(product: NodeDef, weights: Any) -> bool:
    """Whether every tap of the product's window reads an element of its input."""
    if product.op == "MatMul" or product.attributes.get("padding") == b"VALID":
        return True
    if product.attributes.get("padding") == b"EXPLICIT":
        return not any(product.attributes.get("explicit_paddings", ()))
    return bool(weights.shape[:2] == (1, 1))


def array_of(node: NodeDef) -> Any:
    """The elements of a constant; None for another node."""
    value = node.value
    return None if value is None else value.array


def norm_factor_and_offset(norm: NodeDef, parameters: Mapping[str, Any]) -> tuple[Any, Any]:
    """Factor and offset of a batch norm in double precision: y = factor · x + offset.

    Args:
        norm: a FusedBatchNorm of any version, or BatchNormWithGlobalNormalization.
        parameters: ``scale``, ``offset``, ``mean`` and ``variance``.
    """
    epsilon = norm.attributes.get("epsilon", norm.attributes.get("variance_epsilon", 1e-4))
    factor = 1 / np.sqrt(np.asarray(parameters["variance"], np.float64) + epsilon)
    if norm.attributes.get("scale_after_normalization", True):
        factor = factor * parameters["scale"]
    return factor, parameters["offset"] - parameters["mean"] * factor


def bias_add(name: str, product: NodeDef, bias: NodeDef, source: str) -> NodeDef:
    """A BiasAdd in the product's layout."""
    layout = product.attributes.get("data_format", b"NHWC")
    attributes = {"T": product.attributes["T"], "data_format": layout}
    return NodeDef(name, "BiasAdd", (source, bias.name), (), product.device, attributes)


def bias_vector(product: NodeDef, weights: Any, add: NodeDef, bias: Any) -> Any:
    """The constant of a BiasAdd or addition by channel; None if it is not one."""
    if add.op == "BiasAdd":
        return bias if bias.shape == (channel_count(product, weights),) else None
    return channel_vector(product, weights, bias)
