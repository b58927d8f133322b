"""Examples from where users keep them: class folders, .npz files, Python functions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import UsageError
from budget.features import FeatureSpec
from budget.formats.numpy_arrays import read_arrays
from budget.graph import Array, DType, Graph, QuantParams
from budget.records import record
from budget.shrinking.class_folders import read_folder
from budget.shrinking.examples import Examples, Sets, from_arrays, split

FEW_PER_CLASS = 20
FEW_HELD_OUT = 100
_LABELS = ("labels", "label", "y", "classes", "targets")


@record
class Source:
    """Where examples are and how to read them.

    Attributes:
        data: a folder, an .npz file, or ``module:function``.
        held_out: the same for those that are kept apart; a part of ``data`` if empty.
        labels: a file with a class's name in each line, in the order of the model's outputs.
        features: the front end that sounds go through.
        input_range: what the darkest and the lightest pixel become; None where nobody said.
        stored: how integers in files stand for reals.
        seed: of the split.
    """

    data: str
    held_out: str = ""
    labels: str = ""
    features: FeatureSpec | None = None
    input_range: tuple[float, float] | None = None
    stored: QuantParams | None = None
    seed: int = 0


def load_sets(source: Source, graph: Graph) -> Sets:
    """Reads and divides examples.

    Args:
        source: where they are.
        graph: canonical, in float32.

    Raises:
        UsageError: there is nothing, it is damaged, or it does not suit the model.
        MissingToolError: images need Pillow.
    """
    names = read_labels(source.labels) if source.labels else ()
    examples, classes, notes = _read(source.data, source, graph, names)
    held_out = None
    if source.held_out:
        held_out, _, _ = _read(source.held_out, source, graph, classes or names)
        if (held_out.labels is None) != (examples.labels is None):
            raise UsageError(
                "only one of the two sets has labels", where="--held-out", hint="label both"
            )
    _require_classes(graph, examples, classes, source.data)
    training, choosing, last = split(examples, held_out=held_out, seed=source.seed)
    if not (len(training) and len(choosing) and len(last)):
        raise UsageError(
            f"{len(examples)} examples are too few to learn from and to judge by",
            where="--data",
            hint=f"give a hundred at least, {FEW_PER_CLASS} of each class",
        )
    if held_out is None:
        notes = (*notes, f"{len(last)} of {len(examples)} examples are held out (seed "
                 f"{source.seed}): nothing is learned from or chosen by them")  # fmt: skip
    warnings = _warnings(graph, training, last, classes)
    return Sets(training, choosing, last, classes, _are_pixels(source), notes, warnings)


def _are_pixels(source: Source) -> bool:
    """Whether the examples are images from files."""
    return source.features is None and Path(source.data).expanduser().is_dir()


def read_labels(path: str) -> tuple[str, ...]:
    """Names of classes, one in each line.

    Raises:
        UsageError: the file cannot be read, is empty, or has a name twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=path, hint="--labels FILE") from None
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names or len(set(names)) < len(names):
        raise UsageError(
            "a class's name stands there twice" if names else "has no names of classes",
            where=path,
            hint="one name in each line, in the order of the model's outputs",
        )
    return names


Read = tuple[Examples, tuple[str, ...], tuple[str, ...]]


def _read(place: str, source: Source, graph: Graph, names: Sequence[str]) -> Read:
    path = Path(place).expanduser()
    if path.is_dir():
        folder = read_folder(path, graph, names, source.features)
        values = folder.values
        if folder.are_images and source.input_range is not None:
            low, high = source.input_range
            values = values / np.float32(255) * np.float32(high - low) + np.float32(low)
        notes = () if names or not folder.classes else (
            "classes are in alphabetical order: " + ", ".join(folder.classes),
        )  # fmt: skip
        found = from_arrays(graph, {graph.inputs[0]: values}, folder.labels)
        return found, folder.classes, notes
    if path.suffix in {".npz", ".npy"}:
        arrays = read_arrays(path, hint="save it with numpy.savez(file, inputs=…, labels=…)")
        return _from_arrays(place, arrays, source, graph, names)
    if ":" in place and not path.exists():
        return _from_arrays(place, _called(place), source, graph, names)
    raise UsageError(
        "is neither a folder of class folders, nor .npz, nor module:function"
        if path.exists()
        else "there is no such folder or file",
        where=f"--data {place}",
        hint="for a Python function write --data module:function",
    )


def _called(place: str) -> dict[str, Array]:
    """What a user's own function returns: inputs, or inputs and labels."""
    module, _, name = place.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"there is no such function: {error}",
            where=f"--data {place}",
            hint="module:function, the module in this folder or installed",
        ) from None
    made: Any = function()
    if isinstance(made, Mapping):
        return {str(key): np.asarray(value) for key, value in made.items()}
    if isinstance(made, tuple) and len(made) == 2:
        inputs, labels = made
        if isinstance(inputs, Mapping):
            return {**{k: np.asarray(v) for k, v in inputs.items()}, "labels": np.asarray(labels)}
        return {"inputs": np.asarray(inputs), "labels": np.asarray(labels)}
    return {"inputs": np.asarray(made)}


def _from_arrays(
    place: str, arrays: Mapping[str, Array], source: Source, graph: Graph, names: Sequence[str]
) -> Read:
    labels = next((arrays[n] for n in _LABELS if n in arrays), None)
    rest = {n: a for n, a in arrays.items() if n not in _LABELS}
    wanted = graph.inputs
    if not set(wanted) <= rest.keys():
        suited = [a for a in rest.values() if a.ndim > 1]
        if len(wanted) != 1 or not suited:
            raise UsageError(
                f"has {', '.join(arrays) or 'nothing'} for the inputs {', '.join(wanted)}",
                where=place,
                hint="name one array after each input, and 'labels' the classes",
            )
        rest = {wanted[0]: suited[0]}
    columns = {n: _column(place, graph, n, rest[n], source.stored) for n in wanted}
    counts = {len(c) for c in columns.values()}
    if labels is not None:
        labels = labels.reshape(-1)
        if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
            raise UsageError(
                f"labels are {labels.dtype}, not numbers of classes from 0",
                where=place,
                hint="number the classes in the order of the model's outputs",
            )
        counts.add(len(labels))
    if len(counts) > 1:
        raise UsageError("has different numbers of examples and labels", where=place)
    numbers = None if labels is None else labels.astype(np.int64)
    return from_arrays(graph, columns, numbers), tuple(names), ()


def _column(place: str, graph: Graph, name: str, array: Array, stored: QuantParams | None) -> Array:
    type = graph.type_of(name)
    inner = type.shape[1:] if type.shape[:1] == (1,) else type.shape
    count = int(np.prod(inner)) if inner else 1
    if array.dtype.kind not in "biuf":
        raise UsageError(f"holds {array.dtype}, not numbers", where=place)
    if array.ndim < 1 or not len(array) or array.size // len(array) != count:
        raise UsageError(
            f"has shape {list(array.shape)}; input {name!r} is {list(type.shape)}",
            where=place,
            hint="examples come first: [example][...]",
        )
    values: Array = array.reshape(len(array), *inner)
    if type.dtype is not DType.FLOAT32:
        return values.astype(type.dtype.numpy)
    real = values.astype(np.float32)
    if stored is not None and array.dtype.kind in "iu":
        real = (real - np.float32(stored.zero_point[0])) * stored.scale[0]
    return real


def _require_classes(graph: Graph, examples: Examples, classes: Sequence[str], place: str) -> None:
    """Labels must name outputs of the model."""
    if examples.labels is None:
        return
    outputs = graph.type_of(graph.outputs[0]).element_count
    most = int(examples.labels.max(initial=0)) + 1
    known = max(most, len(classes))
    if outputs > 1 and known > outputs:
        raise UsageError(
            f"{known} classes for a model of {outputs} outputs",
            where=f"--data {place}",
            hint="give the model's own classes, and their order with --labels",
        )


def _warnings(
    graph: Graph, training: Examples, held_out: Examples, classes: Sequence[str]
) -> tuple[str, ...]:
    found = []
    if training.labels is None:
        if len(training) < FEW_HELD_OUT:
            found.append(f"only {len(training)} examples to learn from")
    else:
        outputs = max(graph.type_of(graph.outputs[0]).element_count, 2)
        for what, part, few in (
            ("to learn from", training, FEW_PER_CLASS),
            ("held out", held_out, 1),
        ):
            assert part.labels is not None
            counts = np.bincount(part.labels, minlength=outputs)
            missing = _named(np.flatnonzero(counts == 0), classes)
            if missing:
                found.append(f"no examples {what} of {missing}")
            scarce = _named(np.flatnonzero((counts > 0) & (counts < few)), classes)
            if scarce:
                found.append(f"fewer than {few} examples {what} of {scarce}")
    if len(held_out) < FEW_HELD_OUT:
        found.append(
            f"only {len(held_out)} examples are held out: what is measured on them is rough"
        )
    return tuple(found)


def _named(indices: NDArray[Any], classes: Sequence[str]) -> str:
    names = [repr(classes[i]) if i < len(classes) else f"class {i}" for i in indices]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
