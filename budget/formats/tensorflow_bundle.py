"""TensorFlow's checkpoints: an index in the format of LevelDB's tables, and shards of bytes.

Sources: https://github.com/google/leveldb/blob/main/doc/table_format.md and
tensorflow/core/util/tensor_bundle/tensor_bundle.h.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from budget.errors import CorruptModelError, ModelError, UnsupportedModelError
from budget.formats.protobuf import Message, read_varint
from budget.formats.tensorflow_schema import BUNDLE_ENTRY, BUNDLE_HEADER, DataType
from budget.formats.tensorflow_values import decode_dtype, decode_shape, graph_dtype
from budget.graph.types import Array

Extent = tuple[int, int]
"""Start and length along one dimension."""

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5


def read_table(data: bytes, where: str) -> dict[bytes, bytes]:
    """All keys and values of a table.

    Raises:
        CorruptModelError: it is damaged.
        UnsupportedModelError: it is compressed.
    """
    view = memoryview(data)
    if len(view) < _FOOTER_BYTES or struct.unpack_from("<Q", view, len(view) - 8)[0] != _MAGIC:
        raise CorruptModelError("this is not the index of a checkpoint, or it is cut off",
                                where=where)  # fmt: skip
    footer = view[-_FOOTER_BYTES:-8]
    _, position = _handle(footer, 0, where)
    index, _ = _handle(footer, position, where)
    table: dict[bytes, bytes] = {}
    for _, handle in _block(view, index, where):
        for key, value in _block(view, _handle(memoryview(handle), 0, where)[0], where):
            table[key] = value
    return table


def _handle(data: memoryview, position: int, where: str) -> tuple[tuple[int, int], int]:
    offset, position = read_varint(data, position, where)
    size, position = read_varint(data, position, where)
    return (offset, size), position


def _block(data: memoryview, handle: tuple[int, int], where: str) -> Iterator[tuple[bytes, bytes]]:
    offset, size = handle
    end = offset + size
    if size < 4 or end + _TRAILER_BYTES > len(data):
        raise CorruptModelError("a block of the index lies outside the file", where=where)
    checksum = struct.unpack_from("<I", data, end + 1)[0]
    if _unmask(checksum) != crc32c(data[offset : end + 1]):
        raise CorruptModelError("a block of the index is damaged", where=where)
    if data[end] != 0:
        raise UnsupportedModelError(
            "the index of the checkpoint is compressed", where=where, hint="save the model again"
        )
    block = data[offset:end]
    restarts = struct.unpack_from("<I", block, size - 4)[0]
    stop = size - 4 - 4 * restarts
    position, key = 0, b""
    while position < stop:
        shared, position = read_varint(block, position, where)
        fresh, position = read_varint(block, position, where)
        length, position = read_varint(block, position, where)
        if shared > len(key) or position + fresh + length > stop:
            raise CorruptModelError("an entry of the index is damaged", where=where)
        key = key[:shared] + bytes(block[position : position + fresh])
        position += fresh
        yield key, bytes(block[position : position + length])
        position += length


class Bundle:
    """The variables of a checkpoint; elements are read when asked for.

    Args:
        prefix: path of the checkpoint without ``.index``.
        where: the model, to name in errors.

    Raises:
        ModelError: the index is missing.
        CorruptModelError: it is damaged.
    """

    def __init__(self, prefix: Path, where: str) -> None:
        self.prefix = prefix
        index = prefix.with_name(prefix.name + ".index")
        self.where = f"{where}: {index.name}"
        if not index.is_file():
            raise ModelError(
                "the variables of the model are missing",
                where=self.where,
                hint="copy the whole folder, variables/ included",
            )
        table = read_table(index.read_bytes(), self.where)
        header = BUNDLE_HEADER.decode(table.pop(b"", b""), self.where)
        if header.endianness != 0:
            raise UnsupportedModelError("the checkpoint is big-endian", where=self.where)
        self.shard_count = header.num_shards
        decoded = {key: BUNDLE_ENTRY.decode(value, self.where) for key, value in table.items()}
        # a name that starts with a zero byte is that of a slice
        self.entries: dict[str, Message] = {
            key.decode("utf-8", "replace"): entry
            for key, entry in decoded.items()
            if not key.startswith(b"\0")
        }
        self._slices = {key: entry for key, entry in decoded.items() if key.startswith(b"\0")}

    def read(self, key: str) -> tuple[DataType, Array]:
        """Element type and contents of a tensor.

        Raises:
            ModelError: there is none of that name, or its file is missing.
            CorruptModelError: its bytes or its slices are not all there.
            UnsupportedModelError: it is not made of numbers.
        """
        where = f"{self.where}: {key}"
        entry = self.entries.get(key)
        if entry is None:
            raise ModelError("the checkpoint has no such variable", where=where)
        if entry.slices:
            return self._joined(key, entry, where)
        return self._read(entry, where)

    def _read(self, entry: Message, where: str) -> tuple[DataType, Array]:
        dtype, numpy_type = _numeric_type(entry, where)
        shape = decode_shape(entry.shape, where).known
        width = 2 if dtype is DataType.BFLOAT16 else numpy_type.itemsize
        if shape is None or math.prod(shape) * width != entry.size or entry.offset < 0:
            raise CorruptModelError(
                f"shape {shape} does not go with {entry.size} bytes", where=where
            )
        content = self._bytes(entry, where)
        if dtype is DataType.BFLOAT16:
            wide = np.frombuffer(content, "<u2").astype(np.uint32) << np.uint32(16)
            return dtype, wide.view(np.float32).reshape(shape)
        return dtype, np.frombuffer(content, numpy_type).reshape(shape)

    def _joined(self, key: str, entry: Message, where: str) -> tuple[DataType, Array]:
        """A partitioned variable: its slices, each under a name of its own, put together."""
        dtype, _ = _numeric_type(entry, where)
        shape = decode_shape(entry.shape, where).known
        if shape is None:
            raise CorruptModelError("a sliced variable has no shape", where=where)
        parts = []
        for item in entry.slices:
            extents = [(e.start, e.length) if e.has("length") else None for e in item.extent]
            part = self._slices.get(_slice_key(key, extents))
            if part is None or part.dtype != entry.dtype:
                raise CorruptModelError("a slice of the variable is missing", where=where)
            parts.append((slice_index(shape, extents, where), self._read(part, where)[1]))
        if sum(array.size for _, array in parts) != math.prod(shape):
            raise CorruptModelError("the slices do not make up the variable", where=where)
        # memory is taken only now that bytes of that number have been read
        whole = np.empty(shape, parts[0][1].dtype)
        filled = np.zeros(shape, np.bool_)
        for index, array in parts:
            if whole[index].shape != array.shape or filled[index].any():
                raise CorruptModelError("the slices do not make up the variable", where=where)
            whole[index], filled[index] = array, True
        return dtype, whole

    def _bytes(self, entry: Message, where: str) -> bytes:
        name = f"{self.prefix.name}.data-{entry.shard_id:05d}-of-{self.shard_count:05d}"
        path = self.prefix.with_name(name)
        if not path.is_file():
            raise ModelError(
                f"{name} is missing", where=where, hint="copy the whole folder, variables/ included"
            )
        if entry.offset + entry.size > path.stat().st_size:
            raise CorruptModelError(f"{name} is cut off", where=where)
        with path.open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size)


def _numeric_type(entry: Message, where: str) -> tuple[DataType, np.dtype[Any]]:
    dtype = decode_dtype(entry.dtype, where)
    numpy_type = graph_dtype(dtype, where).numpy
    if numpy_type.kind == "O":
        raise UnsupportedModelError("the variable is not numeric", where=where)
    return dtype, numpy_type


def slice_index(
    shape: tuple[int, ...], extents: Sequence[Extent | None], where: str
) -> tuple[slice, ...]:
    """Where a slice lies in a variable of that shape.

    Args:
        shape: of the whole variable.
        extents: start and length by dimension, None where the slice spans it.
        where: the variable, to name in errors.

    Raises:
        CorruptModelError: it lies outside.
    """
    index = []
    if len(extents) != len(shape):
        raise CorruptModelError("a slice has another rank than its variable", where=where)
    for size, extent in zip(shape, extents, strict=True):
        start, length = (0, size) if extent is None else extent
        if start < 0 or length < 0 or start + length > size:
            raise CorruptModelError("a slice lies outside its variable", where=where)
        index.append(slice(start, start + length))
    return tuple(index)


def _slice_key(name: str, extents: Sequence[Extent | None]) -> bytes:
    """The name of a slice: tensorflow/core/util/saved_tensor_slice_util.cc, ordered_code.cc."""
    escaped = name.encode().replace(b"\xff", b"\xff\0").replace(b"\0", b"\0\xff") + b"\0\1"
    rank = len(extents)
    count = bytes((1, rank)) if rank else b"\0"
    ends = b"".join(_ordered(end) for extent in extents for end in extent or (0, -1))
    return b"\0" + escaped + count + ends


def _ordered(number: int) -> bytes:
    """A signed number whose bytes sort as it does: the bits before the sign count the bytes."""
    length = (number if number >= 0 else ~number).bit_length() // 7 + 1
    header = ((1 << length) - 1) << 8 * length - length
    return (number % (1 << 8 * length) ^ header).to_bytes(length, "big")


def _unmask(masked: int) -> int:
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes | memoryview) -> int:
    """Castagnoli's checksum, RFC 3720 appendix B.4."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
