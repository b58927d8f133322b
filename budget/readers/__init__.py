"""Model files to graphs: the format is found from a file's content, never from its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import exists, isdir
from pathlib import Path

from budget.errors import CorruptModelError, ModelError, UsageError
from budget.graph.graph import Graph

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ZIP_SIGNATURE = b"PK\x03\x04"
_TFLITE_MARK = b"TFL3"  # at byte 4
_KINDS = "a .tflite file, a frozen GraphDef, a SavedModel folder, a .keras, .h5 or Keras .json file"
_OTHER_FORMATS = {
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"BZh": "a bzip2 archive; unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it first",
    b"\x80": "a Python pickle, which would be executed to be read; save the model as .keras",
    b"\x93NUMPY": "a numpy array, not a model",
    b"\x7fELF": "a program, not a model",
}


def load(
    path: str | Path,
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Graph:
    """Reads a model in its source dialect.

    Args:
        path: a file, or the folder of a SavedModel; ``#NAME`` behind it picks a signature of
            several, or a subgraph of a .tflite file.
        inputs: names of the tensors that the caller provides, where the file does not say or part
            of the graph is wanted.
        outputs: names of the tensors that the caller receives, likewise.
        input_shapes: shapes of inputs that the file leaves open.

    Raises:
        ModelError: the path leads nowhere, or to something that is no model.
        CorruptModelError: the file is damaged.
        UnsupportedModelError: the model holds something this program does not read.
    """
    path, part = _path_and_part(path)
    shapes = dict(input_shapes or {})
    if isdir(path):  # noqa: PTH112 it is False for what can be no path, too
        return _load_folder(path, inputs, outputs, shapes, part)
    head = _head(path)
    if head[4:8] == _TFLITE_MARK:
        from budget.readers.selection import select
        from budget.readers.tflite import read_tflite

        graph = read_tflite(path.read_bytes(), path.name, part)
        return select(graph, inputs, outputs, shapes)
    if part:
        raise UsageError(
            f"{part!r} is no part of this file: only SavedModels and .tflite files have several",
            where=str(path),
            hint=f"leave #{part} out; --inputs and --outputs cut graphs of other formats",
        )
    is_json = head.lstrip().startswith(b"{")  # how no GraphDef in text form begins
    is_archive = head.startswith(_ZIP_SIGNATURE) and _is_keras(path)
    if is_json or is_archive or head.startswith(_HDF5_SIGNATURE):
        from budget.readers.keras import read_keras
        from budget.readers.selection import select

        return select(read_keras(path, shapes), inputs, outputs, {})
    _refuse_known_formats(path, head)
    from budget.readers.graphdef import read_graphdef

    return read_graphdef(path.read_bytes(), path.name, tuple(inputs), tuple(outputs), shapes)


def _path_and_part(path: str | Path) -> tuple[Path, str]:
    """A path and the part of the model behind the ``#``; files may have one in their names."""
    whole = Path(path)
    front, _, part = str(path).rpartition("#")
    if part and front and not exists(whole):  # noqa: PTH110
        return Path(front), part
    return whole, ""


def _load_folder(
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    shapes: dict[str, tuple[int, ...]],
    signature: str,
) -> Graph:
    if not (path / "saved_model.pb").is_file() and not (path / "saved_model.pbtxt").is_file():
        raise ModelError(
            "the folder holds no saved_model.pb",
            where=str(path),
            hint=f"a model is {_KINDS}",
        )
    from budget.readers.saved_model import read_saved_model

    return read_saved_model(path, tuple(inputs), tuple(outputs), shapes, signature or None)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except (FileNotFoundError, ValueError):  # the latter: of a path that can be none
        raise ModelError(
            "there is no such file",
            where=str(path),
            hint=f"a model is {_KINDS}; models that come with the program are called zoo:NAME",
        ) from None
    except OSError as error:
        raise ModelError(
            f"the file cannot be read: {error.strerror}",
            where=str(path),
            hint="check its permissions",
        ) from error
    if not head:
        raise CorruptModelError("the file is empty", where=str(path), hint="download it again")
    return head


def _is_keras(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CorruptModelError(
            f"the archive is damaged: {error}", where=str(path), hint="download it again"
        ) from error
    if "config.json" in names:
        return True
    hint = f"a model is {_KINDS}"
    if any(name.endswith(("saved_model.pb", ".tflite")) for name in names):
        hint = "unpack it and give the model inside"
    raise ModelError("the archive is not a Keras model", where=str(path), hint=hint)


def _refuse_known_formats(path: Path, head: bytes) -> None:
    for signature, what in _OTHER_FORMATS.items():
        if head.startswith(signature):
            raise ModelError(f"this is {what}", where=str(path), hint=f"a model is {_KINDS}")
    if path.suffix == ".tflite":
        raise CorruptModelError(
            "this is not a TensorFlow Lite file: the mark 'TFL3' is missing",
            where=path.name,
            hint="the file is damaged or its name is wrong",
        )
