"""``flatten_atrous_conv``: a dilated convolution as one with zeros in its filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.transforms.tool.affine import is_channels_first
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.patterns import (
    ANY,
    Match,
    Pattern,
    Rewriting,
    controls_of,
    find_matches,
)
from budget.transforms.tool.transform import Context, Transform


def _array(match: Match, name: str) -> Any:
    value = match.nodes[name].value
    return None if value is None else value.array


def _padding(match: Match) -> bytes:
    """The padding of the one convolution: SAME, VALID, or nothing where it is neither."""
    rates, around = _array(match, "rates"), _array(match, "paddings")
    crops = _array(match, "crops")
    height_width = np.array(_array(match, "weights").shape[:2])
    if crops[:, 0].any():
        return b""
    before, after = around[:, 0], around[:, 1] - crops[:, 1]
    total = (height_width - 1) * rates
    if not before.any() and not after.any():
        return b"VALID"
    same = (before == total // 2).all() and (before + after == total).all()
    return b"SAME" if same else b""


def _refusal(graph: NodeGraph, match: Match) -> str:
    product = match.nodes["product"]
    rates = _array(match, "rates")
    if rates.shape != (2,) or not np.array_equal(rates, _array(match, "rates_after")):
        return "blocks are not two-dimensional, or not those they are put back as"
    if is_channels_first(product) or product.attributes.get("padding") != b"VALID":
        return "the convolution between is not of the layout NHWC and padding VALID"
    steps = (product.attributes["strides"], product.attributes.get("dilations", (1, 1, 1, 1)))
    if any(tuple(item) != (1, 1, 1, 1) for item in steps):
        return "the convolution between has strides or dilations"
    if not _padding(match):
        return "its padding is neither SAME nor VALID"
    return ""


def _const(name: str) -> Pattern:
    return Pattern("Const", capture=name)


_PATTERN = Pattern(
    "BatchToSpaceND",
    (
        Pattern(
            "Conv2D|DepthwiseConv2dNative",
            (
                Pattern(
                    "SpaceToBatchND",
                    (ANY, _const("rates"), _const("paddings")),
                    capture="spread",
                    single=True,
                ),
                _const("weights"),
            ),
            capture="product",
            single=True,
        ),
        _const("rates_after"),
        _const("crops"),
    ),
    condition=_refusal,
)


@dataclass(frozen=True)
class FlattenAtrousConv(Transform):
    """Replaces SpaceToBatchND, convolution, BatchToSpaceND by one convolution.

    Its filter has rate - 1 zeros between taps, (k - 1) · rate + 1 in all: the taps fall on the
    elements that the blocks held apart. It multiplies by the zeros too, about rate² times the
    MACs, which is said. Block shapes and paddings have to be constant; run fold_constants before.
    """

    called: ClassVar[str] = "flatten_atrous_conv"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        matches, refusals = find_matches(graph, _PATTERN)
        context.notes += [f"{item.node} stays: {item.reason}" for item in refusals]
        if not matches:
            return graph
        rewriting = Rewriting(graph)
        for match in matches:
            product = match.nodes["product"]
            old = _array(match, "weights")
            rates = [int(rate) for rate in _array(match, "rates")]
            size = [(extent - 1) * rate + 1 for extent, rate in zip(old.shape[:2], rates)]
            stuffed = np.zeros((*size, *old.shape[2:]), old.dtype)
            stuffed[:: rates[0], :: rates[1]] = old
            kernel = rewriting.constant_like(match.nodes["weights"], stuffed)
            inputs = (match.nodes["spread"].inputs[0], kernel.name)
            attributes = {**product.attributes, "padding": _padding(match)}
            controls = controls_of(graph, match)
            flat = product.changed(
                name=match.root.name, inputs=inputs, attributes=attributes, controls=controls
            )
            rewriting.replace(match, [kernel, flat])
            ratio = stuffed.size / old.size
            context.notes.append(
                f"{match.root.name} multiplies by zeros too: {ratio:.1f}× the MACs"
            )
        return rewriting.finish()
