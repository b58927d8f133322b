"""Inputs of a model from the files that people have: pictures, sound, arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from budget.api.data import MOST_SAMPLES, examples_in, read_inputs
from budget.errors import UsageError
from budget.features.picture import read_pixels
from budget.graph import Array, DType, Graph, Tensor, TensorType

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp")
SOUNDS = (".wav",)
ARRAYS = (".npy", ".npz")

DEFAULT_MEAN = 128.0
"""What TensorFlow's label_image takes from each pixel, and divides by, unless told otherwise."""

Example = dict[str, Array]


def read_examples(
    path: str | Path,
    graph: Graph,
    *,
    model: str | Path | Graph = "",
    mean: float | None = None,
    std: float | None = None,
) -> list[tuple[str, Example]]:
    """Inputs by tensor name as real numbers, each with the name of what it came from.

    Args:
        path: a picture, a .wav file, a .npy or .npz file of one example or many, or a folder.
        graph: canonical; its inputs give shapes and element types.
        model: as it was named; the front end of sound is looked for beside it.
        mean: taken from each pixel; 128 unless given.
        std: what is divided by then; as the mean unless given.

    Returns:
        Real values; arrays of a quantised input's own integer type are taken as stored.

    Raises:
        UsageError: there is no such file, it is damaged, or it does not suit the model.
        MissingToolError: pictures need the package pillow.
        BudgetError: sound needs a front end, and there is none.
    """
    path = Path(path)
    if path.is_dir():
        known = (*PICTURES, *SOUNDS, *ARRAYS)
        files = sorted(item for item in path.iterdir() if item.suffix.lower() in known)
        if not files:
            raise UsageError("has no pictures, .wav, .npy or .npz files", where=str(path))
    else:
        files = [path]
    found: list[tuple[str, Example]] = []
    for file in files[:MOST_SAMPLES]:
        found += _read(file, graph, model, mean, std)
    return found[:MOST_SAMPLES]


def draw_examples(graph: Graph, count: int, seed: int) -> list[tuple[str, Example]]:
    """Seeded inputs: uniform from -1 to 1, over a quantised input's range, or whole numbers."""
    rng = np.random.default_rng(seed)
    return [
        (f"seeded {index}", {name: _drawn(rng, graph.type_of(name)) for name in graph.inputs})
        for index in range(count)
    ]


def to_stored(type: TensorType, values: Array) -> Array:
    """Real values as a tensor holds them: quantised, rounded, or as they are."""
    quant = type.quant
    if type.dtype.is_integer and quant is not None:
        limits = np.iinfo(type.dtype.value)
        steps = np.round(np.asarray(values, np.float64) / quant.scale[0]) + quant.zero_point[0]
        stored: Array = np.clip(steps, limits.min, limits.max).astype(type.dtype.numpy)
        return stored
    return np.asarray(values).astype(type.dtype.numpy)


def to_real(type: TensorType, values: Array) -> Any:
    """What a tensor's elements stand for, in double precision."""
    quant = type.quant
    stored = np.asarray(values, np.float64)
    if quant is None or not type.dtype.is_integer:
        return stored
    shape = [1] * stored.ndim
    if quant.axis is not None:
        shape[quant.axis] = -1
    return (stored - quant.zero_point.reshape(shape)) * quant.scale.astype(np.float64).reshape(
        shape
    )


def _drawn(rng: np.random.Generator, type: TensorType) -> Array:
    if type.is_quantized:
        limits = np.iinfo(type.dtype.value)
        return np.asarray(
            to_real(type, rng.integers(limits.min, limits.max + 1, type.shape)), np.float32
        )
    if type.dtype.is_float:
        return rng.uniform(-1, 1, type.shape).astype(type.dtype.numpy)
    return rng.integers(0, 2, type.shape).astype(type.dtype.numpy)


def _read(
    path: Path,
    graph: Graph,
    model: str | Path | Graph,
    mean: float | None,
    std: float | None,
) -> list[tuple[str, Example]]:
    suffix = path.suffix.lower()
    if suffix not in (*PICTURES, *SOUNDS, *ARRAYS):
        raise UsageError(
            f"{suffix or 'a name without an ending'} is no kind of input",
            where=str(path),
            hint="give a picture, a .wav file, or arrays as .npy or .npz",
        )
    if not path.is_file():
        raise UsageError("there is no such file", where=str(path))
    if suffix in ARRAYS:
        return _from_arrays(path, graph)
    if len(graph.inputs) != 1:
        raise UsageError(
            f"the model has the inputs {', '.join(graph.inputs)}, and a {suffix} file gives one",
            where=str(path),
            hint="give an .npz file with an array for each",
        )
    name = graph.inputs[0]
    type = graph.type_of(name)
    if suffix in SOUNDS:
        return [(path.name, {name: _heard(path, graph, model)})]
    return [(path.name, {name: _seen(path, type, name, mean, std)})]


def _from_arrays(path: Path, graph: Graph) -> list[tuple[str, Example]]:
    arrays = read_inputs(path, graph)
    # integers that an input holds are what they stand for; everything else is real already
    tensors = dict(graph.tensors)
    for name, array in arrays.items():
        type = graph.type_of(name)
        is_real = type.is_quantized and array.dtype.kind not in "biu"
        kind = DType.FLOAT32 if is_real else type.dtype
        tensors[name] = Tensor(name, TensorType(type.shape, kind))
    examples = examples_in(path, graph.replace(tensors=tensors), arrays)
    if not examples:
        raise UsageError("holds no examples", where=str(path))
    found = []
    for index, example in enumerate(examples):
        real = {
            name: np.asarray(to_real(graph.type_of(name), value), np.float32)
            if graph.type_of(name).is_quantized and value.dtype == graph.type_of(name).dtype.numpy
            else value
            for name, value in example.items()
        }
        found.append((path.name if len(examples) == 1 else f"{path.name}[{index}]", real))
    return found


def _heard(path: Path, graph: Graph, model: str | Path | Graph) -> Array:
    from budget.api.front_ends import front_end_of
    from budget.features import extract, read_sound, require_match

    spec = front_end_of(model).spec
    require_match(spec, graph)
    features = extract(spec, read_sound(path, spec))
    type = graph.type_of(graph.inputs[0])
    # the front end's integers stand for the same reals as the input's of the model it belongs to
    real = (features.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)
    shaped: Array = real.reshape(type.shape)
    return shaped


def _seen(path: Path, type: TensorType, name: str, mean: float | None, std: float | None) -> Array:
    image = read_picture(path, type, name)
    if mean is None and std is None and type.is_quantized and type.dtype.bits == 8:
        # as TensorFlow Lite's label_image: pixels are the stored numbers, counted from the lowest
        stored = image + (-128 if type.dtype is DType.INT8 else 0)
        return np.asarray(to_real(type, stored), np.float32)
    middle = DEFAULT_MEAN if mean is None else mean
    spread = (DEFAULT_MEAN if mean is None else 1.0) if std is None else std
    if not spread:
        raise UsageError("pixels cannot be divided by 0", where="--std")
    return np.asarray((image - middle) / spread, np.float32)


def read_picture(path: Path, type: TensorType, name: str = "") -> Any:
    """A picture's pixels, 0 to 255, scaled to the height, width and channels of an input.

    Raises:
        UsageError: the input is no picture, or the file is none.
        MissingToolError: the package pillow is not installed.
    """
    shape = type.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise UsageError(
            f"input {name!r} is {list(shape)}, no picture of one or three channels",
            where=str(path),
            hint="give its numbers as .npy",
        )
    return read_pixels(path, *shape[1:]).astype(np.float64).reshape(shape)


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Names of classes, one on each line.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return tuple(Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from None


def stored_example(graph: Graph, example: Mapping[str, Array], order: Sequence[str]) -> Example:
    """Real values as the inputs of a graph hold them; by name, or in order of inputs.

    Raises:
        UsageError: an input's shape is another.
    """
    found: Example = {}
    for position, name in enumerate(graph.inputs):
        values = example[name] if name in example else example[order[position]]
        type = graph.type_of(name)
        if np.shape(values) != type.shape:
            if np.size(values) != type.element_count:
                raise UsageError(
                    f"input {name!r} is {list(type.shape)}, and what is given {list(values.shape)}"
                )
            values = np.reshape(values, type.shape)
        found[name] = to_stored(type, values)
    return found
