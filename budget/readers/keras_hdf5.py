"""Bounded, link-free access to the HDF5 files in which Keras keeps weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, BinaryIO

import numpy as np

from budget.errors import CorruptModelError, MissingToolError
from budget.formats.keras_config import MAX_CONFIG_BYTES
from budget.graph.types import Array

_MAX_NAMES = 1 << 20
_COMPRESSION_LIMIT = 1000
_STUMBLES = (
    OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError,
    MemoryError, OverflowError, SystemError,
)  # fmt: skip
_PLAIN_FILTERS = {1, 2, 3}  # deflate, shuffle, fletcher32: built in, no plug-in is loaded


class ClaimsMemoryError(CorruptModelError):
    """What a file holds claims more memory than there is."""


@contextmanager
def hdf5_errors(where: str) -> Iterator[None]:
    """Turns what h5py raises on broken files into one error.

    Raises:
        CorruptModelError: h5py stumbled.
        ClaimsMemoryError: it found no memory for what the file says it holds.
    """
    try:
        yield
    except _STUMBLES as error:
        reason = str(error).strip("'\"") or type(error).__name__
        if isinstance(error, MemoryError) or "memory allocation failed" in reason:
            raise ClaimsMemoryError(
                "what the HDF5 file holds claims more memory than such a file can fill", where=where
            ) from None
        raise CorruptModelError(f"not a sound HDF5 file: {reason[:200]}", where=where) from None


@contextmanager
def _broken_passed_over() -> Iterator[None]:
    try:
        yield
    except ClaimsMemoryError:
        raise
    except CorruptModelError:
        pass


def import_h5py() -> Any:
    """The h5py module.

    Raises:
        MissingToolError: it is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise MissingToolError(
            "reading Keras weights needs h5py", hint="pip install 'mcu-budget[keras]'"
        ) from None
    return h5py


class Hdf5File:
    """An HDF5 file opened for reading, of which only plain members are given out."""

    def __init__(self, file: BinaryIO, size_bytes: int, where: str) -> None:
        h5py = import_h5py()
        self.where = where
        self.size_bytes = size_bytes
        with hdf5_errors(where):
            self._file = h5py.File(file, "r")
        self._h5py = h5py

    def has(self, path: str) -> bool:
        """Whether a group or dataset stands there."""
        with hdf5_errors(self.where):
            return self._find(path) is not None

    def attribute(self, path: str, name: str) -> Any:
        """An attribute of a group; None if it has none of that name."""
        with hdf5_errors(self.where):
            found = self._find(path)
            if found is None or name not in found.attrs:
                return None
            kind = found.attrs.get_id(name)
            if prod(kind.shape or (1,)) > _MAX_NAMES or kind.get_storage_size() > MAX_CONFIG_BYTES:
                raise CorruptModelError(f"attribute {name!r} is too large", where=self.where)
            return found.attrs[name]

    def names(self, path: str, attribute: str) -> list[str] | None:
        """A list of names, which Keras splits over several attributes if it is long."""
        found = self.attribute(path, attribute)
        parts = [] if found is None else [found]
        while (
            found is None and (part := self.attribute(path, f"{attribute}{len(parts)}")) is not None
        ):
            parts.append(part)
        if not parts:
            return None
        with hdf5_errors(self.where):
            return [text(name) for part in parts for name in np.asarray(part).ravel().tolist()]

    def array(self, path: str) -> Array | None:
        """A dataset's elements; None if nothing stands there.

        Raises:
            CorruptModelError: it is no plain array of numbers, or far larger than the file.
        """
        with hdf5_errors(self.where):
            found = self._find(path)
            if found is None:
                return None
            if not isinstance(found, self._h5py.Dataset) or found.shape is None:
                raise CorruptModelError(f"{path!r} is not an array", where=self.where)
            if found.dtype.kind not in "fiub":
                raise CorruptModelError(f"{path!r} holds no numbers", where=self.where)
            size_bytes = prod(found.shape) * found.dtype.itemsize
            stored_bytes = found.id.get_storage_size()
            if size_bytes > max(stored_bytes * _COMPRESSION_LIMIT, 1 << 16) or (
                size_bytes > self.size_bytes * _COMPRESSION_LIMIT
            ):
                raise CorruptModelError(
                    f"{path!r} claims {size_bytes:,} bytes and stores {stored_bytes:,}",
                    where=self.where,
                )
            self._check_storage(path, found)
            array: Array = np.asarray(found[()])
            return array

    def read_everything(self) -> None:
        """Reads every attribute and array; of these, what is broken is passed over.

        Raises:
            CorruptModelError: they cannot even be listed, so that not all was read.
            ClaimsMemoryError: one of them claims more memory than there is.
        """
        names: list[str] = []
        self._read_attributes("")
        with hdf5_errors(self.where):
            self._file.visit(names.append)
        for name in names:
            self._read_attributes(name)
            with _broken_passed_over():
                self.array(name)

    def _read_attributes(self, path: str) -> None:
        with hdf5_errors(self.where):
            found = list(self._find(path).attrs)
        for name in found:
            with _broken_passed_over():
                self.attribute(path, name)

    def _check_storage(self, path: str, dataset: Any) -> None:
        properties = dataset.id.get_create_plist()
        filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
        if dataset.external or dataset.is_virtual or not filters <= _PLAIN_FILTERS:
            raise CorruptModelError(
                f"{path!r} keeps its elements outside the file or in a foreign encoding",
                where=self.where,
            )

    def _find(self, path: str) -> Any:
        """Follows hard links only, one step at a time."""
        found = self._file
        for step in path.split("/"):
            if step in ("", "."):
                continue
            if not isinstance(found, self._h5py.Group):
                return None
            link = found.get(step, getlink=True)
            if link is None or (isinstance(link, self._h5py.HardLink) and step not in found):
                return None
            if not isinstance(link, self._h5py.HardLink):
                raise CorruptModelError(
                    f"{path!r} is a soft or external link, which is not followed", where=self.where
                )
            found = found[step]
        return found


def text(value: Any) -> str:
    """A name as text, whichever of its two types HDF5 gave it."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
