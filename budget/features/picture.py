"""Pixels from a picture."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import MissingToolError, UsageError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
"""What is tried, whatever the file is called: Pillow would run programs for some others."""

_MOST_PIXELS = 50_000_000
# what Pillow's readers let through when damaged bytes make them stumble
_DAMAGE = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError,
    RuntimeError, SyntaxError, EOFError, struct.error, zlib.error,
)  # fmt: skip


def import_pillow() -> Any:
    """Pillow's module Image.

    Raises:
        MissingToolError: the package pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingToolError(
            "pictures are read by the package pillow, which is not installed",
            hint="pip install 'mcu-budget[images]'",
        ) from None
    return Image


def read_pixels(
    path: Path, height: int, width: int, channels: int, formats: Sequence[str] = FORMATS
) -> NDArray[np.float32]:
    """A picture scaled to a size.

    Args:
        path: of the file.
        height: wanted.
        width: wanted.
        channels: 1 for grey, 3 for colours.
        formats: of `FORMATS`.

    Returns:
        0 to 255, [height][width][channels].

    Raises:
        UsageError: the file is no picture of these formats, is damaged or has too many pixels.
        MissingToolError: the package pillow is not installed.
    """
    Image = import_pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage that does not keep it from being read
            with Image.open(path, formats=formats) as opened:
                pixels = opened.width * opened.height
                if pixels > _MOST_PIXELS:
                    raise UsageError(
                        f"has {pixels:,} pixels, more than {_MOST_PIXELS:,}", where=str(path)
                    )
                small: Any = opened.convert("L" if channels == 1 else "RGB").resize(
                    (width, height), Image.Resampling.BILINEAR
                )
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        reason = str(error).replace(repr(str(path)), "the file") or type(error).__name__
        raise UsageError(f"cannot be read as a picture: {reason[:80]}", where=str(path)) from None
    return np.asarray(small, np.float32).reshape(height, width, channels)
