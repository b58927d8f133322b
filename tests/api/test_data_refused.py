"""Example files that are damaged or made to harm."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from budget.api import data
from budget.api.data import load_samples
from budget.api.run import run
from budget.errors import UsageError
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import NoAttributes
from budget.shrinking.data import Source, load_sets


@pytest.fixture
def graph() -> Graph:
    builder = GraphBuilder("g")
    builder.input("a", TensorType((1, 2), DType.FLOAT32))
    return builder.build()


def npy(header: str) -> bytes:
    """A file whose header is any text."""
    padded = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def archive(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", content)
    return path


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2",  # never ends
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 9999999), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': [('a', ())], 'fortran_order': False, 'shape': (1, 2), }",
        "{'descr': '<f4', b'order': False, 'shape': (1, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000000000000, 2), }",
        "import os",
    ],
)
def test_headers_that_make_no_sense(header: str, tmp_path: Path, graph: Graph) -> None:
    alone = tmp_path / "a.npy"
    alone.write_bytes(npy(header))
    for path in (alone, archive(tmp_path / "a.npz", npy(header))):
        with pytest.raises(UsageError, match="cannot be read as an array"):
            load_samples(path, graph)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_archives(method: int, tmp_path: Path, graph: Graph) -> None:
    """Wherever a byte is changed it is read, or refused in words, by every command that reads."""
    header = "{'descr': '<i1', 'fortran_order': False, 'shape': (1, 8, 8, 1), }"
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("a.npy", npy(header) + bytes(64))
    sound = path.read_bytes()
    refused = 0
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0xA5]) + sound[place + 1 :])
        for read in (
            lambda: load_samples(path, graph),
            lambda: run("zoo:digits", path),
            lambda: load_sets(Source(str(path)), graph),
        ):
            try:
                read()
            except UsageError as error:
                refused += bool(error.what)
    assert refused > len(sound)


def test_integers_beyond_the_input_s_are_not_wrapped(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", np.full((1, 8, 8, 1), 200, np.uint8))
    with pytest.raises(UsageError, match=r"numbers from 200 to 200; input .* is int8"):
        run("zoo:digits", tmp_path / "pixels.npy")


def test_no_examples_at_all(tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.zeros((0, 8, 8, 1), np.int8))
    with pytest.raises(UsageError, match="holds no examples"):
        run("zoo:digits", tmp_path / "none.npy")


def test_two_inputs_in_order_are_each_read_as_what_they_are(tmp_path: Path) -> None:
    """One holds integers as they are stored, the other real numbers."""
    builder = GraphBuilder("two")
    type = TensorType((1, 2), DType.INT8, QuantParams.per_tensor(0.5, 0))
    names = [builder.input(name, type) for name in ("a", "b")]
    for name in names:
        builder.node("relu", [name], [builder.tensor(f"y{name}", type)], NoAttributes())
        builder.output(f"y{name}")
    path = tmp_path / "two.npz"
    np.savez(path, first=np.array([[3, 4]], np.int8), second=np.array([[3.0, 4.0]], np.float32))
    found = run(builder.build(), path).results[0].outputs
    np.testing.assert_array_equal(found["ya"], [[1.5, 2.0]])
    np.testing.assert_array_equal(found["yb"], [[3.0, 4.0]])
    np.savez(path, first=np.zeros((2, 2), np.int8), second=np.zeros((3, 2), np.int8))
    with pytest.raises(UsageError, match="different numbers of examples for its inputs"):
        run(builder.build(), path)


def test_a_member_that_is_no_array(tmp_path: Path, graph: Graph) -> None:
    with pytest.raises(UsageError, match=r"a(\.npy)? inside it is no array"):
        load_samples(archive(tmp_path / "a.npz", b"text"), graph)


def test_a_bomb_is_not_unfolded(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros((1 << 16, 2), np.float32))
    path = tmp_path / "a.npz"
    path.write_bytes(buffer.getvalue())
    monkeypatch.setattr(data, "MOST_BYTES", 1 << 18)
    with pytest.raises(UsageError, match="holds 524,416 bytes of examples, more than 262,144"):
        load_samples(path, graph)
