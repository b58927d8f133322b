"""Layers in bands of rows compute the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import inputs_of, network

from budget import zoo
from budget.graph import DType, Graph, verify
from budget.ops import Rounding, registry
from budget.ops.interpreter import run
from budget.plan.patching import WORTH_RATIO, plan_in_patches
from budget.plan.planner import plan
from budget.readers import load
from budget.shrinking.quantize import quantize_int8, random_samples
from budget.transforms.lower import lower
from budget.transforms.patches import band_counts, compute_in_bands, find_regions
from budget.zoo import shipped_path

KINDS = ("conv", "depthwise", "average", "maximum", "add", "relu")


def assert_types_hold(graph: Graph) -> None:
    for node in graph.nodes:
        inputs = [graph.type_of(name) if name else None for name in node.inputs]
        found = registry.get(node.op).infer(node.attributes, inputs)
        assert [t.shape for t in found] == [graph.type_of(name).shape for name in node.outputs]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(KINDS), min_size=2, max_size=7),
    st.integers(0, 2**32),
    st.sampled_from([DType.INT8, DType.INT16]),
)
def test_random_networks(kinds: list[str], seed: int, dtype: DType) -> None:
    graph = network(kinds, seed, dtype)
    inputs = inputs_of(graph, seed)
    for region in find_regions(graph):
        for bands in range(2, min(graph.type_of(region.last).shape[1], 5) + 1):
            banded = compute_in_bands(graph, region, bands)
            verify(banded)
            assert_types_hold(banded)
            for values in inputs[:2]:
                expected, found = (run(g, values, rounding=Rounding.TFLM) for g in (graph, banded))
                for name in graph.outputs:
                    np.testing.assert_array_equal(found[name], expected[name])
        plan(banded)  # its checker is content


def test_the_networks_above_have_regions() -> None:
    graphs = [network(["conv", "depthwise", "maximum", "conv"], seed) for seed in range(40)]
    assert sum(any(True for _ in find_regions(graph)) for graph in graphs) > 10


def test_a_tensor_that_something_else_reads_ends_every_region_before_it() -> None:
    graph = network(["conv", "conv", "conv"], 12)
    between = graph.nodes[0].outputs[0]
    shown = graph.replace(outputs=(*graph.outputs, between))
    assert all(between != node.outputs[0] for r in find_regions(shown) for node in r.nodes[:-1])


def test_few_bands_are_tried() -> None:
    assert band_counts(1) == []
    assert band_counts(5) == [2, 3, 4, 5]
    assert max(band_counts(1000)) <= 24


def test_patches_make_a_residual_network_smaller() -> None:
    real = zoo.load("resnet8")
    graph = quantize_int8(real, random_samples(real, 1))
    whole, in_patches = plan(graph), plan_in_patches(graph)
    assert in_patches.arena_bytes < WORTH_RATIO * whole.arena_bytes
    assert in_patches.cost.macs > whole.cost.macs
    (note,) = in_patches.notes
    assert f"{in_patches.arena_bytes:,} B instead of {whole.arena_bytes:,} B" in note
    assert f"{in_patches.cost.macs / whole.cost.macs - 1:.1%} more MACs" in note
    assert in_patches.weight_bytes <= whole.weight_bytes * 1.02
    inputs = inputs_of(graph, 3)[0]
    expected, found = run(graph, inputs), run(in_patches.graph, inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], expected[name])


def test_little_is_not_worth_a_step_for_every_band() -> None:
    program = plan_in_patches(lower(load(str(shipped_path("tiny-ic")))))
    assert program.notes == ()


def test_a_network_of_flat_layers_stays_whole() -> None:
    graph = lower(load(str(shipped_path("tiny-ad"))))
    program = plan_in_patches(graph)
    assert program.graph is graph
    assert program.notes == ()


@pytest.mark.slow
def test_real_residual_network(models) -> None:
    graph = lower(load(str(models / "ic_int8.tflite")))
    program = plan_in_patches(graph)
    assert program.arena_bytes <= 22_000
    inputs = inputs_of(graph, 3)[0]
    expected, found = run(graph, inputs), run(program.graph, inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], expected[name])
