"""Representative inputs from .npy and .npz files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from budget.errors import UsageError
from budget.formats.numpy_arrays import read_arrays
from budget.graph import Array, Graph

MOST_SAMPLES = 1024
MOST_BYTES = 1 << 29


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
    return examples_in(path, graph, read_inputs(path, graph))


def read_inputs(path: Path, graph: Graph) -> dict[str, Array]:
    """What a file holds for each input, by name, else in order.

    Raises:
        UsageError: there is no such file, it is damaged, or it has too few arrays or too many.
    """
    arrays = read_arrays(path, most_bytes=MOST_BYTES)
    names = list(graph.inputs)
    if set(names) <= arrays.keys():
        return {name: arrays[name] for name in names}
    if len(arrays) != len(names):
        raise UsageError(
            f"has arrays {', '.join(arrays) or '(none)'} for the inputs {', '.join(names)}",
            where=str(path),
            hint="name one array after each input",
        )
    return dict(zip(names, arrays.values()))


def examples_in(path: Path, graph: Graph, arrays: Mapping[str, Array]) -> list[dict[str, Array]]:
    """The arrays of `read_inputs` cut into examples.

    Raises:
        UsageError: they do not suit the inputs.
    """
    columns = [_examples(path, graph, name, array) for name, array in arrays.items()]
    if len({len(column) for column in columns}) > 1:
        raise UsageError("has different numbers of examples for its inputs", where=str(path))
    return [dict(zip(arrays, row)) for row in zip(*columns)]


def _examples(path: Path, graph: Graph, name: str, array: Array) -> list[Array]:
    """An array cut into examples of the input's own shape."""
    type = graph.type_of(name)
    count = type.element_count
    inner = type.shape[1:] if type.shape[:1] == (1,) else type.shape
    if array.dtype.kind not in "biuf":
        raise UsageError(f"holds {array.dtype}, not numbers", where=str(path))
    if type.dtype.is_integer and array.dtype.kind in "iu" and array.size:
        limits = np.iinfo(type.dtype.value)
        if array.min() < limits.min or array.max() > limits.max:
            raise UsageError(
                f"holds numbers from {array.min()} to {array.max()}; "
                f"input {name!r} is {limits.dtype}",
                where=str(path),
                hint="save them as the input stores them, or as real numbers",
            )
    with np.errstate(over="ignore", invalid="ignore"):
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
