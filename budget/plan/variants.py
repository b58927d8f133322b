"""Implementations of kernels: their names, their buffers, and what they ask of weights and scales.

A name is a kind and its settings: ``armv7em-pointwise+u36`` unrolls 36 steps of the inner loop
(``+u``), ``+wide`` keeps weights as 16-bit numbers, ``+ram`` copies weights to RAM before pixels
use them. `budget.plan.alternatives` tells which of them a node may run.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from budget.analysis.operands import weight_axes
from budget.graph import ABSENT, DType, Graph, Node, QuantParams, TensorType
from budget.graph.types import Array
from budget.ops.fixed_point import quantize_multiplier, quantize_multipliers
from budget.ops.requantize import product_multipliers
from budget.records import record

DSP_CORES = ("cortex-m4", "cortex-m7", "cortex-m33")

_POINTWISE_BYTES = 2048  # of widened pixels: few enough for RAM, enough to amortise a call
REACH = 4000  # pixels and rows are addressed with 12-bit offsets
_PLANES_BYTES = 6144  # of images taken apart; where rows are cut, some are taken apart twice
# Steps of 50 bytes of code in the inner loop: with the 350 bytes that scale and store the sums
# these stay within an instruction cache of 1 KB.
UNROLLED_STEPS = 12
LONG_STEPS = 36  # fastest where memory never waits
UNROLLED_ROWS = 8  # of four taps, 116 bytes of code each
UNROLLED_BLOCKS = 3  # of 2 x 2 outputs of a depthwise layer, 250 bytes of code each
UNROLLED_TILES = 15  # pairs of channels: a pointer moves by less than 256 bytes at a time
SLACK_BYTES = 160  # steps that fill up the last time round a loop may read so far


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


def kind_of(name: str) -> str:
    """A variant's kind, without its settings."""
    return name.partition("+")[0]


def has_setting(name: str, setting: str) -> bool:
    """Whether a variant has a setting without a number: ``wide``, ``ram``."""
    return setting in name.split("+")[1:]


def number_of(name: str, letter: str, default: int) -> int:
    """A numbered setting of a variant: 36 of ``+u36``."""
    for setting in name.split("+")[1:]:
        if setting[:1] == letter and setting[1:].isdigit():
            return int(setting[1:])
    return default


def gemm_loops(depth: int, most: int = UNROLLED_STEPS) -> tuple[int, int]:
    """Times round the inner loop of a dense convolution, and steps of two taps in it.

    Args:
        depth: taps of one output.
        most: steps to unroll.
    """
    steps = -(-depth // 2)
    if steps <= most:
        return 1, steps
    times = -(-steps // most)
    exact = [n for n in range(times, 2 * times + 1) if steps % n == 0]
    times = exact[0] if exact else times
    return times, -(-steps // times)


def even_loops(steps: int, most: int) -> tuple[int, int]:
    """Times round a loop, and the steps in it, ``most`` at most, so that none is left."""
    per_loop = max(n for n in range(1, most + 1) if steps % n == 0)
    return steps // per_loop, per_loop


def row_loops(depth: int, most: int = UNROLLED_ROWS) -> tuple[int, int]:
    """Times round the inner loop of a fully connected layer, and steps of four taps in it."""
    return even_loops(depth // 4, most)


def gemm_bytes(depth: int, channels: int, variant: str = "") -> int:
    """Biases, weights and scales of every four channels."""
    times, steps = gemm_loops(depth, number_of(variant, "u", UNROLLED_STEPS))
    fours, ragged = -(-channels // 4), channels % 4 != 0 and not has_setting(variant, "ram")
    return 4 * fours * (four_words(times * steps, variant) + ragged)


def four_words(steps: int, variant: str) -> int:
    """Words of weights, biases and scales of four channels."""
    return (4 if has_setting(variant, "wide") else 2) * steps + 12


def row_bytes(depth: int, channels: int) -> int:
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
        return 2 * self.width * self.column + SLACK_BYTES


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


def pointwise_block(pixels: int, channels: int, variant: str = "") -> int:
    """Pixels to widen at a time: even, and never one alone at the end."""
    most_bytes = number_of(variant, "b", _POINTWISE_BYTES)
    block = min(max(2, most_bytes // (2 * channels) // 2 * 2), pixels + pixels % 2)
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
    near = words * 4 * 3 + 8 <= REACH and (out_w + 1) * y.shape[3] <= REACH
    square = (k_h, k_w, stride_h, stride_w) == (3, 3, 1, 1)
    together = 2 if square and out_h > 1 and near else 1
    most = max(1, (_PLANES_BYTES // (16 * words) - k_h) // stride_h + 1)
    block = out_h
    if out_h > most:
        block = max(together, most // together * together)
        while together == 2 and out_h % block == 1:
            block += 2
    return Planes(words, (block - 1) * stride_h + k_h, block, together)


def row_words_of(taps: int, stride: int, *, is_resident: bool) -> int:
    """Words that hold a row of taps: pairs from the first on and, if needed, from the second on."""
    if is_resident:
        return 2  # w0 w1, w1 w2
    return (taps + 1) // 2 + (taps // 2 if stride % 2 else 0)


def fits_packed(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> bool:
    """Whether two weights fit one halfword, their sums come apart again, and scales are small."""
    data = integer_weights(node, graph)
    if data is None or data.min(initial=0) < -127 or not is_plain(node, graph, types):
        return False
    sums = np.abs(data.astype(np.int64)).sum(tuple(range(1, data.ndim)))
    return int(sums.max(initial=0)) * 128 < 1 << 23


def integer_weights(node: Node, graph: Graph) -> Array | None:
    """Weights as the device holds them; None where they are computed.

    Those of a float graph that is judged as integers are rounded channel by channel, as
    quantisation would.
    """
    data = graph.constant(node.inputs[1])
    if data is None or not np.issubdtype(data.dtype, np.floating):
        return data
    channel = weight_axes(node.op)[1]
    others = tuple(axis for axis in range(data.ndim) if axis != channel)
    values = data.astype(np.float64)
    largest = np.abs(values).max(others, keepdims=True, initial=0)
    rounded: Array = np.rint(values * (127 / np.where(largest > 0, largest, 1)))
    return rounded


def is_plain(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> bool:
    """Whether 8-bit weights without zero points, bias and scales are known and scales are small.

    A float graph that is judged as integers has no scales yet; small ones are usual.
    """
    x, w, y = types[node.inputs[0]], types[node.inputs[1]], types[node.outputs[0]]
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8:
        return False
    bias = node.inputs[2] if len(node.inputs) > 2 else ABSENT
    if any(name != ABSENT and graph.constant(name) is None for name in (node.inputs[1], bias)):
        return False
    if is_to_be_quantized(node, graph):
        return True
    return w.quant is not None and not w.quant.zero_point.any() and has_short_shifts(x, w, y)


def is_to_be_quantized(node: Node, graph: Graph) -> bool:
    """Whether a node of a float graph is judged as integers, before there are scales."""
    names = (*node.present_inputs[:2], node.outputs[0])
    return all(graph.type_of(name).dtype.is_float for name in names)


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


def sum_multiplier(a: QuantParams, b: QuantParams, y: QuantParams) -> tuple[int, int]:
    """Multiplier and right shift of a sum at 2^20 times twice the larger scale."""
    twice_largest = 2 * max(float(a.scale[0]), float(b.scale[0]))
    q, shift = quantize_multiplier(twice_largest / ((1 << 20) * float(y.scale[0])))
    return q, -shift


def is_short_sum(node: Node, graph: Graph, types: Mapping[str, TensorType]) -> bool:
    """Whether two computed 8-bit operands of one shape are added, and the sum's scale is small."""
    a, b, y = (types[name] for name in (*node.inputs[:2], node.outputs[0]))
    if any(graph.constant(name) is not None for name in node.inputs) or a.shape != b.shape:
        return False
    if a.dtype is not DType.INT8 or b.dtype is not DType.INT8:
        return False
    if is_to_be_quantized(node, graph):
        return True
    if a.quant is None or b.quant is None or y.quant is None:
        return False
    q, shift = sum_multiplier(a.quant, b.quant, y.quant)
    return bool(q) and shift >= 2
