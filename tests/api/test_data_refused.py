"""Example files that are damaged or made to harm."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from budget.api import data
from budget.api.data import load_samples
from budget.errors import UsageError
from budget.graph import DType, Graph, GraphBuilder, TensorType


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
        "import os",
    ],
)
def test_headers_that_make_no_sense(header: str, tmp_path: Path, graph: Graph) -> None:
    alone = tmp_path / "a.npy"
    alone.write_bytes(npy(header))
    for path in (alone, archive(tmp_path / "a.npz", npy(header))):
        with pytest.raises(UsageError, match="cannot be read as an array"):
            load_samples(path, graph)


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
