"""A model with several things that cannot be emitted hears of all of them at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from budget.api.emit import emit
from budget.codegen import EmitOptions
from budget.codegen.refusals import REMEDIES, require_writable
from budget.errors import UnsupportedModelError
from budget.graph import DType, Graph, GraphBuilder, TensorType
from budget.ops import registry
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.transforms.tool.registry import names

REAL = TensorType((1, 4), DType.FLOAT32)


def model(*unknown: str) -> Graph:
    """A layer that can be written, nodes of unknown operators, a layer of no known type."""
    builder = GraphBuilder("several")
    weights = builder.constant("weights", np.zeros((4, 4), np.float32))
    last = builder.tensor("first", REAL)
    builder.node(
        "fully_connected", [builder.input("x", REAL), weights], [last], FullyConnectedAttributes()
    )
    for index, op in enumerate(unknown):
        result = builder.tensor(f"r{index}", REAL)
        builder.node(op, [last], [result], {}, name=f"node_{index}")
        last = result
    whole = builder.input("i", TensorType((4,), DType.INT32))
    y = builder.tensor("y", TensorType((4,), DType.INT32))
    builder.node("relu", [whole], [y], registry.get("relu").Attributes(), name="integers")
    builder.output(last, y)
    return builder.build()


@pytest.mark.parametrize("precision", ["float32", None])
def test_unknown_operators_and_types_are_named_together(
    tmp_path: Path, precision: str | None
) -> None:
    graph = model("tf.Assert", "tf.Bessel", "tf.Bessel")
    with pytest.raises(UnsupportedModelError) as caught:
        emit(graph, tmp_path / "out", precision=precision)
    what = caught.value.what
    assert "tf.Assert, which remove_training_nodes removes, (node node_0)" in what
    assert "tf.Bessel (2 nodes: node_1, node_2)" in what
    assert "relu" in what and "int32 cannot be emitted here" in what
    assert "fully_connected" not in what
    assert caught.value.hint is not None
    assert "budget transform MODEL --transforms 'remove_training_nodes'" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_no_transform_is_named_where_none_helps() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        require_writable(model("tf.Bessel"), EmitOptions())
    assert caught.value.hint is not None and "budget transform" not in caught.value.hint


def test_what_can_be_written_passes() -> None:
    require_writable(model(), EmitOptions())


def test_every_remedy_is_a_transform() -> None:
    assert set(REMEDIES.values()) <= set(names())
    assert not any(registry.is_canonical(op) for op in REMEDIES)
