from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.errors import CorruptModelError, ModelError, UnsupportedModelError
from budget.formats.protobuf import write_varint
from budget.formats.tensorflow_bundle import Bundle, _slice_key, crc32c, read_table
from budget.formats.tensorflow_schema import BUNDLE_ENTRY, BUNDLE_HEADER, SCHEMAS, DataType


def _trailer(block: bytes, kind: int) -> bytes:
    crc = crc32c(block + bytes([kind]))
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return bytes([kind]) + struct.pack("<I", masked)


def _block(entries: list[tuple[bytes, bytes]], share: bool) -> bytes:
    out, last = b"", b""
    for key, value in entries:
        shared = 0
        while share and shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        out += write_varint(shared) + write_varint(len(key) - shared) + write_varint(len(value))
        out += key[shared:] + value
        last = key
    return out + struct.pack("<II", 0, 1)


def table(entries: dict[bytes, bytes], *, share: bool = True, kind: int = 0) -> bytes:
    """A table as LevelDB writes it, of two data blocks."""
    items = sorted(entries.items())
    middle = len(items) // 2
    out, index = b"", []
    for part in (items[:middle], items[middle:]):
        if part:
            block = _block(part, share)
            index.append((part[-1][0], write_varint(len(out)) + write_varint(len(block))))
            out += block + _trailer(block, kind)
    handles = b""
    for content in (_block([], share), _block(index, share)):
        handles += write_varint(len(out)) + write_varint(len(content))
        out += content + _trailer(content, 0)
    return out + handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def test_the_checksum_is_castagnolis() -> None:
    # RFC 3720, appendix B.4
    assert crc32c(b"\0" * 32) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@given(st.dictionaries(st.binary(max_size=12), st.binary(max_size=20), min_size=1), st.booleans())
def test_a_table_gives_back_what_it_holds(entries: dict[bytes, bytes], share: bool) -> None:
    assert read_table(table(entries, share=share), "t") == entries


def test_a_damaged_table_is_refused() -> None:
    data = table({b"a": b"1", b"ab": b"2"})
    with pytest.raises(CorruptModelError, match="not the index"):
        read_table(data[:-1], "t")
    with pytest.raises(CorruptModelError, match="block of the index is damaged"):
        read_table(bytes([data[0] ^ 1]) + data[1:], "t")
    with pytest.raises(UnsupportedModelError, match="compressed"):
        read_table(table({b"a": b"1"}, kind=1), "t")
    outside = bytearray(data)
    outside[len(data) - 48 :] = (
        write_varint(0) + write_varint(4) + write_varint(1 << 40) + write_varint(9)
    ).ljust(40, b"\0") + data[-8:]
    with pytest.raises(CorruptModelError, match="outside the file"):
        read_table(bytes(outside), "t")
    lying = write_varint(3) + write_varint(1) + write_varint(1) + b"kv" + struct.pack("<II", 0, 1)
    block = lying + _trailer(lying, 0)
    handle = write_varint(0) + write_varint(len(lying))
    with pytest.raises(CorruptModelError, match="entry of the index"):
        read_table(block + (handle * 2).ljust(40, b"\0") + data[-8:], "t")


def _bundle(folder: Path, content: bytes = b"", endianness: int = 0, **entry) -> Bundle:
    header = BUNDLE_HEADER.new(num_shards=1, endianness=endianness)
    entry["shape"] = SCHEMAS["TensorShapeProto"].new(
        dim=[SCHEMAS["Dim"].new(size=extent) for extent in entry.get("shape", ())]
    )
    index = table({b"": header.encode(), b"v": BUNDLE_ENTRY.new(**entry).encode()})
    (folder / "x.index").write_bytes(index)
    (folder / "x.data-00000-of-00001").write_bytes(content)
    return Bundle(folder / "x", "model")


def test_tensors_are_read(tmp_path: Path) -> None:
    values = np.array([[1.5, -2], [3, 4]], np.float32)
    bundle = _bundle(tmp_path, b"..." + values.tobytes(), dtype=1, shape=(2, 2), offset=3, size=16)
    dtype, array = bundle.read("v")
    assert dtype is DataType.FLOAT
    np.testing.assert_array_equal(array, values)
    with pytest.raises(ModelError, match="no such variable"):
        bundle.read("w")
    halves = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    bundle = _bundle(tmp_path, halves, dtype=int(DataType.BFLOAT16), shape=(2, 2), size=8)
    np.testing.assert_array_equal(bundle.read("v")[1], values)


def test_tensors_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="not numeric"):
        _bundle(tmp_path, dtype=int(DataType.STRING), size=4).read("v")
    with pytest.raises(CorruptModelError, match="does not go with"):
        _bundle(tmp_path, dtype=1, shape=(1 << 40, 1 << 40), size=4).read("v")
    with pytest.raises(CorruptModelError, match="does not go with"):
        _bundle(tmp_path, b"abcd", dtype=1, shape=(1,), size=4, offset=-4).read("v")
    with pytest.raises(CorruptModelError, match="cut off"):
        _bundle(tmp_path, b"abc", dtype=1, shape=(1,), size=4).read("v")
    with pytest.raises(UnsupportedModelError, match="big-endian"):
        _bundle(tmp_path, endianness=1)


def _sliced(folder: Path, parts: list[tuple[list[tuple[int, int]], bytes]], **change) -> Bundle:
    """A variable of shape [200, 2] in slices; the names spelt out from ordered_code.h."""
    slices = SCHEMAS["TensorSliceProto"], SCHEMAS["Extent"]
    entries, content = {}, b""
    for extents, key in parts:
        shape = [SCHEMAS["Dim"].new(size=length) for _, length in extents]
        size = 4 * int(np.prod([length for _, length in extents], dtype=np.int64))
        entries[key] = BUNDLE_ENTRY.new(
            dtype=1, size=size, offset=len(content),
            shape=SCHEMAS["TensorShapeProto"].new(dim=shape),
        ).encode()  # fmt: skip
        content += np.full(size // 4, len(entries), np.float32).tobytes()
    whole = {
        "dtype": 1,
        "shape": SCHEMAS["TensorShapeProto"].new(
            dim=[SCHEMAS["Dim"].new(size=extent) for extent in (200, 2)]
        ),
        "slices": [
            slices[0].new(extent=[slices[1].new(start=a, length=b) for a, b in extents])
            for extents, _ in parts
        ],
    } | change
    header = BUNDLE_HEADER.new(num_shards=1).encode()
    (folder / "x.index").write_bytes(
        table({b"": header, b"v": BUNDLE_ENTRY.new(**whole).encode(), **entries})
    )
    (folder / "x.data-00000-of-00001").write_bytes(content)
    return Bundle(folder / "x", "model")


# 0 is 80, 2 is 82, 150 is c096: a byte with a bit before it, then two with two
_TOP = ([(0, 150), (0, 2)], b"\0v\0\x01\x01\x02\x80\xc0\x96\x80\x82")
_BOTTOM = ([(150, 50), (0, 2)], b"\0v\0\x01\x01\x02\xc0\x96\xb2\x80\x82")


def test_slices_are_joined(tmp_path: Path) -> None:
    dtype, array = _sliced(tmp_path, [_BOTTOM, _TOP]).read("v")
    assert dtype is DataType.FLOAT and array.shape == (200, 2)
    assert (array[:150] == 2).all() and (array[150:] == 1).all()


def test_slices_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def refused(match: str, *parts, **change) -> None:
        with pytest.raises(CorruptModelError, match=match):
            _sliced(tmp_path, list(parts), **change).read("v")

    refused("is missing", (_TOP[0], b"\0w" + _TOP[1][2:]))
    refused("do not make up", _TOP)
    half = ([(0, 100), (0, 2)], b"\0v\0\x01\x01\x02\x80\xc0\x64\x80\x82")
    refused("do not make up", half, half)
    outside = ([(190, 50), (0, 2)], b"\0v\0\x01\x01\x02\xc0\xbe\xb2\x80\x82")
    refused("outside its variable", outside)
    flat = ([(0, 150)], b"\0v\0\x01\x01\x01\x80\xc0\x96")
    refused("another rank", flat)
    unknown = SCHEMAS["TensorShapeProto"].new(unknown_rank=True)
    refused("no shape", _TOP, shape=unknown)


@pytest.mark.parametrize("number", [0, 1, 63, 64, 127, 128, 8191, 8192, 1 << 20, 1 << 33])
def test_names_of_slices_sort_as_their_numbers(number: int) -> None:
    lower, upper = _slice_key("v", [(number, 1)]), _slice_key("v", [(number + 1, 1)])
    assert lower < upper and len(upper) - len(lower) in {0, 1}
