from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from budget.analysis.costs import (
    count_parameters,
    node_costs,
    operator_histogram,
    require_supported,
    total_cost,
    unsupported_operators,
)
from budget.analysis.liveness import lifetimes, live_bytes
from budget.errors import UnsupportedModelError
from budget.graph import DType, Graph, GraphBuilder, TensorType
from budget.ops import registry

FLOAT = DType.FLOAT32


def network() -> Graph:
    """Two dense layers, a batch norm between them, one constant shape that nobody learns."""
    builder = GraphBuilder("net")
    dense = registry.get("fully_connected").Attributes()
    x = builder.input("x", TensorType((1, 10), FLOAT))
    w1 = builder.constant("w1", np.ones((20, 10), np.float32))
    b1 = builder.constant("b1", np.ones(20, np.float32))
    h = builder.tensor("h", TensorType((1, 20), FLOAT))
    builder.node("fully_connected", [x, w1, b1], [h], dense)
    norm = [builder.constant(name, np.ones(20, np.float32)) for name in "gbmv"]
    n = builder.tensor("n", TensorType((1, 20), FLOAT))
    builder.node("batch_norm", [h, *norm], [n], registry.get("batch_norm").Attributes(0.001))
    w2 = builder.constant("w2", np.ones((5, 20), np.float32))
    y = builder.tensor("y", TensorType((1, 5), FLOAT))
    builder.node("fully_connected", [n, w2], [y], dense)
    builder.constant("unread", np.zeros(3, np.int32))
    builder.output(y)
    return builder.build()


def test_costs_add_up() -> None:
    graph = network()
    costs = node_costs(graph)
    assert (costs["h"].macs, costs["y"].macs) == (200, 100)
    assert total_cost(graph).macs == 300
    first = operator_histogram(graph)[0]
    assert (first.op, first.node_count, first.cost.macs) == ("fully_connected", 2, 300)


def test_parameters_are_told_apart() -> None:
    graph = network()
    counts = count_parameters(graph, graph, graph)
    assert counts.constants == 200 + 20 + 80 + 100 + 3
    assert counts.trainable == 200 + 20 + 40 + 100, "not the means and variances"
    assert counts.deployed == 200 + 20 + 80 + 100


def test_all_unknown_operators_are_listed() -> None:
    builder = GraphBuilder("odd")
    x = builder.input("x", TensorType((1,), FLOAT))
    for index, op in enumerate(["tf.Fft", "tf.Odd", "tf.Fft"]):
        builder.node(op, [x], [builder.tensor(f"t{index}", TensorType((1,), FLOAT))])
    graph = builder.build()
    assert unsupported_operators(graph) == {"tf.Fft": ("t0", "t2"), "tf.Odd": ("t1",)}
    with pytest.raises(UnsupportedModelError, match=r"tf\.Fft \(2 nodes.*tf\.Odd \(node t1\)") as e:
        require_supported(graph)
    assert "budget ops" in e.value.hint


def test_lifetimes_of_inputs_outputs_and_dead_ends() -> None:
    graph = network()
    found = {name: (t.first_step, t.last_step) for name, t in lifetimes(graph).items()}
    assert found == {"x": (-1, 0), "h": (0, 1), "n": (1, 2), "y": (2, 3)}
    types = {name: tensor.type for name, tensor in graph.tensors.items()}
    assert live_bytes(lifetimes(graph), types, 3) == [40, 120, 160, 100, 20]


@pytest.mark.parametrize(
    ("name", "macs"),
    [("kws", 2_656_768), ("vww", 7_489_664), ("ic", 12_501_632), ("ad", 264_192)],
)
def test_published_models(models: Path, name: str, macs: int) -> None:
    from budget.readers import load
    from budget.transforms.lower import lower

    assert total_cost(lower(load(models / f"{name}_int8.tflite"))).macs == macs
