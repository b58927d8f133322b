"""Broken and hostile containers of Keras models: archives and HDF5 files."""

from __future__ import annotations

import builtins
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("h5py")

import h5py
from keras_by_hand import (
    CONFIG,
    DENSE,
    refuse,
    weights_file,
    write_h5,
    write_json,
    write_keras,
)

from budget.errors import (
    BudgetError,
    MissingToolError,
    UnsupportedModelError,
)
from budget.graph import verify
from budget.readers.keras import read_keras


def test_not_a_keras_file(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    refuse(path, "cannot be read")
    for data in (b"", b"\x08\x03", b"TFL3" * 10):
        path.write_bytes(data)
        refuse(path, "neither")
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    refuse(path, "not a sound archive")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refuse(path, "not a sound HDF5 file")


def test_weights_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(weights_file(DENSE))
    refuse(path, "weights without the model", "model.save", kind=UnsupportedModelError)

    def number(file: Any) -> None:
        file.attrs["model_config"] = 3

    refuse(write_h5(path, change=number), "not text")


def test_members_missing_twice_or_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other", "x")
    refuse(path, "no config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
    refuse(path, "no model.weights.h5", kind=UnsupportedModelError)
    with pytest.warns(UserWarning), zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
        archive.writestr("config.json", json.dumps(CONFIG))
    refuse(path, "twice")
    data = bytearray(write_keras(path).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(signature)
        while start >= 0:
            data[start + offset] |= 1
            start = data.find(signature, start + 4)
    path.write_bytes(bytes(data))
    refuse(path, "encrypted")


def test_bombs(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    write_keras(path, b" " * (80 << 20), compression=zipfile.ZIP_DEFLATED)
    refuse(path, "config.json claims")
    write_keras(path, weights=bytes(50 << 20), compression=zipfile.ZIP_DEFLATED)
    refuse(path, "model.weights.h5 claims")
    from budget.readers import keras_files

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_files, "_MAX_MEMBERS", 2)
        refuse(write_keras(path), "too many members")
    data = bytearray(write_keras(path).read_bytes())
    start = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 4)
    struct.pack_into("<I", data, start + 24, 5)  # config.json shorter than it is
    path.write_bytes(bytes(data))
    refuse(path)


def test_member_shorter_than_it_claims(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "m.keras")
    data = bytearray(path.read_bytes())
    start = data.find(b"PK\x01\x02")
    size_bytes = struct.unpack_from("<I", data, start + 24)[0]
    struct.pack_into("<I", data, start + 24, size_bytes + 1)
    path.write_bytes(bytes(data))
    refuse(path, "has not the size it claims")


def test_configuration_over_the_limit(tmp_path: Path) -> None:
    from budget.formats import keras_config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_config, "MAX_CONFIG_BYTES", 50)
        refuse(write_json(tmp_path / "m.json", CONFIG), "more than 50")


def _soft(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.SoftLink("/layers/dense/vars/1")


def _external(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def _replaced(make: Callable[[Any], None]) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["layers/dense/vars/0"]
        make(file["layers/dense/vars"])

    return change


def _virtual(group: Any) -> None:
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (3, 2), "f4")
    group.create_virtual_dataset("0", layout)


HOSTILE: dict[str, tuple[Callable[[Any], None], str]] = {
    "soft link": (_soft, "not followed"),
    "external link": (_external, "not followed"),
    "group": (_replaced(lambda g: g.create_group("0")), "not an array"),
    "empty": (_replaced(lambda g: g.create_dataset("0", dtype="f4")), "not an array"),
    "text": (_replaced(lambda g: g.create_dataset("0", data=[b"a"])), "no numbers"),
    "complex": (_replaced(lambda g: g.create_dataset("0", (3, 2), "c8")), "no numbers"),
    "huge": (_replaced(lambda g: g.create_dataset("0", (1 << 20, 1 << 20), "f4")), "claims"),
    "external file": (
        _replaced(lambda g: g.create_dataset("0", (3, 2), "f4", external=[("/etc/passwd", 0, 24)])),
        "outside the file",
    ),
    "virtual": (_replaced(_virtual), "outside the file"),
    "foreign filter": (
        _replaced(lambda g: g.create_dataset("0", (3, 2), "f4", compression="lzf")),
        "foreign encoding",
    ),
    "missing": (_replaced(lambda g: None), "has no kernel"),
    "shape": (_replaced(lambda g: g.create_dataset("0", (2, 3), "f4")), "has shape (2, 3)"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_weights(name: str, tmp_path: Path) -> None:
    change, words = HOSTILE[name]
    refuse(write_keras(tmp_path / "m.keras", change=change), words)


def test_hostile_h5_groups(tmp_path: Path) -> None:
    def fewer(file: Any) -> None:
        file["model_weights/dense"].attrs["weight_names"] = [b"dense/kernel:0"]

    def other(file: Any) -> None:
        file["model_weights/dense"].attrs["weight_names"] = [b"dense/kernel:0", b"dense/gone:0"]

    def link(file: Any) -> None:
        file.move("model_weights", "elsewhere")
        file["model_weights"] = h5py.SoftLink("/elsewhere")

    path = tmp_path / "m.h5"
    refuse(write_h5(path, change=fewer), "has 1 weights in the file, not 2")
    refuse(write_h5(path, change=other), "has no dense/gone:0")
    refuse(write_h5(path, change=link), "not followed")

    from budget.readers import keras_hdf5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_hdf5, "_MAX_NAMES", 1)
        refuse(write_h5(path), "too large")


def test_a_file_that_claims_more_memory_than_there_is() -> None:
    from budget.readers.keras_hdf5 import ClaimsMemoryError, hdf5_errors

    for error in (MemoryError(), OSError("Can't read data (memory allocation failed for chunk)")):
        with pytest.raises(ClaimsMemoryError, match="claims more memory"), hdf5_errors("m.h5"):
            raise error


def test_files_on_which_the_library_hangs_or_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    from budget.readers import keras_probe

    path = write_h5(tmp_path / "m.h5")
    monkeypatch.setattr(keras_probe, "WALL_LIMIT_S", 0.001)
    refuse(path, "never ends")
    monkeypatch.undo()
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    real = subprocess.run

    def crashing(command: list[str], **options: Any) -> Any:
        return real([sys.executable, "-c", crash], **options)

    monkeypatch.setattr(subprocess, "run", crashing)
    refuse(path, "HDF5 library fail (signal 11)")


def test_missing_h5py_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_keras(tmp_path / "m.keras")
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    refuse(path, "pip install", "mcu-budget[keras]", kind=MissingToolError)


# --- mutations ------------------------------------------------------------------------------------
@pytest.fixture
def unprobed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child process for each of many files; the mutations here are known to come to an end."""
    from budget.readers import keras_files

    monkeypatch.setattr(keras_files, "probe", lambda data, where: None)


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_every_truncation_gives_one_clear_error(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "m"
    data = (write_keras(path) if suffix == "keras" else write_h5(path)).read_bytes()
    for length in range(0, len(data) - 1, max(len(data) // 60, 1)):
        path.write_bytes(data[:length])
        with pytest.raises(BudgetError):
            read_keras(path)


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_flipped_bits_never_escape_as_other_errors(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "m"
    data = (write_keras(path) if suffix == "keras" else write_h5(path)).read_bytes()
    random = np.random.default_rng(7)
    for _ in range(150):
        mutated = bytearray(data)
        for position in random.integers(0, len(data), random.integers(1, 4)):
            mutated[position] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(mutated))
        try:
            verify(read_keras(path))
        except BudgetError as error:
            assert error.what
