"""Emitted C whose outputs lie over its inputs: bit-exact, and clean under the sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from host import HostModel, random_inputs
from planted import inputs_of, network

from budget.codegen import EmitOptions, emit
from budget.graph import DType, Graph, GraphBuilder, TensorType
from budget.ops import Rounding, get
from budget.ops.interpreter import run
from budget.plan import Program, plan
from budget.plan.patching import plan_in_patches
from budget.readers import load
from budget.transforms.lower import lower
from budget.zoo import shipped_path

CHAINS = (
    ["conv", "depthwise", "conv", "average", "flat"],
    ["depthwise", "conv", "maximum", "conv", "add", "depthwise"],
    ["conv", "concat", "depthwise", "average", "conv", "flat"],
    ["maximum", "tiny", "depthwise", "relu", "conv", "flat", "flat"],
    ["conv", "cut", "depthwise", "concat", "cut", "average", "concat", "conv"],
)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
@pytest.mark.parametrize("kinds", CHAINS, ids=" ".join)
def test_random_networks(tmp_path: Path, kinds: list[str], dtype: DType) -> None:
    overlaid = 0
    for seed in range(2):
        graph = network(kinds, seed, dtype)
        for remove in (False, True):
            program = plan(graph, remove_constant_channels=remove)
            overlaid += sum(step.overlaid_bytes for step in program.steps)
            rounding = list(Rounding)[seed]
            options = EmitOptions(name=f"m{seed}{remove:d}", rounding=rounding)
            emitted = HostModel(program, tmp_path, options)
            for inputs in inputs_of(graph, seed):
                expected = run(graph, inputs, rounding=rounding)
                for name, values in emitted.run(inputs).items():
                    np.testing.assert_array_equal(values, expected[name])
    assert overlaid


def float_network() -> Graph:
    random = np.random.default_rng(5)
    builder = GraphBuilder("float")
    x = builder.input("x", TensorType((1, 9, 8, 3), DType.FLOAT32))
    for op, shape, stride in (
        ("conv_2d", (8, 3, 3, 3), (2, 1)),
        ("depthwise_conv_2d", (1, 2, 3, 8), (1, 1)),
        ("conv_2d", (12, 1, 1, 8), (1, 1)),
    ):
        weights = random.normal(0, 0.3, shape).astype(np.float32)
        operands = [x, builder.constant(f"w{len(builder.nodes)}", weights)]
        attributes = get(op).Attributes(stride)
        (type,) = get(op).infer(attributes, [builder.tensors[name].type for name in operands])
        x = builder.tensor(f"y{len(builder.nodes)}", type)
        builder.node(op, operands, [x], attributes)
    builder.output(x)
    return builder.build()


def test_float_networks(tmp_path: Path) -> None:
    graph = float_network()
    program, plain = plan(graph), plan(graph, overlay=False)
    assert program.arena_bytes < plain.arena_bytes
    flags = ["-O1", "-ffp-contract=off"]
    overlaid = HostModel(program, tmp_path, EmitOptions(name="over"), flags)
    beside = HostModel(plain, tmp_path, EmitOptions(name="beside"), flags)
    inputs = random_inputs(program, 1)
    for name, values in overlaid.run(inputs).items():
        np.testing.assert_array_equal(values, beside.run(inputs)[name])


def assert_exact(graph: Graph, folder: Path, name: str, program: Program | None = None) -> None:
    program = program or plan(graph, remove_constant_channels=True)
    if any(node.op == "conv_2d" for node in graph.nodes):
        assert any(step.overlaid_bytes for step in program.steps)
    emitted = HostModel(program, folder, EmitOptions(name=name), ["-O2"])
    for seed in range(2):
        inputs = random_inputs(program, seed)
        expected = run(graph, inputs)
        for output, values in emitted.run(inputs).items():
            np.testing.assert_array_equal(values, expected[output])


@pytest.mark.parametrize("model", ["kws", "vww", "ic", "ad"])
def test_real_models_without_constant_channels(models: Path, tmp_path: Path, model: str) -> None:
    assert_exact(lower(load(str(models / f"{model}_int8.tflite"))), tmp_path, model)


def test_a_residual_network_in_bands(tmp_path: Path) -> None:
    graph = lower(load(str(shipped_path("tiny-ic"))))
    assert_exact(graph, tmp_path, "bands", plan_in_patches(graph))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["kws", "vww", "ic"])
def test_real_models_in_bands(models: Path, tmp_path: Path, model: str) -> None:
    graph = lower(load(str(models / f"{model}_int8.tflite")))
    assert_exact(graph, tmp_path, model, plan_in_patches(graph, remove_constant_channels=True))


SHIPPED = ["tiny-kws", "tiny-vww", "tiny-ic", "tiny-ad"]


@pytest.mark.parametrize("model", SHIPPED)
def test_shipped_models(tmp_path: Path, model: str) -> None:
    assert_exact(lower(load(str(shipped_path(model)))), tmp_path, "shipped")


@pytest.mark.parametrize("planner", [plan, plan_in_patches])
@pytest.mark.parametrize("model", SHIPPED)
def test_the_self_test_passes_under_sanitizers(tmp_path: Path, model: str, planner) -> None:
    program = planner(lower(load(str(shipped_path(model)))), remove_constant_channels=True)
    for path, content in emit(program, EmitOptions(name="net")).items():
        if path.endswith((".c", ".h")) and "/" not in path:
            (tmp_path / path).write_bytes(content)
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [str(tmp_path / name) for name in ("net.c", "net_selftest.c")]
    binary = str(tmp_path / "selftest")
    command = ["gcc", "-std=c99", "-O1", "-g", "-DNET_SELFTEST_MAIN", *sanitizers]
    command += ["-o", binary, *sources, "-lm"]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run([binary], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
