"""Keras's recurrent layers, one way and both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from budget.formats.keras_settings import Settings
from budget.graph.types import DType
from budget.transforms.lower.keras_context import Handler, Layer
from budget.transforms.lower.recurrent import (
    BIAS_COUNTS,
    STATE_COUNTS,
    emit_recurrent,
    reverse,
)
from budget.transforms.lower.tensorflow_context import Value

_OPERATORS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn"}
_KNOWN = ("linear", "relu", "sigmoid", "tanh")
_WEIGHTS = 3


def _recurrent(kind: str) -> Handler:
    def handler(layer: Layer) -> tuple[Value, ...]:
        states = [value for value in layer.inputs[1:-_WEIGHTS] if value is not None]
        first = len(layer.inputs) - _WEIGHTS
        y, *final = _one_way(layer, kind, layer.settings, states, first)
        returned = tuple(final) if layer.settings.flag("return_state", False) else ()
        return (y, *returned)

    return handler


def _one_way(
    layer: Layer,
    kind: str,
    settings: Settings,
    states: Sequence[Value],
    first: int,
    *,
    backwards: bool | None = None,
    label: str = "",
) -> list[Value]:
    """Output and last states of one layer whose weights begin with operand ``first``."""
    op = _OPERATORS[kind]
    x = layer.real()
    if settings.flag("go_backwards", False) if backwards is None else backwards:
        x = reverse(layer.c, layer.node, x, 1)
    biases = [_bias(layer, first + 2, index) for index in range(BIAS_COUNTS[op])]
    attributes: dict[str, Any] = {
        "function": _function(settings, "activation", "tanh"),
        "sequences": settings.flag("return_sequences", False),
    }
    if op != "simple_rnn":
        attributes["gate_function"] = _function(settings, "recurrent_activation", "sigmoid")
    if op == "gru":
        attributes["reset_after"] = settings.flag("reset_after", True)
    if settings.flag("stateful", False) and not states:
        states = _kept_states(layer, op, settings, label)
    weights = [layer.weight(first + index, lambda w: w.T, "transposed") for index in range(2)]
    absent: list[Value | None] = [None] * STATE_COUNTS[op]
    operands = [x, *weights, *biases, *(states or absent)]
    return emit_recurrent(layer.c, layer.node, op, operands, attributes)


def _bias(layer: Layer, operand: int, index: int) -> Value | None:
    """The bias of the inputs, or from a second row that of the recurrent product."""
    data = layer.inputs[operand]
    if isinstance(data, np.ndarray) and data.ndim == 2:
        return layer.weight(operand, lambda bias: bias[index], f"row{index}")
    return layer.weight(operand) if index == 0 else None


def _function(settings: Settings, key: str, default: str) -> str:
    name = settings.activation(key)[0] if settings.has(key) else default
    if name not in _KNOWN:
        raise settings.bad(f"{key} {name!r} has no meaning inside a recurrent layer here")
    return name


def _kept_states(layer: Layer, op: str, settings: Settings, label: str) -> list[Value]:
    """Variables that keep the states from one inference to the next."""
    from budget.graph.types import TensorType

    shape = (layer.shape[0], settings.integer("units"))
    builder = layer.c.builder
    return [
        builder.tensor(
            builder.unique_name(f"{layer.node.name}{label}/state_{index}"),
            TensorType(shape, DType.FLOAT32),
            is_variable=True,
        )
        for index in range(STATE_COUNTS[op])
    ]


def _bidirectional(layer: Layer) -> tuple[Value, ...]:
    """Two layers, the second over the sequence from its end."""
    config = layer.settings.config
    inner = config["layer"]
    kind = inner["class_name"]
    settings = Settings(inner["config"], layer.settings.where)
    first = len(layer.inputs) - 2 * _WEIGHTS
    states = [value for value in layer.inputs[1:first] if value is not None]
    half = len(states) // 2
    ahead = _one_way(layer, kind, settings, states[:half], first, backwards=False, label="/forward")
    back = _one_way(
        layer,
        kind,
        settings,
        states[half:],
        first + _WEIGHTS,
        backwards=True,
        label="/backward",
    )
    if settings.flag("return_sequences", False):
        back[0] = reverse(layer.c, layer.node, back[0], 1)
    merged = _merged(layer, config.get("merge_mode", "concat"), ahead[0], back[0])
    returned = [*ahead[1:], *back[1:]] if settings.flag("return_state", False) else []
    return (*merged, *returned)


def _merged(layer: Layer, mode: str | None, a: Value, b: Value) -> tuple[Value, ...]:
    from budget.ops.shaping import ConcatAttributes

    if mode is None:
        return a, b
    if mode == "concat":
        axis = len(layer.c.shape(a)) - 1
        return (layer.emit("concat", a, b, attributes=ConcatAttributes(axis)),)
    if mode == "mul":
        return (layer.emit("mul", a, b),)
    total = layer.emit("add", a, b)
    return (layer.emit("mul", total, layer.number(0.5)) if mode == "ave" else total,)


HANDLERS: dict[str, Handler] = {
    **{kind: _recurrent(kind) for kind in _OPERATORS},
    "Bidirectional": _bidirectional,
}
