"""Batch norms in weights: as in double precision, without double precision's memory."""

from __future__ import annotations

import tracemalloc

import numpy as np

from budget.graph import DType, GraphBuilder, TensorType
from budget.ops import registry
from budget.transforms.lower.folding import fold_affine


def test_large_weights_are_not_widened_as_a_whole() -> None:
    source = np.random.default_rng(1)
    weights = source.standard_normal((256, 8192)).astype(np.float32)
    factor = source.standard_normal(256).astype(np.float32)
    builder = GraphBuilder("wide")
    x = builder.input("x", TensorType((1, 8192), DType.FLOAT32))
    y = builder.tensor("y", TensorType((1, 256), DType.FLOAT32))
    z = builder.tensor("z", TensorType((1, 256), DType.FLOAT32))
    layer = registry.get("fully_connected").Attributes()
    builder.node("fully_connected", [x, builder.constant("w", weights)], [y], layer)
    scale = builder.constant("s", factor)
    builder.node("mul", [y, scale], [z], registry.get("mul").Attributes())
    builder.output(z)
    graph = builder.build()
    tracemalloc.start()
    folded = fold_affine(graph)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(folded.nodes) == 1
    data = folded.tensors[folded.nodes[0].inputs[1]].data
    assert data is not None
    exact = weights.astype(np.float64) * factor.astype(np.float64)[:, None]
    np.testing.assert_array_equal(data, exact.astype(np.float32))
    assert peak < 1.5 * weights.nbytes
