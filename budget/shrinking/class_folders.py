"""A folder with one folder of images or sounds for each class, as TensorFlow for Poets has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budget.errors import BudgetError, UsageError
from budget.features import FeatureSpec, extract, read_sound
from budget.features.picture import import_pillow, read_pixels
from budget.graph import Array, Graph
from budget.records import record

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
SOUNDS = frozenset({".wav"})
_NAMED = 5


@record
class Folder:
    """What was read.

    Attributes:
        values: [example][...], pixels from 0 to 255 or features as real numbers.
        labels: class of each example.
        classes: names in the order of labels.
        are_images: rather than sounds.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    are_images: bool


def read_folder(
    folder: Path, graph: Graph, names: Sequence[str] = (), features: FeatureSpec | None = None
) -> Folder:
    """Reads every image or sound of a folder of class folders.

    Args:
        folder: has a folder for each class; hidden ones are passed over.
        graph: its only input gives the size and the channels of images.
        names: of the classes in the order of labels; alphabetical if empty.
        features: the front end that sounds go through.

    Raises:
        UsageError: no classes, an empty one, one that the label file lacks, files that cannot be
            read (all are counted, some are named), or a model with other inputs.
        MissingToolError: images need Pillow.
    """
    places = {p.name: p for p in sorted(folder.iterdir()) if p.is_dir() and p.name[0] != "."}
    if not places:
        raise UsageError(
            "has no folders of classes",
            where=str(folder),
            hint="put the examples of each class into a folder of the class's name",
        )
    unknown = [name for name in places if names and name not in names]
    if unknown:
        raise UsageError(
            f"the label file has no {', '.join(map(repr, unknown[:_NAMED]))}",
            where=str(folder),
            hint="a line of the label file is the name of a class's folder",
        )
    files = {name: _files(place) for name, place in places.items()}
    empty = [name for name, found in files.items() if not found]
    if empty:
        raise UsageError(
            f"no images or sounds in {', '.join(map(repr, empty[:_NAMED]))}",
            where=str(folder),
            hint="png, jpg, bmp or wav files are read; take the folder away if the class is none",
        )
    kinds = {path.suffix.lower() in IMAGES for found in files.values() for path in found}
    if len(kinds) > 1:
        raise UsageError("holds both images and sounds", where=str(folder))
    are_images = kinds.pop()
    classes = tuple(names) or tuple(places)
    read = _image_reader(graph) if are_images else _sound_reader(graph, features)
    values, labels, broken = [], [], []
    for name, found in files.items():
        for path in found:
            try:
                values.append(read(path))
                labels.append(classes.index(name))
            except BudgetError as error:
                # one bad file must not hide the others: all are told together
                broken.append(f"{path.relative_to(folder)} ({error.what})")
    if broken:
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        raise UsageError(
            f"{len(broken)} of {len(broken) + len(values)} files cannot be used: "
            + "; ".join(broken[:_NAMED])
            + more,
            where=str(folder),
            hint="repair them or take them away",
        )
    return Folder(
        np.stack(values).astype(np.float32), np.array(labels, np.int64), classes, are_images
    )


def _files(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.iterdir()
        if p.is_file() and p.name[0] != "." and p.suffix.lower() in IMAGES | SOUNDS
    )


def _only_input(graph: Graph) -> tuple[int, ...]:
    if len(graph.inputs) != 1:
        raise UsageError(
            f"the model has {len(graph.inputs)} inputs; a folder gives one",
            where="--data",
            hint="give an .npz file with an array for each input",
        )
    return graph.type_of(graph.inputs[0]).shape


def _image_reader(graph: Graph) -> Callable[[Path], Array]:
    shape = _only_input(graph)
    if len(shape) != 4 or shape[3] not in {1, 3}:
        raise UsageError(
            f"the model's input {list(shape)} is no grey or colour image",
            where="--data",
            hint="give an .npz file",
        )
    import_pillow()

    def read(path: Path) -> Array:
        return read_pixels(path, shape[1], shape[2], shape[3], ("PNG", "JPEG", "BMP"))

    return read


def _sound_reader(graph: Graph, features: FeatureSpec | None) -> Callable[[Path], Array]:
    shape = _only_input(graph)
    if features is None:
        raise UsageError(
            "sounds need the model's front end",
            where="--data",
            hint="name its specification: --features hotword.features.toml, or zoo:hotword",
        )
    spec = features
    count = int(np.prod(spec.shape))
    if count != int(np.prod(shape)):
        raise UsageError(
            f"the front end makes {list(spec.shape)}, the model's input is {list(shape)}",
            where="--features",
            hint="give the specification that the model was trained with",
        )

    def read(path: Path) -> Array:
        clip = np.zeros(spec.clip_samples, np.int16)
        sound = read_sound(path, spec)[: spec.clip_samples]
        clip[: len(sound)] = sound
        stored = extract(spec, clip).astype(np.float32)
        return (stored - spec.zero_point) * np.float32(spec.scale)

    return read
