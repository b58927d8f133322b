"""TensorFlow's checkpoints: an index in the format of LevelDB's tables, and shards of bytes.

Sources: https://github.com/google/leveldb/blob/main/doc/table_format.md and
tensorflow/core/util/tensor_bundle/tensor_bundle.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from budget.errors import CorruptModelError, ModelError, UnsupportedModelError
from budget.formats.protobuf import Message, read_varint
from budget.formats.tensorflow_schema import BUNDLE_ENTRY, BUNDLE_HEADER, DataType
from budget.formats.tensorflow_values import decode_dtype, decode_shape, graph_dtype
from budget.graph.types import Array

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
        self.entries: dict[str, Message] = {
            key.decode("utf-8", "replace"): BUNDLE_ENTRY.decode(value, self.where)
            for key, value in table.items()
        }

    def read(self, key: str) -> tuple[DataType, Array]:
        """Element type and contents of a tensor.

        Raises:
            ModelError: there is none of that name, or its file is missing.
            CorruptModelError: its bytes are not all there.
            UnsupportedModelError: it is stored in slices, or not made of numbers.
        """
        where = f"{self.where}: {key}"
        entry = self.entries.get(key)
        if entry is None:
            raise ModelError("the checkpoint has no such variable", where=where)
        dtype = decode_dtype(entry.dtype, where)
        shape = decode_shape(entry.shape, where).known
        numpy_type = graph_dtype(dtype, where).numpy
        if entry.slices or numpy_type.kind == "O":
            raise UnsupportedModelError("the variable is sliced or not numeric", where=where)
        width = 2 if dtype is DataType.BFLOAT16 else numpy_type.itemsize
        count = 1
        for extent in shape or ():
            count *= extent
        if shape is None or count * width != entry.size or entry.offset < 0:
            raise CorruptModelError(
                f"shape {shape} does not go with {entry.size} bytes", where=where
            )
        content = self._bytes(entry, where)
        if dtype is DataType.BFLOAT16:
            wide = np.frombuffer(content, "<u2").astype(np.uint32) << np.uint32(16)
            return dtype, wide.view(np.float32).reshape(shape)
        return dtype, np.frombuffer(content, numpy_type).reshape(shape)

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
