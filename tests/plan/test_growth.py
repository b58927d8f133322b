"""Work must grow in proportion to the graph: function calls are counted, not seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from counted_calls import calls_made
from random_graphs import branches, chain, dense, residual

from budget.graph import Graph
from budget.plan import plan


@pytest.mark.parametrize("shape", [chain, residual, dense, partial(branches, width=30)])
def test_twice_the_graph_is_twice_the_work(shape: Callable[[int], Graph]) -> None:
    plan(shape(40))
    few, many = (calls_made(partial(plan, shape(count))) for count in (1500, 3000))
    assert many <= 2.3 * few
