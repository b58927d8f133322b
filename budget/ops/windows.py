"""Geometry of windows that slide over images [n][h][w][c], one dimension at a time."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.ops.operator import Padding
from budget.records import record

LARGEST_EXTENT = 1 << 22
"""Rows or columns of an image with its padding; four minutes of sound at 16 kHz."""


@record
class Slide:
    """How a window moves along one dimension of an image.

    Attributes:
        extent: elements of the image.
        before: padding in front of it.
        after: padding behind it.
        taps: elements of the window.
        stride: elements that it moves.
        dilation: elements between neighbouring taps.
    """

    extent: int
    before: int
    after: int
    taps: int
    stride: int = 1
    dilation: int = 1

    @cached_property
    def count(self) -> int:
        """Places that the window takes.

        Raises:
            ModelError: the window does not fit, or a stride, padding or extent makes no sense.
        """
        if min(self.taps, self.stride, self.dilation) < 1 or min(self.before, self.after) < 0:
            raise ModelError(
                f"a window of {self.taps} taps with stride {self.stride}, dilation "
                f"{self.dilation} and padding {self.before}, {self.after} makes no sense"
            )
        if max(self.extent + self.before + self.after, self.taps * self.dilation) > LARGEST_EXTENT:
            raise ModelError(
                f"an image of {self.extent} rows or columns, or a window of {self.taps}, is larger "
                f"than any that is run on a microcontroller ({LARGEST_EXTENT})"
            )
        room = self.extent + self.before + self.after - (self.taps - 1) * self.dilation - 1
        if room < 0:
            raise ModelError(
                f"a window of {self.taps} taps, {self.dilation} apart, is larger than the padded "
                f"image ({self.extent} + {self.before} + {self.after})"
            )
        return room // self.stride + 1

    @cached_property
    def inside(self) -> int:
        """Taps that fall on the image rather than on padding, over all places of the window."""
        return int(self.inside_each().sum())

    def inside_each(self) -> NDArray[np.int64]:
        """Taps on the image for each place of the window."""
        places = np.arange(self.count) * self.stride - self.before
        first = np.maximum(-(places // self.dilation), 0)
        last = np.minimum((self.extent - 1 - places) // self.dilation, self.taps - 1)
        counts: NDArray[np.int64] = np.maximum(last - first + 1, 0)
        return counts

    @cached_property
    def outside(self) -> tuple[bool, ...]:
        """For each tap of the window: whether it falls on padding at some place."""
        places = np.arange(self.count) * self.stride - self.before
        taps = np.arange(self.taps) * self.dilation
        seen = places[:, None] + taps[None, :]
        outside: NDArray[np.bool_] = (seen < 0) | (seen >= self.extent)
        return tuple(bool(tap.any()) for tap in outside.T)


def taps_on_padding(slide: Slide) -> NDArray[np.bool_]:
    """For each tap of the window: whether it falls on padding at some place."""
    return np.array(slide.outside, np.bool_)


def slides(
    shape: tuple[int, ...],
    taps: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int] = (1, 1),
) -> tuple[Slide, Slide]:
    """The vertical and the horizontal slide of a window over an image of ``shape``.

    Raises:
        ModelError: the shape is not [n][h][w][c].
    """
    if len(shape) != 4:
        raise ModelError(f"a window needs an image [n][h][w][c], not one of shape {shape}")
    return (
        _slide(shape[1], padding.top, padding.bottom, taps[0], stride[0], dilation[0]),
        _slide(shape[2], padding.left, padding.right, taps[1], stride[1], dilation[1]),
    )


# layers of one network repeat their windows, and what a slide has counted it keeps
_slide = lru_cache(maxsize=1024)(Slide)


def pad(x: NDArray[np.generic], rows: Slide, columns: Slide, fill: float) -> NDArray[np.generic]:
    """The image with its padding around it."""
    around = ((0, 0), (rows.before, rows.after), (columns.before, columns.after), (0, 0))
    if not any(map(any, around)):
        return x
    return np.pad(x, around, constant_values=np.asarray(fill, x.dtype))


def windows(padded: NDArray[np.generic], rows: Slide, columns: Slide) -> NDArray[np.generic]:
    """A view [n][out h][out w][c][tap rows][tap columns] of a padded image."""
    reach = (
        (rows.taps - 1) * rows.dilation + 1,
        (columns.taps - 1) * columns.dilation + 1,
    )
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    return view[:, :: rows.stride, :: columns.stride, :, :: rows.dilation, :: columns.dilation]


def tap_view(
    padded: NDArray[np.generic], rows: Slide, columns: Slide, row: int, column: int
) -> NDArray[np.generic]:
    """What one tap of the window sees: a view [n][out h][out w][c] of a padded image."""
    top, left = row * rows.dilation, column * columns.dilation
    bottom = top + (rows.count - 1) * rows.stride + 1
    right = left + (columns.count - 1) * columns.stride + 1
    return padded[:, top : bottom : rows.stride, left : right : columns.stride]
