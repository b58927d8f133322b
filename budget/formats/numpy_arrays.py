"""Arrays from .npy and .npz files; whatever the bytes are, they are arrays or one clear error."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

from budget.errors import UsageError
from budget.graph.types import Array

# each was raised for damaged bytes by what reads them
_DAMAGE = (
    # the file, its magic, its length
    OSError, ValueError, EOFError,
    # archives: directory, members, a method or a password that nobody has
    zipfile.BadZipFile, struct.error, zlib.error, lzma.LZMAError, RuntimeError,
    # a header is a Python literal: its text, its types, its numbers
    TokenError, SyntaxError, TypeError, LookupError, OverflowError, MemoryError,
)  # fmt: skip


def read_arrays(
    path: Path,
    *,
    most_bytes: int | None = None,
    hint: str = "save it with numpy.save or numpy.savez",
) -> dict[str, Array]:
    """Arrays by name; that of a .npy file has the file's.

    Args:
        path: of the file.
        most_bytes: that the arrays may unfold into.
        hint: how such a file is made.

    Raises:
        UsageError: there is no such file, it is damaged or too large, or holds other things.
    """
    try:
        size_bytes = _unfolded_bytes(path)
        if most_bytes is not None and size_bytes > most_bytes:
            raise UsageError(
                f"holds {size_bytes:,} bytes of examples, more than {most_bytes:,}",
                where=str(path),
                hint="save fewer",
            )
        with path.open("rb") as file:  # numpy leaves it open where the archive is damaged
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {path.stem: loaded}
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except _DAMAGE as error:
        raise UsageError(
            f"cannot be read as an array: {str(error) or type(error).__name__}",
            where=str(path),
            hint=hint,
        ) from None
    # a member that does not begin like an array is given out as bytes
    strange = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if strange:
        raise UsageError(f"{', '.join(strange)} inside it is no array", where=str(path), hint=hint)
    return arrays


def _unfolded_bytes(path: Path) -> int:
    """What memory the file's contents take, by its own word."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return sum(info.file_size for info in archive.infolist())
    return path.stat().st_size
