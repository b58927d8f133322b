"""Representative inputs from .npy and .npz files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from budget.errors import UsageError
from budget.graph import Array, Graph

MOST_SAMPLES = 1024


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
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.stem: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"cannot be read as an array: {error}",
            where=str(path),
            hint="save it with numpy.save or numpy.savez",
        ) from None


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
    raise UsageError(
        f"has shape {list(array.shape)}; input {name!r} is {list(type.shape)}",
        where=str(path),
        hint="examples come first: [example][...]",
    )
