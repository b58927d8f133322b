"""``fuse_*_and_conv``: resizing and mirror padding become part of the convolution behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.transforms.tool.affine import is_channels_first
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
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


def _refusal(graph: NodeGraph, match: Match) -> str:
    conv = match.root
    if is_channels_first(conv) or conv.attributes.get("padding") not in (b"SAME", b"VALID"):
        return "the convolution is not of the layout NHWC and padding SAME or VALID"
    if tuple(conv.attributes.get("dilations", (1, 1, 1, 1))) != (1, 1, 1, 1):
        return "the fused operator has no dilations"
    resize = match.nodes.get("resize")
    if resize is None:
        return ""
    if resize.attributes.get("half_pixel_centers"):
        return "the fused operator does not know half-pixel centres"
    if resize.attributes.get("T", DataType.FLOAT) is not DataType.FLOAT:
        return "the fused operator resizes float32 only"
    return ""


_RESIZE = Pattern("ResizeBilinear", (ANY, ANY), capture="resize", single=True)
_PAD = Pattern("MirrorPad", (ANY, ANY), capture="pad", single=True)
_BOTH = Pattern("MirrorPad", (_RESIZE, ANY), capture="pad", single=True)


def _fused(graph: NodeGraph, below: Pattern, context: Context) -> NodeGraph:
    pattern = Pattern("Conv2D", (below, ANY), condition=_refusal)
    matches, refusals = find_matches(graph, pattern)
    context.notes += [f"{item.node} stays: {item.reason}" for item in refusals]
    return replaced(graph, matches, _replacement) if matches else graph


def _replacement(match: Match, rewriting: Rewriting) -> list[NodeDef]:
    conv, resize, pad = match.root, match.nodes.get("resize"), match.nodes.get("pad")
    attributes: dict[str, Any] = {
        "T": conv.attributes["T"],
        "mode": pad.attributes["mode"] if pad else b"REFLECT",
        "strides": conv.attributes["strides"],
        "padding": conv.attributes["padding"],
    }
    new: list[NodeDef] = []
    if pad:
        paddings = pad.inputs[1]
    else:
        zeros = np.zeros((4, 2), np.int32)
        new.append(constant(rewriting.name(f"{conv.name}_dummy_paddings"), zeros, DataType.INT32))
        paddings = new[0].name
    first = resize or pad or conv
    inputs: tuple[str, ...] = (first.inputs[0], paddings, conv.inputs[1])
    if resize:
        attributes["resize_align_corners"] = resize.attributes.get("align_corners", False)
        inputs = (first.inputs[0], resize.inputs[1], paddings, conv.inputs[1])
    op = "FusedResizeAndPadConv2D" if resize else "FusedPadConv2D"
    controls = controls_of(rewriting.graph, match)
    return [*new, NodeDef(conv.name, op, inputs, controls, conv.device, attributes)]


@dataclass(frozen=True)
class FuseResizePadAndConv(Transform):
    """Conv2D(MirrorPad(ResizeBilinear(x))) as one operator that keeps neither in between."""

    called: ClassVar[str] = "fuse_resize_pad_and_conv"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return _fused(graph, _BOTH, context)


@dataclass(frozen=True)
class FuseResizeAndConv(Transform):
    """Conv2D(ResizeBilinear(x)) as one operator, with a padding of nothing."""

    called: ClassVar[str] = "fuse_resize_and_conv"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return _fused(graph, _RESIZE, context)


@dataclass(frozen=True)
class FusePadAndConv(Transform):
    """Conv2D(MirrorPad(x)) as one operator."""

    called: ClassVar[str] = "fuse_pad_and_conv"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        return _fused(graph, _PAD, context)
