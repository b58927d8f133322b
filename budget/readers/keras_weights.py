"""Finds each layer's weights in the file: by place in .keras archives, by name in .h5 files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from budget.errors import CorruptModelError, ModelError
from budget.formats.keras_config import LayerEntry, ModelEntry
from budget.graph.types import Array
from budget.readers.keras_hdf5 import Hdf5File
from budget.readers.keras_rules import Weight

Wanted = Mapping[LayerEntry, Sequence[Weight]]
Found = dict[LayerEntry, list[Array]]
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_MAX_ABSENT_BYTES = 1 << 28


def archive_weights(model: ModelEntry, wanted: Wanted, file: Hdf5File) -> Found:
    """Weights from the HDF5 file inside a .keras archive.

    Layers are found by class and running number, as Keras files them.

    Raises:
        CorruptModelError: a weight is missing or has the wrong shape.
    """
    found: Found = {}
    for layer, path in _archive_paths(model, "", file).items():
        weights = [weight for weight in wanted.get(layer, ()) if weight.is_present]
        number: dict[str, int] = {}
        for weight in weights:
            part = f"{path}/{weight.path}" if weight.path else path
            index = number.get(part, 0)
            number[part] = index + 1
            array = file.array(f"{part}/vars/{index}")
            if array is None:
                raise CorruptModelError(
                    f"layer {layer.name!r} has no {weight.name} in the file", where=file.where
                )
            if index == 0 and is_int8(layer.config):
                array = _real(array, file.array(f"{part}/vars/{len(weights)}"), layer, file.where)
            found.setdefault(layer, []).append(_checked(array, weight, layer, file.where))
    return found


def _archive_paths(model: ModelEntry, prefix: str, file: Hdf5File) -> dict[LayerEntry, str]:
    container = next((name for name in _CONTAINERS if file.has(prefix + name)), _CONTAINERS[0])
    used: dict[str, int] = {}
    paths: dict[LayerEntry, str] = {}
    for layer in model.layers:
        is_input = layer.class_name == "InputLayer"
        if layer.class_name.startswith("ops.") or (is_input and model.class_name == "Sequential"):
            continue
        kind = layer.wrapper or layer.class_name
        if kind == "Model":
            kind = "Functional"
        name = snake_case(kind)
        count = used.get(name, 0)
        used[name] = count + 1
        path = f"{prefix}{container}/{name}" + (f"_{count}" if count else "")
        paths[layer] = f"{path}/layer" if layer.wrapper else path
        if layer.model is not None:
            paths.update(_archive_paths(layer.model, path + "/", file))
    return paths


def snake_case(class_name: str) -> str:
    """``DepthwiseConv2D`` to ``depthwise_conv2d``, ``ReLU`` to ``re_lu``, as Keras does it."""
    text = re.sub(r"\W+", "", class_name)
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


def legacy_weights(model: ModelEntry, wanted: Wanted, file: Hdf5File) -> Found:
    """Weights from a whole-model .h5 file, one group for each layer of the outer model.

    Raises:
        CorruptModelError: a weight is missing or has the wrong shape.
    """
    root = "model_weights" if file.has("model_weights") else ""
    found: Found = {}
    for layer in model.layers:
        flat = _flat(layer, wanted, layer.config.get("trainable", True) is not False)
        if not flat:
            continue
        group = f"{root}/{layer.name}"
        names = file.names(group, "weight_names") or []
        is_wrapped = bool(layer.wrapper)
        if layer.model is not None:
            is_wrapped = any(inner.wrapper for _, inner in layer.model.walk())
        if is_wrapped:
            names = [name for name in names if not _OF_QUANTIZERS.search(name)]
        if len(names) != len(flat):
            raise CorruptModelError(
                f"layer {layer.name!r} has {len(names)} weights in the file, not {len(flat)}",
                where=file.where,
            )
        if layer.wrapper:
            places = _by_last_name(flat, names, file.where)
        else:
            places = _places(flat, names) if layer.model is not None else list(range(len(flat)))
        for (owner, weight, _), place in zip(flat, places):
            array = file.array(f"{group}/{names[place]}")
            if array is None:
                raise CorruptModelError(
                    f"layer {layer.name!r} has no {names[place]} in the file", where=file.where
                )
            found.setdefault(owner, []).append(_checked(array, weight, owner, file.where))
    return found


Flat = list[tuple[LayerEntry, Weight, bool]]
_OF_QUANTIZERS = re.compile(r"(?:optimizer_step|_min|_max)(?::\d+)?$")


def _by_last_name(flat: Flat, names: Sequence[str], where: str) -> list[int]:
    """Which stored weight is which, where a wrapper has changed their order."""
    stored = [re.sub(r":\d+$", "", name).split("/")[-1] for name in names]
    missing = [weight.name for _, weight, _ in flat if weight.name not in stored]
    if missing:
        raise CorruptModelError(
            f"layer {flat[0][0].name!r} has no {', '.join(missing)} in the file", where=where
        )
    return [stored.index(weight.name) for _, weight, _ in flat]


def is_int8(config: Mapping[str, Any]) -> bool:
    """Whether Keras stores a layer's weights as integers: `model.quantize("int8")`."""
    policy = config.get("dtype")
    inner = policy.get("config") if isinstance(policy, dict) else None
    if not isinstance(inner, dict):
        return isinstance(policy, str) and policy.startswith("int8_from_")
    name = inner.get("name")
    return inner.get("mode") == "int8" or (isinstance(name, str) and name.startswith("int8_from_"))


def quantization_notes(model: ModelEntry) -> list[str]:
    """What the user should know where the file's own quantisation is not that of the device."""
    notes = []
    layers = [layer for _, layer in model.walk()]
    wrapped = [layer for layer in layers if layer.wrapper]
    if wrapped:
        notes.append(
            f"{len(wrapped)} quantisers of quantisation-aware training are left out; the .tflite "
            "file made of the model has their ranges"
        )
    stored = [layer.name for layer in layers if is_int8(layer.config)]
    if stored:
        notes.append(
            f"Keras stores the weights of {len(stored)} layers as int8 and rounds their inputs "
            "anew for each inference; here both are real numbers"
        )
    return notes


def _real(stored: Array, scale: Array | None, layer: LayerEntry, where: str) -> Array:
    """Weights that Keras has multiplied by a scale, rounded and stored as int8.

    Source: keras/src/quantizers/quantizers.py, abs_max_quantize; a scale for each output of a
    Dense, for each row of an Embedding.
    """
    axis = 0 if layer.class_name == "Embedding" else -1
    fits = stored.ndim == 2 and scale is not None and scale.shape == (stored.shape[axis],)
    if stored.dtype != np.int8 or scale is None or not fits or not np.all(scale):
        raise CorruptModelError(
            f"layer {layer.name!r} has no int8 weights with scales in the file", where=where
        )
    divisor = np.asarray(scale, np.float32)
    real: Array = stored.astype(np.float32) / (divisor[:, None] if axis == 0 else divisor)
    return real


def _flat(layer: LayerEntry, wanted: Wanted, trainable: bool) -> Flat:
    """The weights of a layer, or of all layers of a model, each with whether it is trained."""
    if layer.model is None:
        return [
            (layer, weight, trainable and weight.is_trainable)
            for weight in wanted.get(layer, ())
            if weight.is_present
        ]
    trainable = trainable and layer.model.is_trainable
    parts: Flat = []
    for inner in layer.model.layers:
        parts += _flat(
            inner, wanted, trainable and inner.config.get("trainable", True) is not False
        )
    return parts


def _places(flat: Flat, names: Sequence[str]) -> list[int]:
    """Which stored weight of a nested model is which: by name, else trained ones first."""
    stored = [re.sub(r":\d+$", "", name).split("/")[-2:] for name in names]
    asked = [[owner.name, weight.name] for owner, weight, _ in flat]
    if all(stored.count(key) == 1 and asked.count(key) == 1 for key in asked):
        return [stored.index(key) for key in asked]
    order = [i for i, item in enumerate(flat) if item[2]]
    order += [i for i, item in enumerate(flat) if not item[2]]
    return [order.index(i) for i in range(len(flat))]


def absent_weights(wanted: Wanted) -> Found:
    """Start values for a model that came without weights.

    Raises:
        ModelError: they would take more than a gibibyte.
    """
    size_bytes = 4 * sum(prod(w.shape) for weights in wanted.values() for w in weights)
    if size_bytes > _MAX_ABSENT_BYTES:
        raise ModelError(
            f"the weights that the file leaves out would take {size_bytes:,} bytes",
            hint="save the model with its weights: model.save('model.keras')",
        )
    return {
        layer: [np.full(w.shape, w.fill, np.float32) for w in weights if w.is_present]
        for layer, weights in wanted.items()
    }


def _checked(array: Array, weight: Weight, layer: LayerEntry, where: str) -> Array:
    if array.shape != weight.shape:
        raise CorruptModelError(
            f"{weight.name} of layer {layer.name!r} has shape {array.shape} in the file, "
            f"not {weight.shape}",
            where=where,
        )
    return np.asarray(array, np.float32)
