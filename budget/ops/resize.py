"""Images brought to another size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResizeAttributes:
    """Attributes of `ResizeNearest` and `ResizeBilinear`.

    Attributes:
        size: output height and width.
        align_corners: the corner pixels of input and output fall together.
        half_pixel_centers: a pixel's place is its centre, not its corner.
    """

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False
