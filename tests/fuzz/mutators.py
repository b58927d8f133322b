"""Mutations that know a format: fields of flatbuffers and protobufs, nodes of JSON, words of text.

Each takes bytes and a source of chance and returns bytes; what cannot be parsed is changed as raw
bytes instead. Anything may come out: mutants need not be sound, only interesting.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import lru_cache
from random import Random
from typing import Any

Mutator = Callable[[bytes, Random], bytes]

MOST_BYTES = 1 << 20  # of a word that is repeated: inputs are cut at 64 KiB anyway
INTEGERS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31,
            2**32 - 1, 2**62, 2**63 - 1)  # fmt: skip
_JSON_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 10**6, 2**31, 2**63, 10**30, 1e300, -0.5, "", "x", "0",
    "relu", "linear", "same", "float16", "int8", "Lambda", "Dense", [], {}, [[]], [1, 1], [None, 3],
    [None, 4, 4, 3], [[[0, 0]]], {"class_name": "Dense", "config": {}}, {"class_name": "Lambda"},
    {"class_name": "__tuple__", "items": [1]}, [2**31, 2**31],
)  # fmt: skip
_WORDS = ("", "0", "1", "-1", "2147483648", "9223372036854775808", "1e999", "nan", "inf", '"', "'",
          "{", "}", "[", "]", "(", ")", ",", "=", ":", "\\", "\\777", "\\xff", "\n", "#", "é", "\0",
          "true", "1 V", "20 pJ", "-3 MHz", "extends", "value", "kind", "unit", "reference",
          "dim { size: 9999999999 }", "type: DT_HALF", "T: 1")  # fmt: skip


def raw(data: bytes, chance: Random) -> bytes:
    """Flips, cuts, doubles, splices and overwrites."""
    if not data:
        return chance.randbytes(chance.randint(1, 16))
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(out)) if out else 0
        kind = chance.randrange(8)
        if kind == 0 and out:
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and out:
            out[at] = chance.randrange(256)
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + chance.randint(1, 16)]
        elif kind == 4:
            piece = out[at : at + chance.randint(1, 64)]
            to = chance.randint(0, len(out))
            out[to:to] = piece
        elif kind == 5:
            piece = out[at : at + chance.randint(1, 32)]
            to = chance.randint(0, len(out))
            out[to : to + len(piece)] = piece
        else:
            _write_integer(out, at & ~3 if kind == 6 else at, chance)
    return bytes(out)


def _write_integer(out: bytearray, at: int, chance: Random) -> None:
    layout = chance.choice("BHIIIQ")
    size = struct.calcsize(layout)
    if at + size > len(out):
        return
    mask = (1 << 8 * size) - 1
    old = int.from_bytes(out[at : at + size], "little")
    value = chance.choice((*INTEGERS, old + 1, old - 1, old + 4, old * 2, len(out), -at)) & mask
    out[at : at + size] = value.to_bytes(size, "little")


def flatbuffer(data: bytes, chance: Random) -> bytes:
    """Changes fields that can be reached from the root table."""
    places = _flatbuffer_places(data)
    if not places or chance.random() < 0.2:
        return raw(data, chance)
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2))):
        at = chance.choice(places)
        kind = chance.randrange(4)
        if kind == 0:  # another field's offset or value
            other = chance.choice(places)
            out[at : at + 4] = data[other : other + 4].ljust(4, b"\0")
        elif kind == 1:  # point at what another field points at
            other = chance.choice(places)
            target = other + int.from_bytes(data[other : other + 4], "little")
            out[at : at + 4] = ((target - at) & 0xFFFFFFFF).to_bytes(4, "little")
        else:
            _write_integer(out, at, chance)
    return bytes(out[: len(data)])


@lru_cache(1024)
def _flatbuffer_places(data: bytes) -> list[int]:
    """Positions of fields, vtable entries and vectors, as far as a walk without a schema sees."""
    places: list[int] = []
    todo, seen = [0], set()

    def u32(at: int) -> int:
        return int.from_bytes(data[at : at + 4], "little") if at + 4 <= len(data) else 1 << 40

    while todo and len(places) < 2000:
        at = todo.pop()
        target = at + u32(at)
        if target in seen or not 4 <= target <= len(data) - 4:
            continue
        seen.add(target)
        places.append(target)
        vtable = target - struct.unpack_from("<i", data, target)[0]
        if 0 <= vtable <= len(data) - 4:
            size = int.from_bytes(data[vtable : vtable + 2], "little")
            if 4 <= size <= 64 and size % 2 == 0 and vtable + size <= len(data):
                for entry in range(vtable + 4, vtable + size, 2):
                    offset = int.from_bytes(data[entry : entry + 2], "little")
                    if 0 < offset < 400:
                        places += [target + offset, entry]
                        todo.append(target + offset)
                continue
        count = u32(target)
        for index in range(min(count, 64)):
            item = target + 4 + 4 * index
            if item + 4 <= len(data):
                places.append(item)
                todo.append(item)
    return [place for place in places if place + 4 <= len(data)]


def protobuf(data: bytes, chance: Random) -> bytes:
    """Changes, drops, doubles and swaps fields at any depth; lengths stay right.

    Only the messages on the way to a field are taken apart, as files have hundreds of others.
    """
    if chance.random() < 0.15:
        return raw(data, chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        data = _changed(data, chance, data)
    return data


_Field = tuple[int, int, Any, bool]  # number, wire type, value, whether it holds a message


@lru_cache(8192)
def _fields(data: bytes) -> tuple[_Field, ...] | None:
    """A message's fields; None if the bytes are no message."""
    fields: list[_Field] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1000 or at < 0:
            return None
        if wire == 0:
            value, at = _varint(data, at)
            if at < 0:
                return None
            fields.append((number, 0, value, False))
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > len(data):
                return None
            fields.append((number, wire, data[at : at + size], False))
            at += size
        elif wire == 2:
            size, at = _varint(data, at)
            if at < 0 or at + size > len(data):
                return None
            inner = data[at : at + size]
            at += size
            printable = size > 1 and inner.isascii() and inner.decode().isprintable()
            is_message = size > 0 and not printable and _fields(inner) is not None
            fields.append((number, 2, inner, is_message))
        else:
            return None
    return tuple(fields)


def _joined(fields: Sequence[_Field]) -> bytes:
    out = bytearray()
    for number, wire, value, _ in fields:
        out += _to_varint(number << 3 | wire)
        if wire == 0:
            out += _to_varint(value)
        elif wire == 2:
            out += _to_varint(len(value)) + value
        else:
            out += value
    return bytes(out)


def _place(fields: Sequence[_Field], chance: Random) -> int:
    """A field, the likelier the larger it is."""
    weights = [len(value) + 2 if wire == 2 else 2 for _, wire, value, _ in fields]
    return chance.choices(range(len(fields)), weights)[0]


def _elsewhere(data: bytes, chance: Random) -> _Field | None:
    """Some field at some depth."""
    found = None
    while fields := _fields(data):
        found = fields[_place(fields, chance)]
        if not found[3] or chance.random() < 0.2:
            break
        data = found[2]
    return found


def _changed(data: bytes, chance: Random, whole: bytes) -> bytes:
    """A message with a change in it, or in a message that it holds."""
    known = _fields(data)
    if not known:
        return raw(data, chance)
    fields = list(known)
    index = _place(fields, chance)
    number, wire, value, is_message = fields[index]
    if is_message and chance.random() < 0.85:
        fields[index] = (number, 2, _changed(value, chance, whole), True)
        return _joined(fields)
    kind = chance.randrange(8)
    if kind == 0:
        del fields[index]
    elif kind == 1:
        fields.insert(chance.randint(0, len(fields)), fields[index])
    elif kind == 2:
        fields.insert(index, _elsewhere(whole, chance) or fields[index])
    elif kind == 3:
        other = chance.choice((number + 1, max(1, number - 1), chance.randint(1, 30)))
        fields[index] = (other, wire, value, is_message)
    elif wire == 0:
        value = chance.choice((*INTEGERS, -1, value + 1, value - 1))
        fields[index] = (number, 0, value, False)
    elif wire != 2:
        fields[index] = (number, wire, chance.randbytes(len(value)), False)
    elif is_message:
        fields[index] = (number, 2, value[: chance.randint(0, 40)], False)
    else:
        donor = _elsewhere(whole, chance)
        if donor is not None and donor[1] == 2 and chance.random() < 0.5:
            fields[index] = (number, 2, donor[2], donor[3])
        else:
            fields[index] = (number, 2, raw(value, chance), False)
    return _joined(fields)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while 0 <= at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
    return 0, -1


def _to_varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def json_text(data: bytes, chance: Random) -> bytes:
    """Replaces, drops, copies and nests nodes of the tree."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return raw(data, chance)
    if chance.random() < 0.1:
        return text(data, chance)
    try:
        for _ in range(chance.choice((1, 1, 2, 4))):
            document = _change_json(document, chance)
        return json.dumps(document).encode()
    except (RecursionError, ValueError):
        return raw(data, chance)


def _change_json(document: Any, chance: Random) -> Any:
    places: list[tuple[Any, Any]] = []
    todo = [document]
    while todo and len(places) < 5000:
        node = todo.pop()
        keys = node if isinstance(node, dict) else range(len(node) if isinstance(node, list) else 0)
        for key in keys:
            places.append((node, key))
            todo.append(node[key])
    if not places:
        return chance.choice(_JSON_VALUES)
    node, key = chance.choice(places)
    kind = chance.randrange(8)
    if kind == 0:
        del node[key]
    elif kind == 1:
        other, at = chance.choice(places)
        if at in (other if isinstance(other, dict) else range(len(other))):
            node[key] = deepcopy(other[at])
    elif kind == 2 and isinstance(node, list):
        node.append(deepcopy(node[key]))
    elif kind == 3:
        for _ in range(chance.choice((1, 3, 40, 400))):
            node[key] = [node[key]]
    elif isinstance(node[key], int) and kind < 6:
        node[key] = chance.choice((*INTEGERS, -1, node[key] + 1, -node[key]))
    else:
        node[key] = chance.choice(_JSON_VALUES)
    return document


def text(data: bytes, chance: Random) -> bytes:
    """Changes words and signs."""
    if chance.random() < 0.15:
        return raw(data, chance)
    words = re.findall(r"\w+|\s+|[^\w\s]", data.decode("utf-8", "surrogateescape"))
    if not words:
        return raw(data, chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(words))
        kind = chance.randrange(6)
        if kind == 0:
            words[at] = ""
        elif kind == 1:
            words[at] = chance.choice(words)
        elif kind == 2:
            stop = min(len(words), at + chance.randint(1, 20))
            words[at:at] = words[at:stop]
        elif kind == 3:
            many = 3000 if len(data) < 20_000 else 2
            times = chance.choice((2, 2, 3, 3, 10, 50, 50, many))
            words[at] *= min(times, 1 + MOST_BYTES // (len(words[at]) + 1))
        elif kind == 4:
            del words[at : at + chance.randint(1, 20)]
        else:
            words[at] = chance.choice(_WORDS)
        if not words:
            break
    return "".join(words).encode("utf-8", "surrogateescape")


def parts(separator: bytes, *of_each: Mutator) -> Mutator:
    """Changes one of several files that stand one behind the other."""

    def mutate(data: bytes, chance: Random) -> bytes:
        pieces = data.split(separator)
        # the first is the most interesting one
        at = chance.choice((0, 0, chance.randrange(len(pieces))))
        pieces[at] = of_each[min(at, len(of_each) - 1)](pieces[at], chance)
        return separator.join(pieces)

    return mutate


def archive(members: dict[str, Mutator]) -> Mutator:
    """Changes one member of a ZIP archive by its own mutator, or the archive itself."""

    def mutate(data: bytes, chance: Random) -> bytes:
        if chance.random() < 0.15:
            return raw(data, chance)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                entries = [(info.filename, file.read(info)) for info in file.infolist()]
        except Exception:  # noqa: BLE001 a mutant of a mutant: damaged in some way or other
            return raw(data, chance)
        if not entries:
            return raw(data, chance)
        at = chance.randrange(len(entries))
        name, content = entries[at]
        kind = chance.randrange(12)
        if kind == 0:
            del entries[at]
        elif kind == 1:
            entries.append((name + chance.choice(("", "x", "/", "/../x")), content))
        elif kind == 2:
            entries[at] = (chance.choice(entries)[0], content)
        else:
            suffix = next((key for key in members if name.endswith(key)), "")
            entries[at] = (name, members.get(suffix, raw)(content, chance))
        return zipped(entries)

    return mutate


def zipped(entries: Sequence[tuple[str, bytes]]) -> bytes:
    """An archive without compression."""
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that stand there twice are wanted
        with zipfile.ZipFile(buffer, "w") as file:
            for name, content in entries:
                file.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
