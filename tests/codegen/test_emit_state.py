"""State that lives from one inference to the next."""

from __future__ import annotations

import pytest

from budget.codegen import EmitOptions, emit
from budget.errors import UnsupportedModelError
from budget.graph import DType, GraphBuilder, QuantParams, TensorType
from budget.ops.elementwise import AddAttributes
from budget.plan import plan


def test_wide_state_that_does_not_start_at_stored_zero_is_refused() -> None:
    builder = GraphBuilder("state")
    type = TensorType((1, 4), DType.INT16, QuantParams.per_tensor(0.1))
    builder.input("x", type)
    shifted = TensorType((1, 4), DType.INT16, QuantParams.per_tensor(0.1, 3))
    builder.tensor("memory", shifted, is_variable=True)
    builder.tensor("y", type)
    builder.node("add", ["x", "memory"], ["y"], AddAttributes())
    builder.output("y")
    with pytest.raises(UnsupportedModelError, match="zero point other than 0"):
        emit(plan(builder.build()), EmitOptions(name="m"), selftest=False)
