"""What recurrent layers mean in TensorFlow, unrolled over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda x: x,
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
}

_Step = Callable[[Any, Any, Any, list[Any], tuple[Any, ...]], tuple[Any, ...]]


def layer(step: _Step, biases: int, states: int) -> Callable[[Any, Sequence[Any]], list[Any]]:
    """The meaning of a layer whose step is given.

    Args:
        step: attributes, product with the input, recurrent weights, biases and states → states.
        biases: operands behind the weights.
        states: operands behind the biases.
    """

    def meaning(attributes: Any, operands: Sequence[Any]) -> list[Any]:
        given = [*operands, *[None] * (3 + biases + states - len(operands))]
        x, weights, recurrent = given[:3]
        steps = tf.unstack(x, axis=0 if attributes.time_major else 1)
        empty = tf.zeros([tf.shape(steps[0])[0], recurrent.shape[1]])
        first = 3 + biases
        now = tuple(empty if s is None else s for s in given[first : first + states])
        added = [0.0 if b is None else tf.reshape(b, [-1]) for b in given[3:first]]
        found = []
        for value in steps:
            from_x = tf.matmul(value, weights, transpose_b=True) + added[0]
            now = step(attributes, from_x, recurrent, added, now)
            found.append(now[0])
        if not attributes.sequences:
            return [found[-1], *now]
        return [tf.stack(found, 0 if attributes.time_major else 1), *now]

    return meaning


def simple_step(
    attributes: Any, from_x: Any, recurrent: Any, biases: list[Any], states: tuple[Any, ...]
) -> tuple[Any, ...]:
    """One state: h = f(W x + U h + b)."""
    product = tf.matmul(states[0], recurrent, transpose_b=True)
    return (FUNCTIONS[attributes.function](from_x + product),)


def gru_step(
    attributes: Any, from_x: Any, recurrent: Any, biases: list[Any], states: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Rows of weights: update, reset, candidate; the second bias belongs to the state's product."""
    (h,) = states
    units = recurrent.shape[1]
    gate = FUNCTIONS[attributes.gate_function]
    bias = biases[1] + tf.zeros([3 * units])
    two = tf.matmul(h, recurrent[: 2 * units], transpose_b=True) + bias[: 2 * units]
    two = two + from_x[:, : 2 * units]
    update, reset = gate(two[:, :units]), gate(two[:, units:])
    own, last = from_x[:, 2 * units :], recurrent[2 * units :]
    if attributes.reset_after:
        own = own + reset * (tf.matmul(h, last, transpose_b=True) + bias[2 * units :])
    else:
        own = own + tf.matmul(reset * h, last, transpose_b=True) + bias[2 * units :]
    return (update * h + (1.0 - update) * FUNCTIONS[attributes.function](own),)


def lstm_step(
    attributes: Any, from_x: Any, recurrent: Any, biases: list[Any], states: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Rows of weights: input, forget, cell, output."""
    h, cell = states
    gate, function = FUNCTIONS[attributes.gate_function], FUNCTIONS[attributes.function]
    sums = from_x + tf.matmul(h, recurrent, transpose_b=True)
    opened, kept, new, shown = tf.split(sums, 4, axis=1)
    cell = gate(kept) * cell + gate(opened) * function(new)
    if attributes.cell_clip:
        cell = tf.clip_by_value(cell, -attributes.cell_clip, attributes.cell_clip)
    return gate(shown) * function(cell), cell
