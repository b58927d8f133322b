"""Representative inputs from .npy and .npz files."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np

from budget.errors import UsageError
from budget.graph import Array, Graph

MOST_SAMPLES = 1024
MOST_BYTES = 1 << 29
# what numpy and zipfile raise on damaged headers, members and streams
_STUMBLES = (
    OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, TokenError,
    SyntaxError, OverflowError, MemoryError, NotImplementedError, RuntimeError, KeyError, TypeError,
    IndexError, AttributeError,
)  # fmt: skip


def load_samples(
    data: str | Path | Sequence[Mapping[str, Array]], graph: Graph
) -> list[dict[str, Array]]:
    """Inputs by tensor name, one mapping for each example.

    Args:
        data: a .npy file of examples for the only input, [example][...]; an .npz file with an
            array for each input, by name or in order; or a folder of .npy files, one example
            (or array of examples) each.
        graph: canonical; its inputs give names, shapes and element types.

    Raises:
        UsageError: there is no such file, it is damaged, or its arrays do not suit the inputs.
    """
    if not isinstance(data, (str, Path)):
        return [{name: np.asarray(value) for name, value in sample.items()} for sample in data]
    path = Path(data)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in {".npy", ".npz"})
        if not files:
            raise UsageError("has no .npy or .npz files", where=str(path))
        found = [sample for file in files for sample in _from_file(file, graph)]
    else:
        found = _from_file(path, graph)
    if not found:
        raise UsageError("holds no examples", where=str(path))
    return found[:MOST_SAMPLES]


def _from_file(path: Path, graph: Graph) -> list[dict[str, Array]]:
    arrays = _arrays(path)
    names = list(graph.inputs)
    if set(names) <= arrays.keys():
        ordered = [arrays[name] for name in names]
    elif len(arrays) == len(names):
        ordered = list(arrays.values())
    else:
        raise UsageError(
            f"has arrays {', '.join(arrays) or '(none)'} for the inputs {', '.join(names)}",
            where=str(path),
            hint="name one array after each input",
        )
    columns = [_examples(path, graph, name, array) for name, array in zip(names, ordered)]
    if len({len(column) for column in columns}) > 1:
        raise UsageError("has different numbers of examples for its inputs", where=str(path))
    return [dict(zip(names, row)) for row in zip(*columns)]


def _arrays(path: Path) -> dict[str, Array]:
    try:
        _check_size(path)
        with path.open("rb") as file:  # numpy leaves it open where the archive is damaged
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {path.stem: loaded}
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except _STUMBLES as error:
        raise UsageError(
            f"cannot be read as an array: {str(error) or type(error).__name__}",
            where=str(path),
            hint="save it with numpy.save or numpy.savez",
        ) from None
    # a member that does not begin like an array is given out as bytes
    strange = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if strange:
        raise UsageError(f"{', '.join(strange)} inside it is no array", where=str(path))
    return arrays


def _check_size(path: Path) -> None:
    """Refuses archives that would unfold into more than memory should hold."""
    size_bytes = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size_bytes = sum(info.file_size for info in archive.infolist())
    if size_bytes > MOST_BYTES:
        raise UsageError(
            f"holds {size_bytes:,} bytes of examples, more than {MOST_BYTES:,}",
            where=str(path),
            hint=f"up to {MOST_SAMPLES} examples are read: save fewer",
        )


def _examples(path: Path, graph: Graph, name: str, array: Array) -> list[Array]:
    """An array cut into examples of the input's own shape."""
    type = graph.type_of(name)
    count = type.element_count
    inner = type.shape[1:] if type.shape[:1] == (1,) else type.shape
    if array.dtype.kind not in "biuf":
        raise UsageError(f"holds {array.dtype}, not numbers", where=str(path))
    values = array.astype(type.dtype.numpy)
    if array.shape in {type.shape, inner}:
        return [values.reshape(type.shape)]
    if array.shape[1:] in {type.shape, inner} and count:
        return list(values.reshape(-1, *type.shape))
    # dimensions of extent 1, such as the channel of a grey picture, may be left out
    if count and _extents(array.shape) == _extents(type.shape):
        return [values.reshape(type.shape)]
    if count and _extents(array.shape[1:]) == _extents(type.shape):
        return list(values.reshape(-1, *type.shape))
    raise UsageError(
        f"has shape {list(array.shape)}; input {name!r} is {list(type.shape)}",
        where=str(path),
        hint="examples come first: [example][...]",
    )


def _extents(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(extent for extent in shape if extent != 1)
