"""Which implementation of a kernel a core runs, and the RAM that it needs while it runs.

A variant asks for more than shapes: packed weights must be able to hold two channels, and scales
must be small enough for the short way of rounding. What does not meet that runs the kernel that
every core has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from budget.graph import ABSENT, DType, Graph, Node, QuantParams, TensorType
from budget.ops.fixed_point import quantize_multiplier, quantize_multipliers
from budget.ops.requantize import product_multipliers
from budget.records import record

DSP_CORES = ("cortex-m4", "cortex-m7", "cortex-m33")

_POINTWISE_BYTES = 2048  # of widened pixels: few enough for RAM, enough to amortise a call
_REACH = 4000  # pixels and rows are addressed with 12-bit offsets
_PLANES_BYTES = 6144  # of images taken apart; where rows are cut, some are taken apart twice
# Steps of 50 bytes of code in the inner loop: with the 350 bytes that scale and store the sums a
# few stay within an instruction cache of 1 KB; most are fastest where memory never waits.
_UNROLLED_STEPS = {False: 12, True: 36}
_WINOGRAD_CHANNELS = 160  # rows of transformed pixels are stored with 12-bit offsets
_SLACK_BYTES = 160  # steps that fill up the last time round a loop may read so far


@record
class Variant:
    """An implementation.

    Attributes:
        name: as `Step.variant` has it; empty for the kernel that every core has.
        scratch_bytes: RAM while it runs.
        table_bytes: packed constants in flash instead of the model's own; None: as they are.
    """

    name: str = ""
    scratch_bytes: int = 0
    table_bytes: int | None = None


PORTABLE = Variant()


def choose_variant(
    node: Node, graph: Graph, types: Mapping[str, TensorType], target: str, optimise: str
) -> Variant:
    """The implementation of a node for a core.

    Args:
        node: of the graph.
        graph: canonical.
        types: deployed types.
        target: core.
        optimise: ``time`` spends flash for speed, ``size`` takes the kernels that all cores share.
    """
    rule = _RULES.get(node.op) if target in DSP_CORES and optimise != "size" else None
    if rule is None or any(types[name].dtype is not DType.INT8 for name in node.outputs):
        return PORTABLE
    if optimise == "time" and node.op == "conv_2d":
        faster = _winograd(node, graph, types)
        if faster.name:
            return faster
    return rule(node, graph, types, optimise == "time")


def gemm_loops(depth: int, *, is_long: bool) -> tuple[int, int]:
    """Times round the inner loop of a dense convolution, and steps of two taps in it.

    Args:
        depth: taps of one output.
        is_long: spend code for speed.
    """
    steps, most = -(-depth // 2), _UNROLLED_STEPS[is_long]
    if steps <= most:
        return 1, steps
    times = -(-steps // most)
    exact = [n for n in range(times, 2 * times + 1) if steps % n == 0]
    times = exact[0] if exact else times
    return times, -(-steps // times)


def _gemm_bytes(depth: int, channels: int, *, is_long: bool) -> int:
    """Biases, weights and scales of every four channels."""
    times, steps = gemm_loops(depth, is_long=is_long)
    return 4 * -(-channels // 4) * (2 * times * steps + 12 + (channels % 4 != 0))


def _row_bytes(depth: int, channels: int) -> int:
    """The same of every eight channels of a fully connected layer."""
    return 4 * -(-channels // 8) * (2 * depth + 24 + (channels % 8 != 0))


@record
class Columns:
    """The buffer of 16-bit activations of a dense convolution.

    Attributes:
        width: columns of the image, padding included, that one row of outputs sees.
        column: numbers in a column: rows of the window times channels.
        pixel: numbers between what neighbouring outputs see.
    """

    width: int
    column: int
    pixel: int

    @property
    def size_bytes(self) -> int:
        """RAM."""
        return 2 * self.width * self.column + _SLACK_BYTES


def columns_of(
    node: Node, x: TensorType, weights: TensorType, y: TensorType, *, down: bool
) -> Columns:
    """The buffer of a convolution that is not pointwise.

    Args:
        node: of the graph.
        x: its input.
        weights: its weights.
        y: its output.
        down: whether neighbours stand below each other: columns are rows then.
    """
    across, along = (2, 1) if down else (1, 2)
    stride = node.attributes.stride[along - 1]
    width = (y.shape[along] - 1) * stride + weights.shape[along]
    column = weights.shape[across] * x.shape[3]
    return Columns(width, column, stride * column)


def is_pointwise(node: Node, weights: TensorType) -> bool:
    """Whether outputs are products of single pixels, one for each."""
    attributes, padding = node.attributes, node.attributes.padding
    return (
        weights.shape[1:3] == (1, 1)
        and attributes.stride == (1, 1)
        and not any((padding.top, padding.bottom, padding.left, padding.right))
    )


def pointwise_block(pixels: int, channels: int) -> int:
    """Pixels to widen at a time: even, and never one alone at the end."""
    block = min(max(2, _POINTWISE_BYTES // (2 * channels) // 2 * 2), pixels + pixels % 2)
    while pixels % block == 1:
        block += 2
    return block


@record
class Planes:
    """The buffer of a depthwise convolution: four channels as images of 16-bit numbers.

    Attributes:
        words: pairs of neighbours in a row, padding included.
        rows: of each plane.
        block: rows of outputs that they serve.
        together: rows of outputs that are computed at once.
    """

    words: int
    rows: int
    block: int
    together: int

    @property
    def size_bytes(self) -> int:
        """RAM of the four planes."""
        return 4 * 4 * self.words * self.rows


def planes_of(node: Node, x: TensorType, weights: TensorType, y: TensorType) -> Planes:
    """The buffer of a depthwise convolution."""
    stride_h, stride_w = node.attributes.stride
    k_h, k_w = weights.shape[1:3]
    out_h, out_w = y.shape[1:3]
    seen = max((out_w - 1) * stride_w + k_w, x.shape[2] + node.attributes.padding.left)
    words = (seen + 1) // 2
    near = words * 4 * 3 + 8 <= _REACH and (out_w + 1) * y.shape[3] <= _REACH
    square = (k_h, k_w, stride_h, stride_w) == (3, 3, 1, 1)
    together = 2 if square and out_h > 1 and near else 1
    most = max(1, (_PLANES_BYTES // (16 * words) - k_h) // stride_h + 1)
    block = out_h
    if out_h > most:
        block = max(together, most // together * together)
        while together == 2 and out_h % block == 1:
            block += 2
    return Planes(words, (block - 1) * stride_h + k_h, block, together)


def _depthwise(
    node: Node, graph: Graph, types: Mapping[str, TensorType], _is_long: bool
) -> Variant:
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    k_h, k_w = weights.shape[1:3]
    channels, stride_w = x.shape[3], node.attributes.stride[1]
    planes = planes_of(node, x, weights, y)
    if (
        x.shape[0] > 1
        or node.attributes.dilation != (1, 1)
        or y.shape[3] != channels
        or not 4 <= channels <= _REACH // 4
        or (stride_w + k_w + 1) // 2 > 5  # what two neighbours see is kept in five registers
        or k_h * planes.words * 4 > _REACH
        or not _is_plain(node, graph, types)
    ):
        return PORTABLE
    is_resident = planes.together == 2
    words = 4 * -(-channels // 4) * (k_h * row_words_of(k_w, stride_w, is_resident=is_resident) + 3)
    return Variant("armv7em-planes", planes.size_bytes, 4 * words)


def row_words_of(taps: int, stride: int, *, is_resident: bool) -> int:
    """Words that hold a row of taps: pairs from the first on and, if needed, from the second on."""
    if is_resident:
        return 2  # w0 w1, w1 w2
    return (taps + 1) // 2 + (taps // 2 if stride % 2 else 0)


def _convolution(
    node: Node, graph: Graph, types: Mapping[str, TensorType], is_long: bool
) -> Variant:
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    pixels, channels = y.element_count // y.shape[3], x.shape[3]
    depth = weights.element_count // weights.shape[0]
    padding = node.attributes.padding
    pads = (padding.top, padding.bottom, padding.left, padding.right)
    if (
        pixels == x.shape[0]
        and weights.shape[1:] == x.shape[1:]
        and not any(pads)
        and y.shape[3] >= 8
        and depth % 4 == 0
    ):  # the window is the image: a fully connected layer
        return Variant("armv7em-rows", 2 * depth + _SLACK_BYTES, _row_bytes(depth, y.shape[3]))
    table_bytes = _gemm_bytes(depth, y.shape[3], is_long=is_long)
    if (
        node.attributes.dilation != (1, 1)
        or weights.shape[3] != channels
        or not 4 <= y.shape[3] <= _REACH
        or not fits_packed(node, graph, types)
    ):
        return PORTABLE
    if is_pointwise(node, weights) and channels % 4 == 0 and pixels > 1 and channels <= _REACH // 4:
        block = pointwise_block(pixels, channels)
        return Variant("armv7em-pointwise", 2 * block * channels + _SLACK_BYTES, table_bytes)
    _, height, width, _ = y.shape
    down = width % 2 and (height + 1) // 2 * width < (width + 1) // 2 * height
    columns = columns_of(node, x, weights, y, down=bool(down))
    if x.shape[0] > 1 or max(height, width) < 2 or columns.pixel > _REACH // 2:
        return PORTABLE
    if not down:
        return Variant("armv7em-columns", columns.size_bytes, table_bytes)
    if width * y.shape[3] > _REACH:
        return PORTABLE
    return Variant("armv7em-columns-down", columns.size_bytes, table_bytes)


def _winograd(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> Variant:
    """3 x 3 windows at stride 1 over whole tiles; the weights take eight times their flash."""
    x, weights, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    attributes = node.attributes
    _, height, width, out_channels = y.shape
    channels = x.shape[3]
    if (
        weights.shape[1:] != (3, 3, channels)
        or attributes.stride != (1, 1)
        or attributes.dilation != (1, 1)
        or x.shape[0] > 1
        or height % 4
        or width % 8
        or channels % 4
        or out_channels % 4
        or channels > _WINOGRAD_CHANNELS
        or 5 * (width + 2) * channels > _REACH
        or 3 * out_channels > _REACH
        or not _is_plain(node, graph, types)
    ):
        return PORTABLE
    data = graph.constant(node.inputs[1])
    assert data is not None  # _is_plain has looked
    sums = np.abs(data.astype(np.int64)).sum((1, 2, 3))
    if int(sums.max(initial=0)) * 128 >= 1 << 25 or data.min(initial=0) < -127:
        return PORTABLE
    size = 4 * 36 * channels + 4 * 36 * 8 + 6 * (width + 2) * channels
    table_bytes = out_channels * (36 * channels // 2 + 3) * 4
    return Variant("armv7em-winograd", size + 8, table_bytes)


def _fully_connected(
    node: Node, graph: Graph, types: Mapping[str, TensorType], _is_long: bool
) -> Variant:
    weights = types[node.inputs[1]]
    out_channels, depth = weights.shape
    if out_channels < 8 or depth % 4 or not fits_packed(node, graph, types):
        return PORTABLE
    return Variant("armv7em-rows", 2 * depth + _SLACK_BYTES, _row_bytes(depth, out_channels))


def fits_packed(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> bool:
    """Whether two weights fit one halfword, their sums come apart again, and scales are small."""
    data = graph.constant(node.inputs[1])
    if data is None or data.min(initial=0) < -127 or not _is_plain(node, graph, types):
        return False
    sums = np.abs(data.astype(np.int64)).sum(tuple(range(1, data.ndim)))
    return int(sums.max(initial=0)) * 128 < 1 << 23


def _is_plain(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> bool:
    """Whether 8-bit weights without zero points, bias and scales are known and scales are small."""
    x, w, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8:
        return False
    if w.quant is None or w.quant.zero_point.any() or graph.constant(node.inputs[1]) is None:
        return False
    bias = node.inputs[2] if len(node.inputs) > 2 else ABSENT
    return (bias == ABSENT or graph.constant(bias) is not None) and has_short_shifts(x, w, y)


def has_short_shifts(x: TensorType, w: TensorType, y: TensorType) -> bool:
    """Whether every multiplier is 0 or below 1/4: shifts of 2 to 31 are products with 2^30 to 2."""
    q, shift = short_shifts(x, w, y)
    return bool(((q == 0) | (shift >= 2)).all())


def short_shifts(
    x: TensorType, w: TensorType, y: TensorType
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Multipliers and shifts to the right."""
    q, shift = quantize_multipliers(product_multipliers(x, w, y))
    return q, -shift


def _add(node: Node, graph: Graph, types: Mapping[str, TensorType], _is_long: bool) -> Variant:
    """The operand with the smaller scale goes through a table, the other one is only shifted."""
    names = node.inputs
    a, b, y = types[names[0]], types[names[1]], types[node.outputs[0]]
    if any(graph.constant(name) is not None for name in names) or a.shape != b.shape:
        return PORTABLE
    if a.dtype is not DType.INT8 or b.dtype is not DType.INT8:
        return PORTABLE
    if a.quant is None or b.quant is None or y.quant is None:
        return PORTABLE
    q, shift = sum_multiplier(a.quant, b.quant, y.quant)
    return Variant("armv7em-table", 0, 4 * 256) if q and shift >= 2 else PORTABLE


def sum_multiplier(a: QuantParams, b: QuantParams, y: QuantParams) -> tuple[int, int]:
    """Multiplier and right shift of a sum at 2^20 times twice the larger scale."""
    twice_largest = 2 * max(float(a.scale[0]), float(b.scale[0]))
    q, shift = quantize_multiplier(twice_largest / ((1 << 20) * float(y.scale[0])))
    return q, -shift


def _average_pool(
    node: Node, graph: Graph, types: Mapping[str, TensorType], _is_long: bool
) -> Variant:
    rows, columns = node.attributes.filter
    fits = types[node.inputs[0]].shape[3] >= 4 and rows * columns < 256  # sums of 16 bits
    return Variant("armv7em-sums") if fits else PORTABLE


_RULES: dict[str, Callable[[Node, Graph, Mapping[str, TensorType], bool], Variant]] = {
    "add": _add,
    "average_pool_2d": _average_pool,
    "conv_2d": _convolution,
    "depthwise_conv_2d": _depthwise,
    "fully_connected": _fully_connected,
}
