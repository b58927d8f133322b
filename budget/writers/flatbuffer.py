"""Encodes nested mappings as TensorFlow Lite flatbuffers, driven by the schema page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from budget.formats.tflite_schema import ENUMS, FILE_IDENTIFIER, Field, fields_of

_BUFFER_ALIGNMENT = 16  # bytes; schema.fbs: Buffer.data (force_align: 16)
_NUMPY_CODES = {
    "?": "?",
    "b": "<i1",
    "B": "<u1",
    "H": "<u2",
    "i": "<i4",
    "I": "<u4",
    "q": "<i8",
    "f": "<f4",
}


def encode_model(model: Mapping[str, Any]) -> bytes:
    """The file of a ``Model`` table given as nested mappings with the schema's field names.

    Vectors of numbers may be sequences or numpy arrays, vectors of bytes also bytes-like; an
    enumerated value may be a name or a number; fields left out keep their default. Tables in
    a union are pairs of table name and values.
    """
    size_bytes = sum(len(buffer.get("data", b"")) for buffer in model.get("buffers", ()))
    builder = flatbuffers.Builder(size_bytes + size_bytes // 64 + 4096)
    root = _table(builder, "Model", model)
    builder.Finish(root, file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, name: str, values: Mapping[str, Any]) -> int:
    fields = [field for field in fields_of(name) if values.get(field.name) is not None]
    offsets = {
        field.name: _offset(builder, name, field, values[field.name])
        for field in fields
        if field.kind != "scalar"
    }
    builder.StartObject(1 + max((field.slot for field in fields_of(name)), default=-1))
    # wide fields first, so that little padding is needed between them
    for field in sorted(fields, key=lambda field: -field.size_bytes):
        if field.kind == "scalar":
            _scalar(builder, field, values[field.name])
        else:
            builder.PrependUOffsetTRelativeSlot(field.slot, offsets[field.name], 0)
    return int(builder.EndObject())


def _scalar(builder: Any, field: Field, value: Any) -> None:
    number = ENUMS[field.enum].index(value) if isinstance(value, str) else value
    prepend = {
        "?": builder.PrependBoolSlot,
        "b": builder.PrependInt8Slot,
        "B": builder.PrependUint8Slot,
        "i": builder.PrependInt32Slot,
        "I": builder.PrependUint32Slot,
        "q": builder.PrependInt64Slot,
        "Q": builder.PrependUint64Slot,
        "f": builder.PrependFloat32Slot,
    }[field.code]
    prepend(field.slot, number, field.default)


def _offset(builder: Any, table: str, field: Field, value: Any) -> int:
    match field.kind:
        case "string":
            return int(builder.CreateString(value))
        case "strings":
            return _offsets(builder, [builder.CreateString(text) for text in value])
        case "tables":
            return _offsets(builder, [_table(builder, field.table, item) for item in value])
        case "table" if isinstance(value, tuple):
            return _table(builder, value[0], value[1])
        case "table":
            return _table(builder, field.table, value)
        case _:
            is_data = table == "Buffer"
            return _numbers(builder, field, value, _BUFFER_ALIGNMENT if is_data else 4)


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _numbers(builder: Any, field: Field, value: Any, alignment: int) -> int:
    if isinstance(value, bytes | bytearray | memoryview):
        data: bytes | memoryview = memoryview(value).cast("B")
    else:
        data = np.asarray(value, _NUMPY_CODES[field.code]).tobytes()
    count = len(data) // field.size_bytes
    builder.StartVector(field.size_bytes, count, max(alignment, field.size_bytes))
    # one copy instead of one call for each element
    builder.head = builder.Head() - len(data)
    builder.Bytes[builder.Head() : builder.Head() + len(data)] = data
    return int(builder.EndVector())
