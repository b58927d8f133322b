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


WITNESSES: dict[str, Callable[[Case, Values], Any]] = {
    witness.__name__: witness for witness in (batch_norm, layer_norm, elu)
}


def of(operator: Operator, case: Case) -> Callable[[Values], list[np.ndarray]]:
    """The witness of an operator; a KeyError says that it still needs one."""
    witness = WITNESSES[operator.name]
    return lambda x: [np.asarray(witness(case, x))]
