from __future__ import annotations

import random
from dataclasses import replace

import pytest
from exhaustive import fullest, smaller_arena
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph

from budget.graph import Graph
from budget.plan import Program, plan


def greedy_by_size(program: Program, padded: int = 4) -> int:
    """What an everyday planner needs for tensors in the graph's order, nothing in place."""
    graph = program.graph
    end = len(graph.nodes)
    life = {name: [-1, -1] for name in graph.inputs}
    for step, node in enumerate(graph.nodes):
        for name in node.inputs:
            life[name][1] = step
        for name in node.outputs:
            life[name] = [step, step]
    for name in graph.outputs:
        life[name][1] = end
    sizes = {n: -(-graph.type_of(n).size_bytes // padded) * padded for n in life}
    placed: list[tuple[int, int, str]] = []
    for name in sorted(life, key=lambda n: (-sizes[n], life[n][0])):
        at = 0
        for start, stop, other in sorted(placed):
            if life[other][0] > life[name][1] or life[name][0] > life[other][1]:
                continue
            if start - at >= sizes[name]:
                break
            at = max(at, stop)
        placed.append((at, at + sizes[name], name))
    return max(stop for _, stop, _ in placed)


def seeded(seed: int, node_count: int, largest_bytes: int = 60) -> Graph:
    return random_graph(random.Random(seed).randint, node_count, largest_bytes)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False), st.integers(1, 8))
def test_small_graphs_get_the_smallest_arena_there_is(source: random.Random, count: int) -> None:
    graph = _in_words(random_graph(source.randint, count))
    assert smaller_arena(graph, plan(graph).arena_bytes) is None


def _in_words(graph: Graph) -> Graph:
    """The same graph with every size a multiple of four bytes, so that alignment costs nothing."""
    tensors = {
        name: replace(t, type=t.type.with_shape((1, 4 * t.type.shape[1])))
        for name, t in graph.tensors.items()
    }
    return graph.replace(tensors=tensors)


@pytest.mark.parametrize("seed", range(60))
def test_never_above_greedy_by_size(seed: int) -> None:
    program = plan(seeded(seed, 10 + seed, 500))
    assert program.lower_bound_bytes <= program.arena_bytes <= greedy_by_size(program)


@pytest.mark.parametrize("seed", range(20))
def test_the_searched_order_is_best_for_small_graphs(seed: int) -> None:
    graph = _in_words(seeded(seed, 7))
    assert plan(graph).lower_bound_bytes == fullest(graph)


def test_the_same_graph_gets_the_same_plan() -> None:
    first, second = (plan(seeded(5, 60, 900)) for _ in range(2))
    assert first.buffers == second.buffers
    assert [s.node.name for s in first.steps] == [s.node.name for s in second.steps]
