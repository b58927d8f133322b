from __future__ import annotations

import numpy as np
import pytest

from budget.errors import UnsupportedModelError, UsageError
from budget.graph import DType, Graph, GraphBuilder, TensorType
from budget.ops import registry
from budget.plan import plan
from budget.plan.precision import Precision, deployed_types


def dense(dtype: DType = DType.FLOAT32) -> Graph:
    builder = GraphBuilder("dense")
    x = builder.input("x", TensorType((1, 64), dtype))
    w = builder.constant("w", np.zeros((32, 64), np.float32))
    b = builder.constant("b", np.zeros(32, np.float32))
    y = builder.tensor("y", TensorType((1, 32), dtype))
    attributes = registry.get("fully_connected").Attributes()
    builder.node("fully_connected", [x, w, b], [y], attributes)
    builder.output(y)
    return builder.build()


@pytest.mark.parametrize(
    ("precision", "arena", "weights"),
    [
        (None, 4 * 96, 4 * (32 * 64 + 32)),
        ("float32", 4 * 96, 4 * (32 * 64 + 32)),
        ("int8", 96, 32 * 64 + 4 * 32 + 8),
        ("int16x8", 2 * 96, 32 * 64 + 8 * 32 + 8),
    ],
)
def test_widths(precision: str | None, arena: int, weights: int) -> None:
    program = plan(dense(), precision=precision, overlay=False)
    assert (program.arena_bytes, program.weight_bytes) == (arena, weights)


def test_indices_keep_their_type() -> None:
    assert deployed_types(dense(DType.INT32), Precision.INT8)["x"].dtype is DType.INT32


def test_state_lives_always_and_bodies_count() -> None:
    builder = GraphBuilder("loop")
    x = builder.input("x", TensorType((1, 64), DType.INT8))
    state = builder.tensor("state", TensorType((1, 64), DType.INT8), is_variable=True)
    y = builder.tensor("y", TensorType((1, 64), DType.INT8))
    builder.subgraphs["body"] = dense(DType.INT8)
    add = registry.get("add").Attributes()
    builder.node("add", [x, state], [y], add, subgraphs=["body"])
    builder.node("relu", [y], [state], registry.get("relu").Attributes())
    builder.output(y)
    program = plan(builder.build())
    buffer = program.buffers["state"]
    assert (buffer.first_step, buffer.last_step) == (-1, 2)
    assert program.arena_bytes == 64 + 64 + 96, "y lies on x; the body's arena is scratch"


def test_unknown_operators_are_refused() -> None:
    builder = GraphBuilder("odd")
    x = builder.input("x", TensorType((1,), DType.INT8))
    builder.node("tf.Fft", [x], [builder.tensor("y", TensorType((1,), DType.INT8))])
    with pytest.raises(UnsupportedModelError, match=r"tf\.Fft"):
        plan(builder.build())


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="'int3' does not exist") as error:
        plan(dense(), precision="int3")
    assert "int16x8" in error.value.hint
