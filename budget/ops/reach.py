"""How far the writing of an output may run ahead of the reading of its input.

A kernel that computes the elements of its output one after another in memory order reads input
element i for the last time when it computes output element L(i); by then it has written all
outputs before L(i). An output that starts ``reach`` bytes below its input, or more, never destroys
what is still to be read:

    reach = max over i of  L(i) · bytes of an output element - i · bytes of an input element

One byte less and some element would be overwritten before it is read. A kernel that computes
several pixels together may have written the ones behind, too: its ``lookahead``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from budget.graph.types import TensorType
from budget.ops.windows import Slide


def last_places(slide: Slide) -> NDArray[np.int64]:
    """For each element of an image's dimension the last place of the window that reads it, or -1.

    Args:
        slide: of the window along that dimension.
    """
    last = np.full(slide.extent, -1, np.int64)
    places = np.arange(slide.count)
    for tap in range(slide.taps):
        seen = places * slide.stride - slide.before + tap * slide.dilation
        inside = (seen >= 0) & (seen < slide.extent)
        last[seen[inside]] = np.maximum(last[seen[inside]], places[inside])
    return last


def window_reach_bytes(
    rows: Slide,
    columns: Slide,
    x: TensorType,
    y: TensorType,
    channels: Iterable[tuple[int, int]],
    lookahead: int = 0,
) -> int | None:
    """Reach of an operator that slides a window over images, pixel by pixel, row by row.

    Args:
        rows: vertical slide.
        columns: horizontal slide.
        x: images [n][h][w][c].
        y: outputs [n][out h][out w][c].
        channels: (input channel, last output channel that reads it), all extremes included.
        lookahead: output pixels behind the current one that may have been written.

    Returns:
        Bytes, at least 0; None where elements are smaller than a byte.
    """
    if min(x.dtype.bits, y.dtype.bits) < 8:
        return None
    x_bytes, y_bytes = x.dtype.bits // 8, y.dtype.bits // 8
    in_pixel, out_pixel = x.shape[3] * x_bytes, y.shape[3] * y_bytes
    total = 0
    # the last reader of a pixel is the last row that reads its row, and there the last column
    for slide, in_step, out_step in (
        (rows, columns.extent * in_pixel, columns.count * out_pixel),
        (columns, in_pixel, out_pixel),
    ):
        last = last_places(slide)
        read = last >= 0
        if not read.any():
            return 0
        total += int((last * out_step - np.arange(slide.extent) * in_step)[read].max())
    # images one after another: the first or the last
    images = x.shape[0] - 1
    total += max(0, images * (y.size_bytes // y.shape[0] - x.size_bytes // x.shape[0]))
    if lookahead:
        return max(0, total + (lookahead + 1) * out_pixel - y_bytes)
    return max(0, total + max(last * y_bytes - first * x_bytes for first, last in channels))


def rows_reach_bytes(
    row_count: int, x: TensorType, y: TensorType, lookahead: int = 0
) -> int | None:
    """Reach of an operator that makes each row of its output from one row of its input.

    Args:
        row_count: rows of both.
        x: rows one after another.
        y: likewise.
        lookahead: output rows behind the current one that may have been written.

    Returns:
        Bytes, at least 0; None where elements are smaller than a byte.
    """
    if min(x.dtype.bits, y.dtype.bits) < 8 or not row_count:
        return None
    out_row, in_row = y.size_bytes // row_count, x.size_bytes // row_count
    last_element = (lookahead + 1) * out_row - y.dtype.bits // 8
    return max(0, max(0, (row_count - 1) * (out_row - in_row)) + last_element)
