"""What TensorFlow's padding modes mean in numbers."""

from __future__ import annotations


def same_padding(
    image: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) that SAME adds; an odd row or column goes behind.

    Args:
        image: rows and columns of the input (of the output, for a transposed convolution).
        window: rows and columns of the window.
        stride: rows and columns it moves.
        dilation: rows and columns between neighbouring taps.

    Source: ComputePaddingHeightWidth in tensorflow/lite/kernels/padding.h.
    """
    sides: list[int] = []
    for extent, taps, step, gap in zip(image, window, stride, dilation):
        out = -(-extent // step)
        total = max((out - 1) * step + (taps - 1) * gap + 1 - extent, 0)
        sides += (total // 2, total - total // 2)
    return sides[0], sides[1], sides[2], sides[3]
