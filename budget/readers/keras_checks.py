"""Refuses, all at once, whatever in a Keras model this program does not know the meaning of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budget.errors import UnsupportedModelError
from budget.formats.keras_config import LayerEntry, ModelEntry
from budget.formats.keras_settings import ACTIVATION_LAYERS, ACTIVATIONS, Settings
from budget.readers.keras_composites import classes_inside, rule_of
from budget.readers.keras_operations import OPERATIONS
from budget.readers.keras_weights import is_int8

_TRAINING_SUFFIXES = ("_initializer", "_regularizer", "_constraint")
_TRAINING_KEYS = frozenset(
    (
        "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "sparse", "ragged",
        "optional", "seed", "momentum", "synchronized", "renorm", "renorm_clipping",
        "renorm_momentum", "virtual_batch_size", "fused", "input_length", "dynamic", "autocast",
        "bounding_box_format",
    )
)  # fmt: skip
_CODE = {"Lambda", "TFOpLambda", "SlicingOpLambda", "ops.Map", "ops.While"}
_MASK_READERS = {
    "GlobalAveragePooling1D", "MultiHeadAttention", "LSTM", "GRU", "SimpleRNN", "Bidirectional",
    "Dot", "Softmax",
}  # fmt: skip


def check_supported(model: ModelEntry, where: str) -> None:
    """Passes if every layer is on the allow-list with settings that are understood.

    Raises:
        UnsupportedModelError: some are not; the message names every one of them.
    """
    problems: list[str] = []
    masks = [path for path, layer in model.walk() if layer.config.get("mask_zero") is True]
    for path, layer in model.walk():
        if layer.model is not None or layer.class_name == "InputLayer":
            continue
        found = _problem(layer)
        if masks and layer.class_name in _MASK_READERS:
            found = found or f"it would read the mask of {masks[0]!r}"
        if found:
            problems.append(f"{path!r} ({layer.class_name}: {found})")
    if problems:
        raise UnsupportedModelError(
            f"{len(problems)} layer{'s' * (len(problems) > 1)} cannot be read: "
            + ", ".join(problems),
            where=where,
            hint="replace them, or export the model as a SavedModel: model.export('folder')",
        )


def _problem(layer: LayerEntry) -> str:
    if layer.class_name in _CODE:
        return "it holds code, which is never run"
    operation = OPERATIONS.get(layer.class_name)
    if operation is not None:
        return _unknown_keys(layer.config, operation.keys)
    if rule_of(layer.class_name, layer.config) is None:
        return "unknown layer"
    for class_name, config in classes_inside(layer):
        rule = rule_of(class_name, config)
        if rule is None:
            return f"{class_name} inside it is unknown"
        keys = rule.keys
        if class_name in _INT8_LAYERS and is_int8(config):
            keys |= {"quantization_config"}
        found = _unknown_keys(config, keys) or _odd_dtype(config) or _odd_activation(config)
        if found:
            return found
    return ""


def _unknown_keys(config: Mapping[str, Any], known: frozenset[str]) -> str:
    unknown = [
        key
        for key, value in config.items()
        if key not in known
        and key not in _TRAINING_KEYS
        and not key.endswith(_TRAINING_SUFFIXES)
        and value not in (None, False, [], {}, "")
    ]
    return f"settings {', '.join(sorted(unknown))} are not understood" if unknown else ""


_INT8_LAYERS = ("Dense", "Embedding")


def _odd_dtype(config: Mapping[str, Any]) -> str:
    policy = config.get("dtype")
    if is_int8(config):
        return ""
    if isinstance(policy, dict):
        inner = policy.get("config")
        policy = inner.get("name") if isinstance(inner, dict) else "unknown"
    if policy is None or (isinstance(policy, str) and policy in _POLICIES):
        return ""
    return f"its type policy is {str(policy)[:40]!r}"


_POLICIES = frozenset(
    f"{mixed}{kind}" for mixed in ("", "mixed_") for kind in ("float16", "bfloat16", "float32")
) | {"float64", "int32", "int64", "uint8", "int8", "int16", "bool"}


def _odd_activation(config: Mapping[str, Any]) -> str:
    for key in ("activation", "recurrent_activation"):
        name, _ = Settings(config).activation(key)
        if name not in ACTIVATIONS and name not in ACTIVATION_LAYERS:
            return f"activation {name[:60]!r} is unknown"
    return ""
