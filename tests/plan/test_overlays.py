"""Outputs over dying inputs: plans are small, and never wrong."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import inputs_of, network

from budget.errors import InvalidGraphError
from budget.graph import DType, Graph, Node, QuantParams, TensorType
from budget.ops import Padding, registry
from budget.ops.interpreter import run, run_node
from budget.plan import Program, plan
from budget.plan.accesses import planes_destroy_input
from budget.plan.checker import check_plan
from budget.plan.overlays import PLANES, runs_in_place
from budget.plan.spans import Span, lower_bound_bytes, overlaps
from budget.readers import load
from budget.transforms.lower import lower

KINDS = ("conv", "depthwise", "average", "maximum", "add", "relu", "concat", "cut")
chains = st.lists(st.sampled_from(KINDS), min_size=1, max_size=8)


def play(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs a program in an arena of bytes, element after element where output meets input.

    Shares no code with the planner or its checker: a step whose output lies over its input is
    computed by asking the interpreter for one output element at a time, from the bytes that the
    arena holds at that moment.
    """
    arena = np.zeros(program.arena_bytes, np.uint8)
    graph = program.graph

    def place(name: str) -> np.ndarray:
        type, location = program.types[name], program.locations[name]
        start = program.buffers[location.buffer].offset_bytes + location.offset_bytes
        return arena[start : start + type.size_bytes].view(type.dtype.numpy).reshape(type.shape)

    for name, values in inputs.items():
        place(name)[...] = values
    for step in program.steps:
        if not step.kernel:
            continue
        x, y = place(step.node.inputs[0]), place(step.node.outputs[0])
        if not np.shares_memory(x, y) or step.node.op in {"add", "relu"}:
            values = {
                n: place(n).copy() for n in step.node.present_inputs if n in program.locations
            }
            for name, result in zip(step.node.outputs, run_node(graph, step.node, values)):
                place(name)[...] = result
            continue
        flat = y.reshape(-1)
        previous = None
        for index in range(flat.size):
            if previous is None or not np.array_equal(previous, x):
                previous = x.copy()
                (computed,) = run_node(graph, step.node, {step.node.inputs[0]: previous})
            flat[index] = computed.reshape(-1)[index]
    return {name: place(name).copy() for name in graph.outputs}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(chains, st.integers(0, 2**32), st.sampled_from([DType.INT8, DType.INT16]))
def test_element_by_element_nothing_is_lost(kinds: list[str], seed: int, dtype: DType) -> None:
    graph = network(kinds, seed, dtype)
    program, plain = plan(graph), plan(graph, overlay=False)
    assert program.lower_bound_bytes <= program.arena_bytes <= plain.arena_bytes
    inputs = inputs_of(graph, seed)[0]
    expected = run(graph, inputs)
    for name, values in play(program, inputs).items():
        np.testing.assert_array_equal(values, expected[name])


def test_the_networks_above_have_overlays() -> None:
    programs = [plan(network(["conv", "depthwise", "conv"], seed)) for seed in range(30)]
    overlaid = [sum(step.overlaid_bytes > 0 for step in program.steps) for program in programs]
    assert sum(count > 0 for count in overlaid) > 20


@settings(max_examples=80, deadline=None, derandomize=True)
@given(chains, st.integers(0, 2**32))
def test_one_unit_nearer_is_found(kinds: list[str], seed: int) -> None:
    """The checker accepts the plan, and no buffer of an overlaid step moved towards its input."""
    program = plan(network(kinds, seed))
    for step in program.steps:
        if not step.overlaid_bytes:
            continue
        source = program.buffers[program.locations[step.node.inputs[0]].buffer]
        out = program.buffers[program.locations[step.node.outputs[0]].buffer]
        inputs = [program.types[name] for name in step.node.inputs]
        outputs = [program.types[step.node.outputs[0]]]
        operator = registry.get(step.node.op)
        reach = operator.reach_bytes(step.node.attributes, inputs, outputs)
        assert reach is not None
        assert out.offset_bytes <= source.offset_bytes - reach
        if reach:
            moved = replace(out, offset_bytes=source.offset_bytes - -(-reach // 4) * 4 + 4)
            buffers = {**program.buffers, out.name: moved}
            with pytest.raises(InvalidGraphError):
                check_plan(replace(program, buffers=buffers, arena_bytes=1 << 20))


def smallest(graph: Graph) -> int:
    """The smallest arena of the graph's own order, by trying every relation of every pair."""
    program = plan(graph)
    spans, names = [], {}
    for buffer in program.buffers.values():
        names[buffer.name] = len(spans)
        spans.append(Span(buffer.size_bytes, buffer.first_step, buffer.last_step))
    allowed = {}
    for step in program.steps:
        source = names[program.locations[step.node.inputs[0]].buffer]
        out = names[program.locations[step.node.outputs[0]].buffer]
        dies = spans[source].last_step == step.index and source != out
        if dies and spans[out].first_step == step.index and len(step.node.present_inputs) < 4:
            inputs = [program.types[name] for name in step.node.inputs]
            outputs = [program.types[step.node.outputs[0]]]
            operator = registry.get(step.node.op)
            reach = operator.reach_bytes(step.node.attributes, inputs, outputs)
            if reach is not None:
                allowed[source, out] = -(-reach // 4) * 4
    pairs = sorted({(min(a, b), max(a, b)) for a, n in enumerate(overlaps(spans)) for b in n})
    options = []
    for a, b in pairs:
        # (lower, upper, least distance between their starts)
        ways = [(a, b, spans[a].size_bytes), (b, a, spans[b].size_bytes)]
        ways += [(out, source, allowed[source, out]) for source, out in ((a, b), (b, a))
                 if (source, out) in allowed]  # fmt: skip
        options.append(ways)
    best = 1 << 60
    for chosen in itertools.product(*options):
        offsets = [0] * len(spans)
        for _ in range(len(spans) + 1):
            changed = False
            for below, above, distance in chosen:
                if offsets[above] < offsets[below] + distance:
                    offsets[above], changed = offsets[below] + distance, True
            if not changed:
                tops = (at + span.size_bytes for at, span in zip(offsets, spans, strict=True))
                best = min(best, max(tops))
                break
    return best


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(KINDS[:4]), min_size=1, max_size=5), st.integers(0, 2**32))
def test_chains_get_the_smallest_arena_there_is(kinds: list[str], seed: int) -> None:
    program = plan(network(kinds, seed))
    best = smallest(program.graph)
    assert program.lower_bound_bytes <= best
    assert program.arena_bytes == best


def test_the_bound_adds_up_forced_distances() -> None:
    spans = [Span(100, 0, 1), Span(100, 1, 2), Span(100, 2, 3)]
    assert lower_bound_bytes(spans) == 200
    assert lower_bound_bytes(spans, {(0, 1): 8}) == 200
    assert lower_bound_bytes(spans, {(0, 1): 8, (1, 2): 4}) == 112
    assert lower_bound_bytes(spans, {(0, 1): 90, (1, 2): 90}) == 200


ARENAS = {"kws": 14_833, "vww": 41_200, "ic": 35_747, "ad": 1_677}
"""Bytes: 0.65 of TensorFlow Lite Micro's arena with CMSIS-NN; for vww X-CUBE-AI's RAM."""


@pytest.mark.parametrize("model", ARENAS)
def test_real_models_need_less_than_peers(models: Path, model: str) -> None:
    graph = lower(load(str(models / f"{model}_int8.tflite")))
    program = plan(graph, remove_constant_channels=True)
    assert program.arena_bytes == program.lower_bound_bytes <= ARENAS[model]


def depthwise_types(height: int, channels: int) -> tuple[Node, dict[str, TensorType]]:
    padding = Padding(1, 1, 1, 1)
    attributes = registry.get("depthwise_conv_2d").Attributes(padding=padding)
    quant = QuantParams.per_tensor(0.1)
    image = TensorType((1, height, 5, channels), DType.INT8, quant)
    weights = TensorType((1, 3, 3, channels), DType.INT8, quant)
    node = Node("n", "depthwise_conv_2d", ("x", "w"), ("y",), attributes)
    return node, {"x": image, "w": weights, "y": image}


@pytest.mark.parametrize("height", [4, 7, 8])
@pytest.mark.parametrize("channels", [4, 6, 8])
@pytest.mark.parametrize("block", [2, 4, 8])
def test_four_channels_at_a_time_run_in_place_on_whole_images_only(
    height: int, channels: int, block: int
) -> None:
    node, types = depthwise_types(height, channels)
    safe = channels % 4 == 0 and block >= height
    assert planes_destroy_input(node, types, block) is not safe


def test_in_place_on_whole_planes() -> None:
    node, types = depthwise_types(8, 8)
    assert runs_in_place(node, types, PLANES)
    assert not runs_in_place(node, types, "")
    for height, channels in ((8, 6), (400, 8)):
        node, types = depthwise_types(height, channels)
        assert not runs_in_place(node, types, PLANES)


def test_real_models_on_a_core_with_kernels_of_its_own(models: Path) -> None:
    graph = lower(load(str(models / "kws_int8.tflite")))
    program = plan(graph, target="cortex-m4")
    assert program.arena_bytes <= ARENAS["kws"]
