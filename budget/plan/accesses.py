"""Plays a kernel's reads and writes on addresses, for the checker of plans.

It knows nothing of how distances are computed: it lists, tap by tap, which output element is the
last to read each input element, and compares addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.graph import Node, TensorType

Int64s = NDArray[np.int64]


def destroys_input(
    node: Node,
    types: Mapping[str, TensorType],
    input_start: int,
    output_start: int,
    lookahead: int,
) -> bool:
    """Whether a step writes some byte of its first input before it reads it for the last time.

    Args:
        node: a convolution, a pool or a fully connected layer.
        types: deployed types.
        input_start: address of input 0. [bytes]
        output_start: address of output 0. [bytes]
        lookahead: pixels or rows behind the current one that the kernel may have written.
    """
    x, y = types[node.inputs[0]], types[node.outputs[0]]
    last_reader = _last_readers(node, types)
    if last_reader is None:
        return True
    unit = y.shape[-1] if y.shape else 1
    if lookahead:
        last_reader = np.where(
            last_reader >= 0, (last_reader // unit + lookahead + 1) * unit - 1, -1
        )
    x_bytes, y_bytes = x.dtype.bits // 8, y.dtype.bits // 8
    begin = input_start + np.arange(x.element_count) * x_bytes
    # the first output element that covers some byte of the input element
    first_writer = np.maximum((begin - output_start) // y_bytes, 0)
    is_covered = (begin + x_bytes > output_start) & (first_writer < y.element_count)
    destroyed = is_covered & (last_reader >= 0) & (first_writer < last_reader)
    return bool(destroyed.any())


def planes_destroy_input(node: Node, types: Mapping[str, TensorType], block: int) -> bool:
    """Whether a depthwise kernel that works in place loses something before it reads it.

    It takes four channels of the rows that ``block`` rows of outputs see apart, computes these
    outputs, and goes on to the next rows, then to the next four channels; the last four may
    include some that it has done already.

    Args:
        node: a depthwise convolution whose input and output have one shape and one address.
        types: deployed types.
        block: rows of outputs computed at a time.
    """
    _, height, _, channels = types[node.inputs[0]].shape
    taps = types[node.inputs[1]].shape[1]
    stride, top_padding = node.attributes.stride[0], node.attributes.padding.top
    intact = np.ones((height, channels), bool)
    for four in range(0, channels, 4):
        first = min(four, channels - 4)
        for top in range(0, height, block):
            stop = min(top + block, height)
            begin = max(top * stride - top_padding, 0)
            end = (stop - 1) * stride - top_padding + taps
            if not intact[begin:end, first : first + 4].all():
                return True
            intact[top:stop, first : first + 4] = False
    return False


def selected_elements(node: Node, types: Mapping[str, TensorType]) -> list[int | None] | None:
    """For a node that cuts its input: index of the first element of each output.

    Found by cutting an array of indices. None for an output whose elements do not follow one
    another; None instead of a list for nodes that do not cut.
    """
    attributes = node.attributes
    if node.op not in {"slice", "strided_slice", "split", "unpack"}:
        return None
    x = types[node.inputs[0]]
    indices = np.arange(x.element_count).reshape(x.shape)
    match node.op:
        case "slice":
            bounds = zip(attributes.begin, attributes.size, strict=True)
            cuts = [indices[tuple(slice(begin, begin + size) for begin, size in bounds)]]
        case "strided_slice":
            triples = zip(attributes.begin, attributes.end, attributes.stride, strict=True)
            cuts = [indices[np.ix_(*(range(*triple) for triple in triples))]]
        case "split":
            cuts = np.split(indices, np.cumsum(attributes.sizes)[:-1], axis=attributes.axis)
        case _:
            cuts = list(np.moveaxis(indices, attributes.axis, 0))
    flat = [cut.reshape(-1) for cut in cuts]
    return [
        int(cut[0]) if cut.size and np.array_equal(cut, cut[0] + np.arange(cut.size)) else None
        for cut in flat
    ]


def _last_readers(node: Node, types: Mapping[str, TensorType]) -> Int64s | None:
    """Per input element, flat: index of the last output element that reads it, or -1."""
    x, y = types[node.inputs[0]], types[node.outputs[0]]
    if min(x.dtype.bits, y.dtype.bits) < 8:
        return None
    match node.op:
        case "conv_2d":
            out, height, width, depth = types[node.inputs[1]].shape
            filters = out // (x.shape[3] // depth)
            channel = (np.arange(x.shape[3]) // depth + 1) * filters - 1
        case "depthwise_conv_2d":
            _, height, width, out = types[node.inputs[1]].shape
            channel = np.full(x.shape[3], -1)
            channel[np.arange(out) // (out // x.shape[3])] = np.arange(out)
        case "average_pool_2d" | "max_pool_2d":
            height, width = node.attributes.filter
            channel = np.arange(x.shape[3])
        case "fully_connected":
            out, depth = types[node.inputs[1]].shape
            row = np.arange(x.element_count) // depth
            return np.asarray(row * out + out - 1)
        case _:
            return None
    pixels = _last_pixels(node.attributes, x.shape, y.shape, (height, width))
    images = np.arange(x.shape[0])[:, None, None] * (y.shape[1] * y.shape[2])
    last = np.where(pixels >= 0, images + pixels, -1)[..., None]
    return np.where(last >= 0, last * y.shape[3] + channel, -1).reshape(-1)


def _last_pixels(
    attributes: Any, x: tuple[int, ...], y: tuple[int, ...], taps: tuple[int, int]
) -> Int64s:
    """Per input pixel [h][w]: the last output pixel whose window touches it, or -1."""
    found = np.full(x[1:3], -1, np.int64)
    numbers = np.arange(y[1] * y[2]).reshape(y[1:3])
    dilation = getattr(attributes, "dilation", (1, 1))
    for tap_h in range(taps[0]):
        h = np.arange(y[1]) * attributes.stride[0] - attributes.padding.top + tap_h * dilation[0]
        for tap_w in range(taps[1]):
            w = np.arange(y[2]) * attributes.stride[1] - attributes.padding.left
            w = w + tap_w * dilation[1]
            rows, columns = (h >= 0) & (h < x[1]), (w >= 0) & (w < x[2])
            here = np.ix_(h[rows], w[columns])
            found[here] = np.maximum(found[here], numbers[np.ix_(rows, columns)])
    return found
