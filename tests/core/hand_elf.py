"""Small programs written down as machine code, so that tests need no compiler."""

from __future__ import annotations

import struct
from collections.abc import Mapping

CODE = 0x0800_0000
DATA = 0x2000_0000


def elf(code: bytes, functions: Mapping[str, int], data: bytes = b"", zero_bytes: int = 0) -> bytes:
    """An ELF file with code at `CODE`, variables at `DATA` and functions by offset."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*functions, "values"))
    starts = sorted([*functions.values(), len(code)])
    symbols = bytes(16)
    for name, offset in functions.items():
        size = next(s for s in starts if s > offset) - offset
        where = names.index(b"\0" + name.encode() + b"\0") + 1
        symbols += struct.pack("<IIIBBH", where, (CODE + offset) | 1, size, 0x12, 0, 1)
    where = names.index(b"\0values\0") + 1
    symbols += struct.pack("<IIIBBH", where, DATA, len(data) + zero_bytes, 0x11, 0, 2)
    labels = b"\0.text\0.data\0.bss\0.symtab\0.strtab\0"

    def label(name: str) -> int:
        return labels.index(b"\0" + name.encode() + b"\0") + 1

    at = 52 + 64
    places = {}
    body = b""
    for name, part in (("code", code), ("data", data), ("symbols", symbols), ("names", names)):
        places[name] = at + len(body)
        body += part + bytes(-len(part) % 4)
    places["labels"] = at + len(body)
    body += labels + bytes(-len(labels) % 4)
    programs = struct.pack("<8I", 1, places["code"], CODE, CODE, len(code), len(code), 5, 4)
    programs += struct.pack(
        "<8I", 1, places["data"], DATA, CODE + len(code), len(data), len(data) + zero_bytes, 6, 4
    )
    sections = bytes(40)
    for row in (
        (label(".text"), 1, 6, CODE, places["code"], len(code), 0, 0, 4, 0),
        (label(".data"), 1, 3, DATA, places["data"], len(data), 0, 0, 4, 0),
        (label(".bss"), 8, 3, DATA + len(data), 0, zero_bytes, 0, 0, 4, 0),
        (label(".symtab"), 2, 0, 0, places["symbols"], len(symbols), 5, 1, 4, 16),
        (label(".strtab"), 3, 0, 0, places["names"], len(names), 0, 0, 1, 0),
        (0, 3, 0, 0, places["labels"], len(labels), 0, 0, 1, 0),
    ):
        sections += struct.pack("<10I", *row)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01" + bytes(9), 2, 40, 1, CODE | 1, 52,
        at + len(body), 0x0500_0400, 52, 32, 2, 40, 7, 6,
    )  # fmt: skip
    return header + programs + body + sections
