"""Reads 32-bit little-endian Arm ELF files: what is loaded where, and which symbol owns it.

Source: Tool Interface Standard, Executable and Linking Format specification 1.2; ELF for the Arm
Architecture (ARM IHI 0044).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from budget.errors import ModelError, UsageError

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM = struct.Struct("<8I")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_ARM = 40
_LOAD, _SYMBOL_TABLE, _NO_BITS = 1, 2, 8
_NO_KIND, _OBJECT, _FUNCTION = 0, 1, 2
_ALLOCATED, _WRITABLE, _EXECUTABLE = 2, 1, 4
_HINT = "give an executable linked for a Cortex-M"
_LONGEST_NAME = 1 << 14
Memory = Literal["code", "constants", "data", "bss"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes that a loader places.

    Attributes:
        address: where the program expects them.
        load_address: where they are stored (flash, for initialised variables).
        data: stored bytes.
        size_bytes: in memory; what `data` does not cover is zero.
        writable: whether the program changes them.
    """

    address: int
    load_address: int
    data: bytes
    size_bytes: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A named run of the image: code, constants, data (stored and copied) or bss (zero)."""

    name: str
    address: int
    size_bytes: int
    memory: Memory


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or an object; the address is without the Thumb bit."""

    name: str
    address: int
    size_bytes: int
    is_function: bool


@dataclass(frozen=True)
class Elf:
    """A linked program.

    Attributes:
        name: for messages.
        entry: where a debugger would start; 0 if nowhere.
        segments: what is loaded.
        sections: of those that occupy memory.
        symbols: functions and objects, by name; of several with one name the global one.
    """

    name: str
    entry: int
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    symbols: dict[str, Symbol] = field(repr=False)

    @property
    def flash_bytes(self) -> int:
        """Code, constants and the stored copy of initialised variables."""
        return sum(s.size_bytes for s in self.sections if s.memory != "bss")

    @property
    def ram_bytes(self) -> int:
        """Initialised and zeroed variables; stack and heap are not in it."""
        return sum(s.size_bytes for s in self.sections if s.memory in {"data", "bss"})

    def symbol(self, name: str) -> Symbol:
        """The symbol of a name.

        Raises:
            UsageError: there is none.
        """
        found = self.symbols.get(name)
        if found is None:
            close = sorted(n for n, s in self.symbols.items() if s.is_function)
            alike = [n for n in close if name.lower() in n.lower()] or close
            shown = ", ".join(alike[:8]) or "none at all: was it stripped?"
            raise UsageError(
                f"there is no symbol '{name}'", where=self.name, hint=f"functions: {shown}"
            )
        return found

    def owner(self, address: int) -> Symbol | None:
        """The function or object that holds an address."""
        starts, symbols = self._by_address
        index = bisect_right(starts, address) - 1
        if index < 0:
            return None
        symbol = symbols[index]
        inside = symbol.size_bytes == 0 or address < symbol.address + symbol.size_bytes
        return symbol if inside else None

    @cached_property
    def _by_address(self) -> tuple[list[int], list[Symbol]]:
        """Of several symbols at one address, the longest, then the first by name."""
        ordered = sorted(self.symbols.values(), key=lambda s: (s.address, -s.size_bytes, s.name))
        kept: dict[int, Symbol] = {}
        for symbol in ordered:
            kept.setdefault(symbol.address, symbol)
        return list(kept), list(kept.values())


def load_elf(data: bytes, name: str = "program") -> Elf:
    """Parses an ELF file.

    Raises:
        ModelError: it is damaged, or not a linked little-endian 32-bit Arm program.
    """
    if data[:4] != b"\x7fELF":
        raise ModelError("this is no ELF file", where=name, hint=_HINT)
    try:
        return _parse(data, name)
    except (struct.error, IndexError, ValueError):
        raise ModelError("the ELF file is cut short or damaged", where=name, hint=_HINT) from None


def _parse(data: bytes, name: str) -> Elf:
    header = _HEADER.unpack_from(data)
    identity, kind, machine = header[0], header[1], header[2]
    entry, program_at, sections_at = header[4], header[5], header[6]
    program_count, section_count, names_index = header[10], header[12], header[13]
    if identity[4] != 1 or identity[5] != 1 or machine != _ARM or kind != 2:
        raise ModelError("not a linked 32-bit little-endian Arm program", where=name, hint=_HINT)
    segments = tuple(
        _segment(data, _PROGRAM.unpack_from(data, program_at + i * _PROGRAM.size))
        for i in range(program_count)
    )
    rows = [
        _SECTION.unpack_from(data, sections_at + i * _SECTION.size) for i in range(section_count)
    ]
    names = rows[names_index] if rows else None
    sections = []
    tables = [row for row in rows if row[1] == _SYMBOL_TABLE]  # the format allows one
    symbols = _symbols(data, tables[-1], rows[tables[-1][6]]) if tables else {}
    for row in rows:
        if row[2] & _ALLOCATED and row[5]:
            label = "" if names is None else _text(data, names[4] + row[0])
            sections.append(Section(label, row[3], row[5], _memory(row[1], row[2])))
    return Elf(
        name, entry & ~1, tuple(s for s in segments if s is not None), tuple(sections), symbols
    )


def _segment(data: bytes, row: tuple[int, ...]) -> Segment | None:
    kind, offset, address, load_address, stored, size, flags, _ = row
    if kind != _LOAD or size == 0:
        return None
    if offset + stored > len(data) or stored > size or address + size > 1 << 32:
        raise ValueError
    return Segment(address, load_address, data[offset : offset + stored], size, bool(flags & 2))


def _memory(kind: int, flags: int) -> Memory:
    if kind == _NO_BITS:
        return "bss"
    if flags & _WRITABLE:
        return "data"
    return "code" if flags & _EXECUTABLE else "constants"


def _symbols(data: bytes, table: tuple[int, ...], strings: tuple[int, ...]) -> dict[str, Symbol]:
    found: dict[str, Symbol] = {}
    start, size = table[4], table[5]
    if start + size > len(data):
        raise ValueError
    local: list[Symbol] = []
    for row in _SYMBOL.iter_unpack(data[start : start + size - size % _SYMBOL.size]):
        kind, binding = row[3] & 15, row[3] >> 4
        # assemblers leave some static objects without a kind, but not without a size
        sized = kind == _NO_KIND and row[2] > 0
        if not (sized or kind in {_OBJECT, _FUNCTION}) or row[5] == 0:
            continue
        is_function = kind == _FUNCTION
        address = row[1] & ~1 if is_function else row[1]
        symbol = Symbol(_text(data, strings[4] + row[0]), address, row[2], is_function)
        if binding == 0:
            local.append(symbol)
        else:
            found[symbol.name] = symbol
    _add_local(found, local)
    return found


def _add_local(found: dict[str, Symbol], local: Iterable[Symbol]) -> None:
    """Static symbols of several files may share a name; later ones get a number."""
    known = {(symbol.name, symbol.address) for symbol in found.values()}
    numbers: dict[str, int] = {}
    for symbol in local:
        if (symbol.name, symbol.address) in known:
            continue
        known.add((symbol.name, symbol.address))
        name, number = symbol.name, numbers.get(symbol.name, 2)
        while name in found:
            name, number = f"{symbol.name}#{number}", number + 1
        numbers[symbol.name] = number
        found[name] = Symbol(name, symbol.address, symbol.size_bytes, symbol.is_function)


def _text(data: bytes, offset: int) -> str:
    end = data.index(b"\0", offset, offset + _LONGEST_NAME)
    return data[offset:end].decode("utf-8", "replace")
