"""A real architecture as Keras 3 exports it, batch norms taken apart into arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow_models as models
import tool_graphs as graphs


@pytest.mark.slow
def test_no_batch_norm_is_left() -> None:
    """All 27 batch norms of MobileNet disappear into 28 convolutions and their biases."""
    models.tensorflow()

    def make() -> Any:
        keras = __import__("keras")
        return keras.applications.MobileNet(
            weights=None, input_shape=(64, 64, 3), alpha=0.25, classes=10
        )

    model = models.quietly(make)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(rng.normal(size=weight.shape) * 0.1)
    data = models.freeze(lambda x: model(x, training=False), (1, 64, 64, 3))
    (name,) = [node.name for node in graphs.parse(data).node if node.op == "Placeholder"]
    graph = graphs.graph_of(data, [name], ["Identity"])
    after = graphs.apply(graph, "deploy")
    assert graphs.ops(graph).count("Rsqrt") == 27
    assert not {"Mul", "AddV2", "Rsqrt", "Sub"} & set(graphs.ops(after))
    x = rng.normal(size=(1, 64, 64, 3)).astype(np.float32)
    (old,) = graphs.execute(data, {name: x}, ["Identity"])
    (new,) = graphs.execute(after.encode(), {name: x}, ["Identity"])
    assert np.max(np.abs(new - old)) <= 1e-5
