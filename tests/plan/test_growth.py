"""Work must grow in proportion to the graph: function calls are counted, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest
from random_graphs import branches, chain, dense, residual

from budget.graph import Graph
from budget.plan import plan


def calls_made(graph: Graph) -> int:
    """Function calls, built-in ones included, that planning makes."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        plan(graph)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("shape", [chain, residual, dense, partial(branches, width=30)])
def test_twice_the_graph_is_twice_the_work(shape: Callable[[int], Graph]) -> None:
    plan(shape(40))
    assert calls_made(shape(3000)) <= 2.3 * calls_made(shape(1500))
