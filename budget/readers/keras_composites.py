"""Keras layers made of other layers: recurrent ones, wrappers, attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from budget.errors import UnsupportedModelError
from budget.formats.keras_config import LayerEntry
from budget.formats.keras_settings import Settings
from budget.readers.keras_layers import LAYERS
from budget.readers.keras_rules import LayerRule, Shape, Weight

_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
_RECURRENT_KEYS = (
    "units activation recurrent_activation use_bias return_sequences return_state go_backwards"
    " stateful unroll reset_after implementation time_major zero_output_for_mask dropout"
    " recurrent_dropout unit_forget_bias"
)


def rule_of(class_name: str, config: Mapping[str, Any]) -> LayerRule | None:
    """The rule for a class of layer, wrapped layers included; None if it is not on the list."""
    if class_name not in _WRAPPERS:
        return LAYERS.get(class_name) or _COMPOSITES.get(class_name)
    inner = wrapped(config)
    if inner is None or rule_of(*inner) is None:
        return None
    if class_name == "Bidirectional" and inner[0] not in _GATES:
        return None
    return _WRAPPERS[class_name]


def wrapped(config: Mapping[str, Any], key: str = "layer") -> tuple[str, Mapping[str, Any]] | None:
    """Class and configuration of the layer inside a wrapper."""
    inner = config.get(key)
    if not isinstance(inner, dict) or not isinstance(inner.get("config"), dict):
        return None
    class_name = inner.get("class_name")
    if not isinstance(class_name, str) or class_name in _WRAPPERS:
        return None
    if inner.get("registered_name") not in (None, class_name, f"Keras>{class_name}"):
        return None
    return class_name, inner["config"]


def classes_inside(layer: LayerEntry) -> list[tuple[str, Mapping[str, Any]]]:
    """The layer's class and configuration, and those of the layers it wraps."""
    found: list[tuple[str, Mapping[str, Any]]] = [(layer.class_name, layer.config)]
    if layer.class_name in _WRAPPERS:
        for key in ("layer", "backward_layer"):
            inner = wrapped(layer.config, key)
            if inner is not None:
                found.append(inner)
    return found


def _recurrent(gates: int) -> LayerRule:
    def shapes(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
        batch, steps, _ = inputs[0]
        units = settings.integer("units")
        state = [(batch, units)] * (2 if gates == 4 else 1)
        output = (batch, steps, units) if settings.flag("return_sequences", False) else state[0]
        return [output, *(state if settings.flag("return_state", False) else ())]

    def weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
        units = settings.integer("units")
        width = gates * units
        rows = (2, width) if gates == 3 and settings.flag("reset_after", True) else (width,)
        return [
            Weight("kernel", (inputs[0][-1], width), "cell"),
            Weight("recurrent_kernel", (units, width), "cell"),
            Weight("bias", rows, "cell", is_present=settings.flag("use_bias", True)),
        ]

    keys = frozenset(_RECURRENT_KEYS.split())
    return LayerRule(keys, shapes, weights, 3, (1, 3 if gates == 4 else 2))


def _inner(settings: Settings, key: str = "layer") -> tuple[LayerRule, Settings]:
    inner = wrapped(settings.config, key)
    rule = None if inner is None else rule_of(*inner)
    assert inner is not None and rule is not None  # `rule_of` gave a rule for the wrapper
    return rule, Settings(inner[1], f"{settings.where}, {inner[0]} inside")


def _merged(shape: Shape) -> Shape:
    if len(shape) < 3:
        raise UnsupportedModelError(f"TimeDistributed over an input of shape {shape}")
    return (shape[0] * shape[1], *shape[2:])


def _step(settings: Settings, inputs: Sequence[Shape]) -> tuple[LayerRule, Settings, Shape]:
    """The wrapped layer, and its input: all steps of all examples as one batch."""
    rule, inner = _inner(settings)
    step = _merged(inputs[0])
    if rule.rank not in (None, len(step)):
        raise settings.bad(f"the wrapped layer does not take an input of shape {step}")
    return rule, inner, step


def _time_distributed(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    rule, inner, step = _step(settings, inputs)
    outputs = rule.shapes(inner, [step])
    return [(inputs[0][0], inputs[0][1], *outputs[0][1:])]


def _time_distributed_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    rule, inner, step = _step(settings, inputs)
    return [_inside("layer", weight) for weight in rule.weights(inner, [step])]


def _bidirectional(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    rule, inner = _inner(settings)
    forward, *states = rule.shapes(inner, inputs)
    mode = settings.config.get("merge_mode", "concat")
    if mode is None:
        return [forward, forward, *states, *states]
    settings.choice("merge_mode", "concat", ("concat", "sum", "ave", "mul"))
    merged = (*forward[:-1], 2 * forward[-1]) if mode == "concat" else forward
    return [merged, *states, *states]


def _bidirectional_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    rule, inner = _inner(settings)
    weights = rule.weights(inner, inputs)
    return [
        replace(_inside(part, weight), name=f"{part}/{weight.name}")
        for part in ("forward_layer", "backward_layer")
        for weight in weights
    ]


def _inside(part: str, weight: Weight) -> Weight:
    return replace(weight, path=f"{part}/{weight.path}" if weight.path else part)


def _attention(settings: Settings, inputs: Sequence[Shape]) -> list[Shape]:
    if any(len(shape) != 3 or shape[0] != inputs[0][0] for shape in inputs):
        raise UnsupportedModelError("attention over more than one dimension", where=settings.where)
    if inputs[1][1] != inputs[-1][1]:
        raise settings.bad("keys and values differ in length")
    depth = inputs[0][-1]
    if settings.has("output_shape"):
        (depth,) = settings.integers("output_shape", 1)
    axes = settings.config.get("attention_axes")
    if axes not in (None, 1, [1], (1,)) or settings.has("sliding_window"):
        raise UnsupportedModelError("attention over chosen dimensions", where=settings.where)
    return [(*inputs[0][:-1], depth)]


def _attention_weights(settings: Settings, inputs: Sequence[Shape]) -> list[Weight]:
    query, value = inputs[0][-1], inputs[1][-1]
    key = inputs[2][-1] if len(inputs) > 2 else value
    heads, key_depth = settings.integer("num_heads"), settings.integer("key_dim")
    value_depth = settings.integer("value_dim", key_depth)
    has_bias = settings.flag("use_bias", True)
    (output,) = _attention(settings, inputs)
    parts = (
        ("query", (query, heads, key_depth), (heads, key_depth)),
        ("key", (key, heads, key_depth), (heads, key_depth)),
        ("value", (value, heads, value_depth), (heads, value_depth)),
        ("output", (heads, value_depth, output[-1]), (output[-1],)),
    )
    weights = []
    for part, kernel, bias in parts:
        path = f"{part}_dense"
        weights.append(Weight(f"{part}/kernel", kernel, path))
        weights.append(Weight(f"{part}/bias", bias, path, is_present=has_bias))
    return weights


_COMPOSITES = {
    **{name: _recurrent(gates) for name, gates in _GATES.items()},
    "MultiHeadAttention": LayerRule(
        frozenset(
            (
                "num_heads",
                "key_dim",
                "value_dim",
                "use_bias",
                "output_shape",
                "attention_axes",
                "dropout",
            )
        ),
        _attention,
        _attention_weights,
        None,
        (2, 3),
    ),
}
_WRAPPERS = {
    "TimeDistributed": LayerRule(
        frozenset({"layer"}), _time_distributed, _time_distributed_weights
    ),
    "Bidirectional": LayerRule(
        frozenset({"layer", "merge_mode", "backward_layer"}),
        _bidirectional,
        _bidirectional_weights,
        3,
        (1, 5),
    ),
}
