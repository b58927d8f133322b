"""Bounds-checked access to flatbuffers, for files that nobody vouches for.

Every position is checked against the file before it is read, and what all look-ups return together
is bounded by a multiple of the file's size, because tables and vectors may be shared and a small
file could otherwise unfold into a very large one.

Source: the FlatBuffers binary format (https://flatbuffers.dev/internals/).
"""

from __future__ import annotations

from struct import Struct
from typing import Any, NoReturn

import numpy as np

from budget.errors import CorruptModelError
from budget.formats.tflite_schema import ENUMS, OPTIONS, OPTIONS_2, Field, fields_of

_I32 = Struct("<i")
_U32 = Struct("<I")
_VTABLE_HEAD = Struct("<HH")
_SCALARS = {code: Struct("<" + code) for code in "?bBHiIqQf"}
_DTYPES = {code: np.dtype("<" + code) for code in "bBHiIqQf"} | {"?": np.dtype("u1")}
_ALLOWANCE_RATIO = 16  # bytes that look-ups may return, for each byte of the file
_ALLOWANCE_BYTES = 1 << 20


class FlatFile:
    """The bytes of a flatbuffer file.

    Attributes:
        data: the whole file.
        name: for messages.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self._vtables: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._allowance_bytes = len(data) * _ALLOWANCE_RATIO + _ALLOWANCE_BYTES

    def fail(self, what: str, at: str = "") -> NoReturn:
        """Raises the error that this file deserves.

        Raises:
            CorruptModelError: always.
        """
        where = f"{self.name}: {at}" if at else self.name
        raise CorruptModelError(
            what, where=where, hint="the file is damaged or not a TensorFlow Lite model"
        )

    def charge(self, size_bytes: int) -> None:
        """Counts what a look-up is about to return.

        Raises:
            CorruptModelError: the file unfolds into more than any sound file does.
        """
        self._allowance_bytes -= size_bytes
        if self._allowance_bytes < 0:
            self.fail("the file refers to the same parts again and again")

    def root(self) -> Table:
        """The table that the file starts with."""
        return Table(self, self.follow(0))

    def follow(self, position: int) -> int:
        """Where the unsigned offset at ``position``, a place in the file, leads: to four bytes."""
        target: int = position + _U32.unpack_from(self.data, position)[0]
        if target > len(self.data) - 4:
            self.fail(f"the offset at byte {position} leads to byte {target}, outside the file")
        return target

    def vtable(self, position: int) -> tuple[int, tuple[int, ...]]:
        """(size of the table in bytes, offset of each slot's field in it) for an index."""
        known = self._vtables.get(position)
        if known is not None:
            return known
        if not 0 <= position <= len(self.data) - 4:
            self.fail(f"a table's index at byte {position} lies outside the file")
        size_bytes, table_bytes = _VTABLE_HEAD.unpack_from(self.data, position)
        if size_bytes < 4 or size_bytes % 2 or position + size_bytes > len(self.data):
            self.fail(f"the table index at byte {position} has an impossible size, {size_bytes}")
        offsets = np.frombuffer(self.data, "<u2", (size_bytes - 4) // 2, position + 4)
        found = (table_bytes, tuple(offsets.tolist()))
        self._vtables[position] = found
        return found

    def vector(self, position: int, element_bytes: int) -> tuple[int, int]:
        """(first byte, element count) of the vector at ``position``, all of it in the file.

        Offsets lead to places with room for the count; see `follow`.
        """
        count: int = _U32.unpack_from(self.data, position)[0]
        if count * element_bytes > len(self.data) - position - 4:
            self.fail(f"the vector at byte {position} claims {count} elements, more than the file")
        return position + 4, count


class Table:
    """One table of a flatbuffer, where an offset led; fields are looked up by slot number."""

    __slots__ = ("_offsets", "_size_bytes", "file", "position")

    def __init__(self, file: FlatFile, position: int) -> None:
        data = file.data
        vtable = position - _I32.unpack_from(data, position)[0]
        self.file = file
        self.position = position
        self._size_bytes, self._offsets = file.vtable(vtable)
        if position + self._size_bytes > len(data):
            file.fail(f"the table at byte {position} is longer than the file")
        file.charge(8)

    def place(self, slot: int, size_bytes: int = 4) -> int:
        """Where the field in ``slot`` is stored; 0 if it is left out."""
        offset = self._offsets[slot] if slot < len(self._offsets) else 0
        if offset == 0:
            return 0
        if offset < 4 or offset + size_bytes > self._size_bytes:
            self.file.fail(f"field {slot} of the table at byte {self.position} is outside of it")
        return self.position + offset

    def scalar(self, slot: int, code: str, default: Any = 0) -> Any:
        """A number, by its struct format character."""
        struct = _SCALARS[code]
        place = self.place(slot, struct.size)
        return struct.unpack_from(self.file.data, place)[0] if place else default

    def numbers(self, slot: int, code: str) -> np.ndarray[Any, np.dtype[Any]] | None:
        """A vector of numbers, as a view of the file; None if it is left out."""
        place = self.place(slot)
        if not place:
            return None
        dtype = _DTYPES[code]
        start, count = self.file.vector(self.file.follow(place), dtype.itemsize)
        return np.frombuffer(self.file.data, dtype, count, start)

    def integers(self, slot: int, code: str = "i") -> tuple[int, ...]:
        """A short vector of integers; empty if it is left out."""
        found = self.numbers(slot, code)
        if found is None:
            return ()
        self.file.charge(found.nbytes + 8)
        return tuple(found.tolist())

    def bytes(self, slot: int) -> bytes | None:
        """A copy of a vector of bytes; None if it is left out."""
        found = self.numbers(slot, "B")
        if found is None:
            return None
        self.file.charge(found.nbytes)
        return found.tobytes()

    def text(self, slot: int) -> str:
        """A string; empty if it is left out. Bytes that are not UTF-8 show as escapes."""
        place = self.place(slot)
        return self._text_at(self.file.follow(place)) if place else ""

    def texts(self, slot: int) -> tuple[str, ...]:
        """A vector of strings."""
        return tuple(self._text_at(position) for position in self._positions(slot))

    def table(self, slot: int) -> Table | None:
        """A table; None if it is left out."""
        place = self.place(slot)
        return Table(self.file, self.file.follow(place)) if place else None

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables; empty if it is left out."""
        return [Table(self.file, position) for position in self._positions(slot)]

    def has_fields_after(self, slot: int) -> bool:
        """Whether the file stores fields behind the last one that the schema page knows."""
        return any(self._offsets[slot + 1 :])

    def _positions(self, slot: int) -> list[int]:
        place = self.place(slot)
        if not place:
            return []
        start, count = self.file.vector(self.file.follow(place), 4)
        self.file.charge(4 * count)
        return [self.file.follow(start + 4 * index) for index in range(count)]

    def _text_at(self, position: int) -> str:
        start, count = self.file.vector(position, 1)
        self.file.charge(count)
        return self.file.data[start : start + count].decode("utf-8", "backslashreplace")


def decode(table: Table, name: str) -> dict[str, Any]:
    """A table with all its fields, nested tables included, as `encode_model` takes them.

    Scalars that are left out have their default; other fields that are left out are missing.
    Enumerated numbers become their names.
    """
    values: dict[str, Any] = {}
    for field in fields_of(name):
        value = _value(table, name, field, values)
        if value is not None:
            values[field.name] = value
    return values


_UNIONS: dict[str, tuple[str, ...]] = {
    "builtin_options": OPTIONS,
    "builtin_options_2": OPTIONS_2,
    "details": (
        "NONE",
        "CustomQuantization",
        "BlockwiseQuantization",
        "MultiAxisQuantization",
    ),
    "array_segments": ("NONE", "Int32Vector", "Uint16Vector", "Uint8Vector"),
    "array_indices": ("NONE", "Int32Vector", "Uint16Vector", "Uint8Vector"),
}


def union_member(union: str, number: int) -> str:
    """Name of the table that a union's type number stands for; empty if there is none."""
    members = _UNIONS[union]
    return members[number] if 0 < number < len(members) else ""


def _value(table: Table, name: str, field: Field, before: dict[str, Any]) -> Any:
    slot = field.slot
    if field.kind == "scalar":
        value = table.scalar(slot, field.code, field.default)
        if field.enum:
            names = ENUMS[field.enum]
            return names[value] if 0 <= value < len(names) else value
        return value
    if not table.place(slot):
        return None
    match field.kind:
        case "vector" if field.code == "B":
            return table.bytes(slot)
        case "vector" if field.code in "fq?":
            numbers = table.numbers(slot, field.code)
            if numbers is not None:
                table.file.charge(numbers.nbytes)
            return None if numbers is None else tuple(numbers.tolist())
        case "vector":
            return table.integers(slot, field.code)
        case "string":
            return table.text(slot)
        case "strings":
            return table.texts(slot)
        case "tables":
            return [decode(item, field.table) for item in table.tables(slot)]
    inner = table.table(slot)
    member = field.table or union_member(field.name, before[f"{field.name}_type"])
    if inner is None or not member:
        return None
    decoded = decode(inner, member)
    return decoded if field.table else (member, decoded)
