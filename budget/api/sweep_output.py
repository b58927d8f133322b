"""Tables written as their parts come: Parquet through pyarrow, CSV without anything."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from budget.errors import MissingToolError, UsageError


class SweepWriter(Protocol):
    """Appends blocks to a table."""

    def write(self, columns: Mapping[str, Any], rows: int) -> None:
        """Appends a block.

        Args:
            columns: name → array, or what all rows share; the same names every time.
            rows: how many.
        """

    def close(self) -> None:
        """Writes what is still to be written."""


@contextmanager
def open_writer(path: Path) -> Iterator[SweepWriter]:
    """A table that appears under its name only once it is whole.

    Raises:
        UsageError: a name that says no format, or a place that cannot be written.
        MissingToolError: Parquet needs pyarrow.
    """
    if path.suffix not in {".parquet", ".csv"}:
        raise UsageError(
            "the table's format is not known by its name",
            where=f"-o {path}",
            hint="end it in .parquet or .csv",
        )
    with _told(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    temporary = Path(name)
    try:
        part = _ParquetWriter if path.suffix == ".parquet" else _CsvWriter
        writer: SweepWriter = part(path, temporary)
        try:
            yield writer
        finally:
            writer.close()
        # a temporary file is its owner's alone; the table is as open as any new file
        umask = os.umask(0)
        os.umask(umask)
        with _told(path):
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Failures to write, told of the table's own name."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror or error}",
            where=f"-o {path}",
            hint="choose another place or make room",
        ) from None


class _CsvWriter:
    def __init__(self, path: Path, temporary: Path) -> None:
        self._path = path
        with _told(path):
            self._file = temporary.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._empty = True

    def write(self, columns: Mapping[str, Any], rows: int) -> None:
        lists = [_listed(value, rows) for value in columns.values()]
        with _told(self._path):
            if self._empty:
                self._writer.writerow(columns)
                self._empty = False
            self._writer.writerows(zip(*lists, strict=True))

    def close(self) -> None:
        with _told(self._path):
            self._file.close()


def _listed(value: Any, rows: int) -> list[Any]:
    array = np.asarray(value)
    if array.ndim == 0:
        item = array.item()
        return ["" if item != item else item] * rows
    found: list[Any] = array.tolist()
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        return ["" if item != item else item for item in found]
    return found


class _ParquetWriter:
    def __init__(self, path: Path, temporary: Path) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise MissingToolError(
                "Parquet is written by pyarrow, which is not installed",
                where="-o",
                hint="pip install 'mcu-budget[sweep]', or end the name in .csv",
            ) from None
        self._pa, self._parquet = pa, parquet
        self._path, self._temporary = path, temporary
        self._writer: Any = None

    def write(self, columns: Mapping[str, Any], rows: int) -> None:
        arrays = {name: self._array(value, rows) for name, value in columns.items()}
        table = self._pa.table(arrays)
        with _told(self._path):
            if self._writer is None:
                self._writer = self._parquet.ParquetWriter(self._temporary, table.schema)
            self._writer.write_table(table)

    def _array(self, value: Any, rows: int) -> Any:
        """Texts as a dictionary, whose entries are written once; NaN as null."""
        array = np.asarray(value)
        if array.dtype.kind == "U":
            if array.ndim == 0:
                codes, texts = np.zeros(rows, np.int32), [array.item()]
            else:
                found, where = np.unique(array, return_inverse=True)
                codes, texts = where.astype(np.int32), found.tolist()
            return self._pa.DictionaryArray.from_arrays(self._pa.array(codes), texts)
        full = np.broadcast_to(array, (rows,))
        if array.dtype.kind == "f":
            return self._pa.array(full, mask=np.isnan(full))
        return self._pa.array(full)

    def close(self) -> None:
        with _told(self._path):
            if self._writer is not None:
                self._writer.close()
