"""Which implementations of a kernel a node may run on a core.

Each gives the same numbers as the kernel that every core has; that one is the first of every list.
The others ask for more than shapes: packed weights must be able to hold two channels, sums must
stay in their bits, and scales must be small enough for the short way of rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from budget.graph import DType, Graph, Node, TensorType
from budget.plan.codebook import codebook_variant
from budget.plan.scalar import SCALAR_CORES, SCALAR_RULES
from budget.plan.variants import (
    DSP_CORES,
    LONG_STEPS,
    PORTABLE,
    REACH,
    SLACK_BYTES,
    UNROLLED_ROWS,
    UNROLLED_STEPS,
    Variant,
    columns_of,
    fits_packed,
    four_words,
    gemm_bytes,
    gemm_loops,
    integer_weights,
    is_plain,
    is_pointwise,
    is_short_sum,
    kind_of,
    number_of,
    planes_of,
    pointwise_block,
    row_bytes,
    row_loops,
    row_words_of,
)

Types = Mapping[str, TensorType]

_WINOGRAD_CHANNELS = 160  # rows of transformed pixels are stored with 12-bit offsets
_TILES = {2: (2, 4), 4: (4, 8)}
"""Rows and columns of outputs that two tiles of Winograd's F(2 x 2) and F(4 x 4) make."""


def alternatives(node: Node, graph: Graph, types: Types, target: str) -> tuple[Variant, ...]:
    """The implementations of a node for a core, the one that every core has first.

    Args:
        node: of the graph.
        graph: canonical.
        types: deployed types.
        target: core.
    """
    rules = _RULES if target in DSP_CORES else SCALAR_RULES if target in SCALAR_CORES else {}
    rule = rules.get(node.op)
    if rule is None or any(types[name].dtype is not DType.INT8 for name in node.outputs):
        return (PORTABLE,)
    return (PORTABLE, *rule(node, graph, types))


def usual_variant(
    node: Node, graph: Graph, types: Types, target: str, optimise: str = "balanced"
) -> Variant:
    """The implementation that is taken where cycles are not known.

    Args:
        node: of the graph.
        graph: canonical.
        types: deployed types.
        target: core.
        optimise: ``size`` takes the kernels that all cores share, and unpacks weights of few
            values.
    """
    if optimise == "size":
        return codebook_variant(node, graph, types) or PORTABLE
    return usual_of(alternatives(node, graph, types, target))


def usual_of(variants: Sequence[Variant]) -> Variant:
    """The same among alternatives that are known already."""
    return variants[min(1, len(variants) - 1)]


def with_setting(variant: Variant, setting: str, node: Node, types: Types) -> Variant | None:
    """An implementation with one more numbered setting; None where it changes nothing.

    Args:
        variant: of a dense convolution or a fully connected layer.
        setting: ``u18`` unrolls 18 steps, ``b4096`` widens pixels in a buffer of 4096 bytes.
        node: of the graph.
        types: deployed types.
    """
    name = f"{variant.name}+{setting}"
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    depth = weights.element_count // weights.shape[0]
    if kind_of(name) == "armv7em-rows":
        same = row_loops(depth, number_of(name, "u", UNROLLED_ROWS)) == row_loops(depth)
        return None if same else Variant(name, variant.scratch_bytes, variant.table_bytes)
    table = gemm_bytes(depth, y.shape[3], name)
    if setting.startswith("b"):
        pixels, channels = y.element_count // y.shape[3], x.shape[3]
        block = pointwise_block(pixels, channels, name)
        if block == pointwise_block(pixels, channels):
            return None
        return Variant(name, 2 * block * channels + SLACK_BYTES, table)
    if gemm_loops(depth, number_of(name, "u", UNROLLED_STEPS)) == gemm_loops(depth):
        return None
    return Variant(name, variant.scratch_bytes, table)


def _depthwise(node: Node, graph: Graph, types: Types) -> list[Variant]:
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    k_h, k_w = weights.shape[1:3]
    channels, stride_w = x.shape[3], node.attributes.stride[1]
    planes = planes_of(node, x, weights, y)
    if (
        x.shape[0] > 1
        or node.attributes.dilation != (1, 1)
        or y.shape[3] != channels
        or not 4 <= channels <= REACH // 4
        or (stride_w + k_w + 1) // 2 > 5  # what two neighbours see is kept in five registers
        or k_h * planes.words * 4 > REACH
        or not is_plain(node, graph, types)
    ):
        return []
    is_resident = planes.together == 2
    words = 4 * -(-channels // 4) * (k_h * row_words_of(k_w, stride_w, is_resident=is_resident) + 3)
    return [Variant("armv7em-planes", planes.size_bytes, 4 * words)]


def _convolution(node: Node, graph: Graph, types: Types) -> list[Variant]:
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    pixels, channels = y.element_count // y.shape[3], x.shape[3]
    depth = weights.element_count // weights.shape[0]
    padding = node.attributes.padding
    pads = (padding.top, padding.bottom, padding.left, padding.right)
    if node.attributes.dilation != (1, 1) or weights.shape[3] != channels:
        return []
    if (
        pixels == x.shape[0]
        and weights.shape[1:] == x.shape[1:]
        and not any(pads)
        and y.shape[3] >= 8
        and depth % 4 == 0
        and fits_packed(node, graph, types)
    ):  # the window is the image: a fully connected layer
        return _rows(depth, y.shape[3])
    if not 4 <= y.shape[3] <= REACH or not is_plain(node, graph, types):
        return []
    packed = fits_packed(node, graph, types)
    if is_pointwise(node, weights) and channels % 4 == 0 and pixels > 1 and channels <= REACH // 4:
        buffer = 2 * pointwise_block(pixels, channels) * channels + SLACK_BYTES
        return _products("armv7em-pointwise", depth, y.shape[3], buffer, packed, pixels)
    _, height, width, _ = y.shape
    down = width % 2 and (height + 1) // 2 * width < (width + 1) // 2 * height
    columns = columns_of(node, x, weights, y, down=bool(down))
    if x.shape[0] > 1 or max(height, width) < 2 or columns.pixel > REACH // 2:
        return _winograd(node, graph, types)
    if down and width * y.shape[3] > REACH:
        return _winograd(node, graph, types)
    kind = "armv7em-columns-down" if down else "armv7em-columns"
    along = height if down else width
    found = _products(kind, depth, y.shape[3], columns.size_bytes, packed, along)
    return found + _winograd(node, graph, types)


def _products(
    kind: str, depth: int, channels: int, buffer_bytes: int, packed: bool, pixels: int
) -> list[Variant]:
    """Two pixels times four channels: long and short loops, weights of 8 and 16 bits, staged."""
    names = [kind] if packed else []
    if packed and -(-depth // 2) > UNROLLED_STEPS:
        names.append(f"{kind}+u{LONG_STEPS}")
    names.append(f"{kind}+wide")
    found = [Variant(n, buffer_bytes, gemm_bytes(depth, channels, n)) for n in names]
    if packed and pixels >= 4:
        name = f"{kind}+ram"
        found.append(
            Variant(
                name, buffer_bytes + staged_bytes(depth, name), gemm_bytes(depth, channels, name)
            )
        )
    return found


def staged_bytes(depth: int, variant: str) -> int:
    """RAM that holds the weights and scales of four channels."""
    times, steps = gemm_loops(depth, number_of(variant, "u", UNROLLED_STEPS))
    return 4 * four_words(times * steps, variant)


def _winograd(node: Node, graph: Graph, types: Types) -> list[Variant]:
    """3 x 3 windows at stride 1 over whole tiles; weights take 3.6 or 8 times their flash."""
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    attributes = node.attributes
    _, height, width, out_channels = y.shape
    channels = x.shape[3]
    if (
        weights.shape[1:] != (3, 3, channels)
        or attributes.stride != (1, 1)
        or x.shape[0] > 1
        or channels % 4
        or out_channels % 4
        or channels > _WINOGRAD_CHANNELS
        or 5 * (width + 2) * channels > REACH
        or 3 * out_channels > REACH
    ):
        return []
    data = integer_weights(node, graph)
    assert data is not None  # is_plain has looked
    # sums of F(4 x 4) are exact below 2^25, of F(2 x 2) below 2^29, before the division
    most = int(np.abs(data.astype(np.int64)).sum((1, 2, 3)).max(initial=0)) * 128
    found = []
    for size, (rows, columns) in _TILES.items():
        places = (size + 2) ** 2
        if height % rows or width % columns or data.min(initial=0) < -127:
            continue
        if most >= (1 << 25 if size == 4 else 1 << 29):
            continue
        buffer = 4 * places * channels + 4 * places * 8 + (size + 2) * (width + 2) * channels + 8
        table = out_channels * (places * channels // 2 + 3) * 4
        found.append(Variant(f"armv7em-winograd{size}", buffer, table))
    return found


def _rows(depth: int, channels: int) -> list[Variant]:
    size = row_bytes(depth, channels)
    return [
        Variant(f"armv7em-rows{setting}", 2 * depth + SLACK_BYTES, size) for setting in ("", "+u4")
    ]


def _fully_connected(node: Node, graph: Graph, types: Types) -> list[Variant]:
    out_channels, depth = types[node.inputs[1]].shape
    if out_channels < 8 or depth % 4 or not fits_packed(node, graph, types):
        return []
    return _rows(depth, out_channels)


def _add(node: Node, graph: Graph, types: Types) -> list[Variant]:
    """The operand with the smaller scale goes through a table, the other one is only shifted."""
    return [Variant("armv7em-table", 0, 4 * 256)] if is_short_sum(node, graph, types) else []


def _average_pool(node: Node, graph: Graph, types: Types) -> list[Variant]:
    rows, columns = node.attributes.filter
    fits = types[node.inputs[0]].shape[3] >= 4 and rows * columns < 256  # sums of 16 bits
    return [Variant("armv7em-sums")] if fits else []


_RULES: dict[str, Callable[[Node, Graph, Types], list[Variant]]] = {
    "add": _add,
    "average_pool_2d": _average_pool,
    "conv_2d": _convolution,
    "depthwise_conv_2d": _depthwise,
    "fully_connected": _fully_connected,
}
