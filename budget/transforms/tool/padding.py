"""``fold_padding`` and ``split_padding``: zeros around an image, inside or before the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.transforms.tool.affine import array_of, is_channels_first
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import ANY, Match, Pattern, Rewriting, find_matches
from budget.transforms.tool.transform import Context, Transform

_CONVOLUTIONS = "Conv2D|DepthwiseConv2dNative"


def _can_fold(graph: NodeGraph, match: Match) -> str:
    conv, pairs = match.root, array_of(match.nodes["pairs"])
    if conv.attributes.get("padding") != b"VALID":
        return "the convolution pads on its own"
    value = match.nodes.get("value")
    if value is not None and array_of(value).item() != 0:
        return "what is padded with is not zero"
    channels = 1 if is_channels_first(conv) else 3
    if pairs.shape != (4, 2) or pairs[[0, channels]].any():
        return "batch or channels are padded"
    if (pairs < 0).any():
        return "it crops"
    return ""


_PAIRS = Pattern("Const", capture="pairs")
_VALUE = Pattern("Const", capture="value")
_FOLDED = tuple(
    Pattern(_CONVOLUTIONS, (Pattern(op, inputs, capture="pad", single=True), ANY),
            condition=_can_fold)
    for op, inputs in (("Pad", (ANY, _PAIRS)), ("PadV2", (ANY, _PAIRS, _VALUE)))
)  # fmt: skip


@dataclass(frozen=True)
class FoldPadding(Transform):
    """Replaces conv(pad(x)) by a convolution that pads x itself, with padding EXPLICIT.

    The padded image is never made; the zeros are the same.
    """

    called: ClassVar[str] = "fold_padding"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        for pattern in _FOLDED:
            matches, refusals = find_matches(graph, pattern)
            context.notes += [f"what is before {item.node} stays: {item.reason}"
                              for item in refusals]  # fmt: skip
            if not matches:
                continue
            rewriting = Rewriting(graph)
            for match in matches:
                pad, root = match.nodes["pad"], match.root
                pairs = tuple(int(item) for item in array_of(match.nodes["pairs"]).ravel())
                attributes = {**root.attributes, "padding": b"EXPLICIT", "explicit_paddings": pairs}
                inputs = (pad.inputs[0], root.inputs[1])
                controls = tuple(dict.fromkeys((*root.controls, *pad.controls)))
                rewriting.replace(
                    match, [root.changed(inputs=inputs, attributes=attributes, controls=controls)]
                )
            graph = rewriting.finish()
        return graph


def _padding_of(graph: NodeGraph, match: Match) -> tuple[Any, str]:
    """Rows and columns of zeros on each side, or why they cannot be told."""
    conv = match.root
    kind = conv.attributes.get("padding")
    if kind == b"EXPLICIT":
        pairs = np.array(conv.attributes.get("explicit_paddings", ()), np.int32)
        return (pairs.reshape(4, 2), "") if pairs.size == 8 else (None, "it names no padding")
    if kind != b"SAME":
        return None, "it does not pad"
    first = is_channels_first(conv)
    axes = (2, 3) if first else (1, 2)
    steps = conv.attributes["strides"]
    gaps = conv.attributes.get("dilations") or (1, 1, 1, 1)
    taps = array_of(match.nodes["weights"]).shape[:2]
    shapes = graph.nodes[match.root.inputs[0].partition(":")[0]].attributes.get("_output_shapes")
    pairs = np.zeros((4, 2), np.int32)
    for axis, count in zip(axes, taps):
        reach = (count - 1) * gaps[axis] + 1
        if steps[axis] == 1:
            total = reach - 1
        else:
            extents = shapes[0].dims if shapes and shapes[0].dims else None
            if extents is None or len(extents) != 4 or extents[axis] < 0:
                return None, "with strides, SAME depends on the input's size, which the file " \
                             "does not say"  # fmt: skip
            extent = extents[axis]
            total = max((-(-extent // steps[axis]) - 1) * steps[axis] + reach - extent, 0)
        pairs[axis] = total // 2, total - total // 2
    return pairs, ""


def _can_split(graph: NodeGraph, match: Match) -> str:
    return _padding_of(graph, match)[1]


_SPLIT = Pattern(_CONVOLUTIONS, (ANY, Pattern("Const", capture="weights")), condition=_can_split)


@dataclass(frozen=True)
class SplitPadding(Transform):
    """Replaces a convolution that pads by one of padding VALID behind a Pad.

    For runtimes whose convolution pads nothing, or nothing but SAME. SAME with strides depends on
    the size of the input: it is split where the file says that (``_output_shapes``).
    """

    called: ClassVar[str] = "split_padding"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        matches, refusals = find_matches(graph, _SPLIT)
        context.notes += [
            f"{item.node} stays: {item.reason}"
            for item in refusals
            if item.reason != "it does not pad"
        ]
        if not matches:
            return graph
        rewriting = Rewriting(graph)
        for match in matches:
            root = match.root
            pairs, _ = _padding_of(graph, match)
            attributes = {**root.attributes, "padding": b"VALID"}
            attributes.pop("explicit_paddings", None)
            new = [match.nodes["weights"]]
            inputs = root.inputs
            if pairs.any():
                held = constant(rewriting.name(f"{root.name}/paddings"), pairs, DataType.INT32)
                pad = NodeDef(rewriting.name(f"{root.name}/pad"), "Pad",
                              (root.inputs[0], held.name), root.controls, root.device,
                              {"T": root.attributes["T"], "Tpaddings": DataType.INT32})  # fmt: skip
                new += [held, pad]
                inputs = (pad.name, root.inputs[1])
            changed = root.changed(inputs=inputs, attributes=attributes)
            rewriting.replace(match, [*new, changed])
        return rewriting.finish()
