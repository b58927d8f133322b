"""Protocol Buffers' wire format, read with bounds checks and written back without loss.

A message type is declared as text, ``"1 name string; 3 input string*; 5 attr {AttrValue}"``: field
number, name and kind, where ``*`` repeats, ``{X}`` is a map from string to message X and an
upper-case kind is another message of the same schema set. ``bytes`` also serves to leave a part
undecoded until it is wanted. Fields that a schema does not name are kept and written back.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from budget.errors import CorruptModelError

MAX_DEPTH = 64
"""Messages nested deeper than this are refused."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {
    "int32": _VARINT, "int64": _VARINT, "uint32": _VARINT, "uint64": _VARINT, "bool": _VARINT,
    "enum": _VARINT, "fixed64": _FIXED64, "double": _FIXED64, "string": _BYTES, "bytes": _BYTES,
    "float": _FIXED32, "fixed32": _FIXED32,
}  # fmt: skip
_STRUCTS = {
    "float": struct.Struct("<f"),
    "double": struct.Struct("<d"),
    "fixed32": struct.Struct("<I"),
    "fixed64": struct.Struct("<Q"),
}
_DEFAULTS: dict[str, Any] = {
    "float": 0.0, "double": 0.0, "bool": False, "string": "", "bytes": b"",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message type.

    Attributes:
        number: on the wire.
        name: in the schema.
        kind: a scalar kind, or the name of a message type.
        repeated: whether it holds a list.
        is_map: whether it holds a mapping from string to messages of type ``kind``.
    """

    number: int
    name: str
    kind: str
    repeated: bool = False
    is_map: bool = False

    @property
    def is_message(self) -> bool:
        """Whether its values are messages."""
        return self.kind not in _WIRE_TYPES


class Schema:
    """A message type: its fields by number and by name, parsed when first needed."""

    def __init__(self, schemas: Schemas, name: str, text: str) -> None:
        self.schemas = schemas
        self.name = name
        self._text = text

    @cached_property
    def by_number(self) -> Mapping[int, Field]:
        """Fields by number."""
        fields = {}
        for part in self._text.split(";"):
            number, name, kind = part.split()
            is_map, repeated = kind.startswith("{"), kind.endswith("*")
            fields[int(number)] = Field(int(number), name, kind.strip("{}*"), repeated, is_map)
        return fields

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """Fields by name."""
        return {field.name: field for field in self.by_number.values()}

    def new(self, **values: Any) -> Message:
        """A message with some fields set."""
        message = Message(self)
        for name, value in values.items():
            setattr(message, name, value)
        return message

    def decode(self, data: bytes | memoryview, where: str = "") -> Message:
        """Reads one message.

        Args:
            data: exactly its bytes.
            where: file or node to name in errors.

        Raises:
            CorruptModelError: the bytes are not such a message.
        """
        return _decode(self, memoryview(data), where, 0)


class Schemas(dict[str, Schema]):
    """Message types that refer to each other by name."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__({name: Schema(self, name, text) for name, text in texts.items()})


class Message:
    """Values of a message's fields; a field that is absent reads as its type's default.

    An absent message field reads as an empty message that is not stored; use `has` to tell.
    """

    __slots__ = ("schema", "unknown", "values")

    schema: Schema
    values: dict[str, Any]
    unknown: list[bytes]

    def __init__(self, schema: Schema) -> None:
        object.__setattr__(self, "schema", schema)
        object.__setattr__(self, "values", {})
        object.__setattr__(self, "unknown", [])

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            pass
        field = self.schema.by_name.get(name)
        if field is None:
            raise AttributeError(f"{self.schema.name} has no field {name!r}")
        if field.is_map:
            return {}
        if field.repeated:
            return []
        if field.is_message:
            return Message(self.schema.schemas[field.kind])
        return _DEFAULTS.get(field.kind, 0)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.schema.by_name:
            raise AttributeError(f"{self.schema.name} has no field {name!r}")
        self.values[name] = value

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Message)
            and self.schema is other.schema
            and self.values == other.values
            and self.unknown == other.unknown
        )

    def __repr__(self) -> str:
        return f"{self.schema.name}({', '.join(f'{k}={v!r}' for k, v in self.values.items())})"

    def has(self, name: str) -> bool:
        """Whether the field is present."""
        return name in self.values

    def encode(self) -> bytes:
        """The message on the wire: fields by number, map entries by key, then unknown fields."""
        out = bytearray()
        for number, field in sorted(self.schema.by_number.items()):
            if field.name in self.values:
                _encode_field(out, number, field, self.values[field.name])
        for raw in self.unknown:
            out += raw
        return bytes(out)


def read_varint(data: memoryview, position: int, where: str) -> tuple[int, int]:
    """An unsigned number of up to 64 bits and the position behind it."""
    result = shift = 0
    end = len(data)
    while position < end:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            break
    raise _corrupt("a number is cut off or longer than 64 bits", where)


def write_varint(value: int) -> bytes:
    """The bytes of a number; a negative one takes ten, as in two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(data: memoryview, where: str = "") -> Iterator[tuple[int, int, Any, int, int]]:
    """Walks a message: field number, wire type, value, and where the field starts and ends.

    The value is an int, or a memoryview for the wire types of fixed width and of bytes.
    """
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = read_varint(data, position, where)
        number, wire = key >> 3, key & 7
        if number == 0 or number > 0x1FFFFFFF:
            raise _corrupt(f"field number {number} is not allowed", where)
        if wire == _VARINT:
            value, position = read_varint(data, position, where)
            yield number, wire, value, start, position
            continue
        if wire == _BYTES:
            size, position = read_varint(data, position, where)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise _corrupt(f"wire type {wire} is not in use", where)
        if size > end - position:
            raise _corrupt(f"field {number} reaches {size} bytes ahead, past the end", where)
        position += size
        yield number, wire, data[position - size : position], start, position


def _decode(schema: Schema, data: memoryview, where: str, depth: int) -> Message:
    if depth > MAX_DEPTH:
        raise _corrupt(f"messages are nested more than {MAX_DEPTH} deep", where)
    message = Message(schema)
    values, by_number = message.values, schema.by_number
    for number, wire, value, start, end in fields(data, where):
        field = by_number.get(number)
        if field is None:
            message.unknown.append(bytes(data[start:end]))
        elif field.is_map:
            key, item = _decode_entry(schema.schemas[field.kind], wire, value, where, depth)
            values.setdefault(field.name, {})[key] = item
        elif field.repeated:
            items = values.setdefault(field.name, [])
            if wire == _BYTES and _WIRE_TYPES.get(field.kind, _BYTES) != _BYTES:
                items += _unpack(field.kind, value, where)
            else:
                items.append(_decode_value(schema, field, wire, value, where, depth))
        else:
            values[field.name] = _decode_value(schema, field, wire, value, where, depth)
    return message


def _decode_entry(
    schema: Schema, wire: int, data: Any, where: str, depth: int
) -> tuple[str, Message]:
    if wire != _BYTES:
        raise _corrupt("a map entry is not a message", where)
    key, content = "", memoryview(b"")
    for number, item_wire, value, _, _ in fields(data, where):
        if item_wire == _BYTES and number == 1:
            key = _text(value, where)
        elif item_wire == _BYTES and number == 2:
            content = value
    return key, _decode(schema, content, where, depth + 1)


def _decode_value(
    schema: Schema, field: Field, wire: int, value: Any, where: str, depth: int
) -> Any:
    if wire != _WIRE_TYPES.get(field.kind, _BYTES):
        raise _corrupt(f"field {field.name!r} of {schema.name} has wire type {wire}", where)
    if field.is_message:
        return _decode(schema.schemas[field.kind], value, where, depth + 1)
    if field.kind == "string":
        return _text(value, where)
    if field.kind == "bytes":
        return bytes(value)
    if wire == _VARINT:
        return _integer(field.kind, value)
    return _STRUCTS[field.kind].unpack(value)[0]


def _unpack(kind: str, data: memoryview, where: str) -> list[Any]:
    if kind in _STRUCTS:
        codec = _STRUCTS[kind]
        if len(data) % codec.size:
            raise _corrupt("a packed list ends inside an element", where)
        return [item for (item,) in codec.iter_unpack(data)]
    items, position = [], 0
    while position < len(data):
        value, position = read_varint(data, position, where)
        items.append(_integer(kind, value))
    return items


def _integer(kind: str, value: int) -> int | bool:
    if kind == "bool":
        return value != 0
    if kind == "uint64":
        return value
    if kind == "uint32":
        return value & 0xFFFFFFFF
    bits = 64 if kind == "int64" else 32
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _text(data: memoryview, where: str) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise _corrupt("a name is not UTF-8 text", where) from None


def _encode_field(out: bytearray, number: int, field: Field, value: Any) -> None:
    if field.is_map:
        for key in sorted(value):
            entry = bytearray()
            _encode_value(entry, 1, "string", key)
            _encode_value(entry, 2, field.kind, value[key])
            _encode_value(out, number, "bytes", bytes(entry))
    elif not field.repeated:
        _encode_value(out, number, field.kind, value)
    elif field.kind in _WIRE_TYPES and field.kind not in ("string", "bytes"):
        packed = bytearray()
        for item in value:
            packed += (
                _STRUCTS[field.kind].pack(item)
                if field.kind in _STRUCTS
                else (write_varint(int(item)))
            )
        if packed:
            _encode_value(out, number, "bytes", bytes(packed))
    else:
        for item in value:
            _encode_value(out, number, field.kind, item)


def _encode_value(out: bytearray, number: int, kind: str, value: Any) -> None:
    wire = _WIRE_TYPES.get(kind, _BYTES)
    out += write_varint(number << 3 | wire)
    if wire == _VARINT:
        out += write_varint(int(value))
    elif kind in _STRUCTS:
        out += _STRUCTS[kind].pack(value)
    else:
        data = (
            value.encode()
            if isinstance(value, Message)
            else value.encode("utf-8")
            if isinstance(value, str)
            else value
        )
        out += write_varint(len(data))
        out += data


def _corrupt(what: str, where: str) -> CorruptModelError:
    return CorruptModelError(
        what, where=where, hint="the file is damaged or not the format it seems to be"
    )
