"""What a graph computes for many examples, by TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from budget.graph import Array, Graph
from budget.tf.trainable import Rounded, Trainable

_BATCH = 128


def predict(
    graph: Graph | Trainable,
    inputs: Mapping[str, Array],
    wanted: Sequence[str] = (),
    rounded: Rounded | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Tensors of a float graph for a list of examples.

    Args:
        graph: canonical, in float32.
        inputs: by name, [example][...] as `Trainable` takes them.
        wanted: names of tensors; the outputs if empty.
        rounded: computes as if quantised so.

    Returns:
        By name, [example][...].
    """
    model = graph if isinstance(graph, Trainable) else Trainable(graph)
    names = tuple(wanted) or model.graph.outputs

    def run(values: Mapping[str, object]) -> dict[str, object]:
        return model(values, names, rounded)

    compiled = tf.function(run, autograph=False)
    count = len(next(iter(inputs.values())))
    parts = [
        compiled({name: tf.constant(values[i : i + _BATCH]) for name, values in inputs.items()})
        for i in range(0, count, _BATCH)
    ]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in names}
