"""What stands in for LiteRT where it has no kernel: TensorFlow's own operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from budget.ops.operator import Case, Operator

Values = list[np.ndarray | None]


def batch_norm(case: Case, x: Values) -> Any:
    import tensorflow as tf

    image, scale, offset, mean, variance = x
    return tf.nn.batch_normalization(image, mean, variance, offset, scale, case.attributes.epsilon)


def layer_norm(case: Case, x: Values) -> Any:
    import tensorflow as tf

    mean, variance = tf.nn.moments(tf.constant(x[0]), case.attributes.axes, keepdims=True)
    return tf.nn.batch_normalization(x[0], mean, variance, x[2], x[1], case.attributes.epsilon)


def elu(case: Case, x: Values) -> Any:
    import tensorflow as tf

    return tf.nn.elu(x[0])


def _steps(case: Case, x: Values) -> Any:
    """The input by time, and the sequence of outputs in the order that is wanted."""
    import tensorflow as tf

    a = case.attributes
    steps = tf.unstack(tf.constant(x[0]), axis=0 if a.time_major else 1)

    def joined(found: list[Any]) -> Any:
        return tf.stack(found, 0 if a.time_major else 1) if a.sequences else found[-1]

    return steps, joined


def _function(name: str) -> Callable[[Any], Any]:
    import tensorflow as tf

    return {"tanh": tf.tanh, "sigmoid": tf.sigmoid, "relu": tf.nn.relu, "linear": tf.identity}[name]


def _first(x: Values, index: int, steps: Any, units: int) -> Any:
    given = x[index] if index < len(x) else None
    return np.zeros((steps[0].shape[0], units), np.float32) if given is None else given


def simple_rnn(case: Case, x: Values) -> Any:
    import tensorflow as tf

    steps, joined = _steps(case, x)
    h = _first(x, 4, steps, x[2].shape[1])
    bias = 0.0 if x[3] is None else x[3]
    found = []
    for step in steps:
        total = tf.matmul(step, x[1], transpose_b=True) + tf.matmul(h, x[2], transpose_b=True)
        h = _function(case.attributes.function)(total + bias)
        found.append(h)
    return joined(found), h


def gru(case: Case, x: Values) -> Any:
    import tensorflow as tf

    steps, joined = _steps(case, x)
    units = x[2].shape[1]
    h = _first(x, 5, steps, units)
    rows = [tf.split(x[index], 3) for index in (1, 2)]
    bias = [np.zeros((3, units)) if x[index] is None else np.reshape(x[index], (3, units))
            for index in (3, 4)]  # fmt: skip
    gate, function = map(_function, (case.attributes.gate_function, case.attributes.function))
    found = []
    for step in steps:
        ahead = [tf.matmul(step, rows[0][k], transpose_b=True) + bias[0][k] for k in range(3)]
        back = [tf.matmul(h, rows[1][k], transpose_b=True) + bias[1][k] for k in range(2)]
        z, r = gate(ahead[0] + back[0]), gate(ahead[1] + back[1])
        if case.attributes.reset_after:
            own = r * (tf.matmul(h, rows[1][2], transpose_b=True) + bias[1][2])
        else:
            own = tf.matmul(r * h, rows[1][2], transpose_b=True) + bias[1][2]
        h = z * h + (1.0 - z) * function(ahead[2] + own)
        found.append(h)
    return joined(found), h


def lstm(case: Case, x: Values) -> Any:
    import tensorflow as tf

    steps, joined = _steps(case, x)
    units = x[2].shape[1]
    h, c = _first(x, 4, steps, units), _first(x, 5, steps, units)
    gate, function = map(_function, (case.attributes.gate_function, case.attributes.function))
    bias = 0.0 if x[3] is None else x[3]
    found = []
    for step in steps:
        total = tf.matmul(step, x[1], transpose_b=True) + tf.matmul(h, x[2], transpose_b=True)
        i, f, g, o = tf.split(total + bias, 4, axis=1)
        c = gate(f) * c + gate(i) * function(g)
        if case.attributes.cell_clip:
            c = tf.clip_by_value(c, -case.attributes.cell_clip, case.attributes.cell_clip)
        h = gate(o) * function(c)
        found.append(h)
    return joined(found), h, c


def svdf(case: Case, x: Values) -> Any:
    import tensorflow as tf

    features, times = tf.constant(x[1]), tf.constant(x[2])
    filters, steps = times.shape
    batch = len(x[0])
    before = np.zeros((batch, filters, steps), np.float32)
    if x[4] is not None:
        before = np.reshape(x[4], before.shape)
    new = tf.matmul(x[0], features, transpose_b=True)[:, :, None]
    memory = tf.concat([before[:, :, :-1], new], 2)
    sums = tf.einsum("bfm,fm->bf", memory, times)
    y = tf.reduce_sum(tf.reshape(sums, (batch, -1, case.attributes.rank)), 2)
    y = y if x[3] is None else y + x[3]
    y = tf.nn.relu(y) if case.attributes.activation.value == "relu" else y
    moved = tf.concat([memory[:, :, 1:], tf.zeros((batch, filters, 1))], 2)
    return y, tf.reshape(moved, (batch, -1))


WITNESSES: dict[str, Callable[[Case, Values], Any]] = {
    witness.__name__: witness
    for witness in (batch_norm, layer_norm, elu, simple_rnn, gru, lstm, svdf)
}


def of(operator: Operator, case: Case) -> Callable[[Values], list[np.ndarray]]:
    """The witness of an operator; a KeyError says that it still needs one."""
    witness = WITNESSES[operator.name]

    def answers(x: Values) -> list[np.ndarray]:
        found = witness(case, x)
        return [np.asarray(item) for item in (found if isinstance(found, tuple) else (found,))]

    return answers
