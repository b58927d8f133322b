"""Kernels for cores without DSP instructions: plain C equals the integer meaning, on every core."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from firmware import BOARDS, available, build, selftest
from host import HostModel, random_inputs
from layers import Layers
from virtual import VirtualModel

from budget.api.models import lower, prepare
from budget.codegen import EmitOptions
from budget.codegen.kernels import bundle
from budget.codegen.source import write_steps
from budget.core.build import build as build_image
from budget.core.elf import load_elf
from budget.core.machine import Machine
from budget.graph import Array, Graph, QuantParams
from budget.ops import Activation, Padding, Rounding
from budget.ops.interpreter import run
from budget.ops.operator import NO_PADDING
from budget.plan import plan
from budget.plan.alternatives import alternatives
from budget.plan.chooser import Limits
from budget.plan.fitting import plan_within
from budget.plan.precision import deployed_types
from budget.plan.program import Program
from budget.readers import load

SAME = Padding(1, 1, 1, 1)
CORES = ["cortex-m3", "cortex-m0plus"]


def dense(layers: Layers, extreme: bool) -> None:
    for image, channels, window, stride, padding in [
        ((5, 5, 8), 4, (1, 1), (1, 1), NO_PADDING),
        ((25, 5, 64), 3, (1, 1), (1, 1), NO_PADDING),
        ((2, 2, 7), 5, (1, 1), (1, 1), NO_PADDING),
        ((1, 6, 1), 2, (1, 1), (1, 1), NO_PADDING),
        ((8, 9, 16), 12, (1, 1), (2, 2), NO_PADDING),
        ((9, 10, 1), 8, (10, 4), (2, 2), Padding(4, 5, 1, 1)),
        ((8, 8, 3), 16, (3, 3), (2, 2), Padding(0, 1, 0, 1)),
        ((30, 1, 8), 8, (7, 1), (1, 1), Padding(3, 3, 0, 0)),
        ((7, 7, 3), 6, (3, 3), (1, 1), SAME),
        ((6, 5, 16), 1, (3, 3), (1, 1), SAME),
        ((2, 2, 3), 5, (5, 5), (1, 1), Padding(4, 4, 4, 4)),
        ((4, 12, 32), 8, (2, 7), (3, 1), Padding(0, 0, 3, 3)),
    ]:  # fmt: skip
        layers.convolution(image, channels, window, stride, padding, extreme=extreme)
    layers.convolution((3, 5, 8), 8, batch=3, extreme=extreme)
    layers.convolution((4, 3, 5), 6, (2, 2), batch=2, extreme=extreme)


def depthwise(layers: Layers, extreme: bool) -> None:
    for image, window, stride, padding in [
        ((25, 5, 8), (3, 3), (1, 1), SAME),
        ((6, 6, 5), (3, 3), (1, 1), SAME),
        ((7, 12, 8), (3, 3), (2, 2), Padding(0, 1, 0, 1)),
        ((6, 1, 1), (3, 3), (1, 1), SAME),
        ((3, 5, 4), (3, 3), (1, 1), NO_PADDING),
        ((9, 9, 12), (5, 5), (1, 1), Padding(2, 2, 2, 2)),
        ((1, 30, 8), (1, 7), (1, 1), Padding(0, 0, 3, 3)),
        ((6, 10, 4), (4, 2), (1, 3), Padding(1, 0, 0, 1)),
        ((4, 4, 4), (4, 4), (1, 1), NO_PADDING),
        ((2, 2, 3), (3, 3), (1, 1), Padding(3, 3, 3, 3)),
    ]:  # fmt: skip
        layers.convolution(image, None, window, stride, padding, extreme=extreme)
    layers.convolution((4, 3, 6), None, (3, 3), (1, 1), SAME, batch=2, extreme=extreme)


def fully_connected(layers: Layers, extreme: bool) -> None:
    for depth, channels, rows in [
        (64, 12, 1), (500, 8, 1), (7, 4, 1), (8, 130, 1), (1, 9, 1), (20, 11, 3), (44, 16, 2),
    ]:  # fmt: skip
        layers.fully_connected(depth, channels, rows, extreme=extreme)


def sums(layers: Layers, extreme: bool) -> None:
    for shape, ratio, activation in [
        ((1, 4, 4, 16), 0.3, Activation.RELU),
        ((1, 33), 1.0, Activation.NONE),
        ((2, 7), 4.0, Activation.RELU6),
        ((1, 5), 0.5, Activation.NONE),
        ((1, 9), 0.99, Activation.NONE),
        ((1, 3, 3, 8), 0.001 if extreme else 0.9, Activation.NONE),
        ((1, 3, 3, 8), 1e-9 if extreme else 1.7, Activation.NONE),
    ]:
        layers.add(shape, ratio, activation)


FAMILIES = [dense, depthwise, fully_connected, sums]


def graph_of(family: Callable[[Layers, bool], None], seed: int, *, extreme: bool) -> Graph:
    layers = Layers(seed)
    family(layers, extreme)
    return layers.graph()


def corners(program: Program, value: int) -> dict[str, Array]:
    return {
        name: np.full(program.types[name].shape, value, np.int8) for name in program.graph.inputs
    }


def check(model: HostModel | VirtualModel, program: Program, rounding: Rounding) -> None:
    for inputs in (random_inputs(program, 3), corners(program, -128), corners(program, 127)):
        expected = run(program.graph, inputs, rounding=rounding)
        found = model.run(inputs)
        for name, values in (found[0] if isinstance(found, tuple) else found).items():
            np.testing.assert_array_equal(values, expected[name], name)


@pytest.mark.parametrize("family", FAMILIES)
def test_planned_constants_are_those_written(family: Callable[[Layers, bool], None]) -> None:
    program = plan(graph_of(family, 5, extreme=False), target="cortex-m3", optimise="time")
    options = EmitOptions(name="layers", target="cortex-m3", optimise="time")
    source = write_steps(program, options)
    for step, code in source.steps:
        text = "\n".join(code.statements)
        named = [t for t in source.tables if re.search(rf"\b{t.name}\b", text)]  # some are shared
        assert step.weight_bytes == sum(table.size_bytes for table in named)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("extreme", [False, True])
def test_on_the_host(family: Callable[[Layers, bool], None], extreme: bool, tmp_path: Path) -> None:
    rounding = Rounding.TFLM if extreme else Rounding.TFLITE
    program = plan(graph_of(family, 7, extreme=extreme), target="cortex-m3")
    assert all(step.variant.startswith("scalar-") for step in program.steps)
    options = EmitOptions(name="layers", target="cortex-m3", rounding=rounding)
    flags = ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover"]
    check(HostModel(program, tmp_path, options, flags), program, rounding)


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no compiler for Cortex-M")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("optimise", ["time", "balanced"])
def test_on_the_core(
    family: Callable[[Layers, bool], None], core: str, optimise: Literal["time", "balanced"]
) -> None:
    pytest.importorskip("unicorn")
    extreme = optimise == "balanced"
    rounding = Rounding.TFLITE if extreme else Rounding.TFLM
    program = plan(graph_of(family, 8, extreme=extreme), target=core, optimise=optimise)
    assert all(step.variant for step in program.steps)
    options = EmitOptions(name="layers", target=core, optimise=optimise, rounding=rounding)
    check(VirtualModel(program, options), program, rounding)


@pytest.mark.skipif(not available(), reason="no arm-none-eabi-gcc or qemu-system-arm")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("core", CORES)
def test_in_qemu(family: Callable[[Layers, bool], None], core: str, tmp_path: Path) -> None:
    program = plan(graph_of(family, 10, extreme=True), target=core)
    elf = build(program, tmp_path, EmitOptions(name="layers", target=core), BOARDS[core])
    assert "PASS" in selftest(elf, BOARDS[core])


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("family", FAMILIES)
def test_clang(family: Callable[[Layers, bool], None], core: str) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("ziglang")
    program = plan(graph_of(family, 9, extreme=False), target=core, optimise="time")
    options = EmitOptions(name="layers", target=core, optimise="time")
    check(VirtualModel(program, options, "zig"), program, Rounding.TFLITE)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no compiler for Cortex-M")
@pytest.mark.parametrize("optimise", ["time", "balanced", "size"])
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["kws", "vww", "ic", "ad"])
def test_real_models(
    models: Path, name: str, core: str, optimise: Literal["time", "balanced", "size"]
) -> None:
    pytest.importorskip("unicorn")
    graph = lower(load(str(models / f"{name}_int8.tflite")))
    options = EmitOptions(name=name, target=core, optimise=optimise)
    target = options.kernel_target
    program = plan(graph, target=target, optimise=optimise, remove_constant_channels=True)
    assert any(step.variant for step in program.steps) == (optimise != "size")
    check(VirtualModel(program, options), program, Rounding.TFLITE)


@pytest.mark.parametrize(
    ("weight", "scale"), [(-128, 1.0), (127, 1e4)], ids=["weights of -128", "multipliers above 1/4"]
)
def test_what_does_not_fit_is_no_alternative(weight: int, scale: float) -> None:
    layers = Layers(1)
    layers.convolution((4, 4, 8), 8)
    graph = layers.graph()
    (name,) = (n for n in graph.tensors if n.startswith("w"))
    tensor = graph.tensors[name]
    assert tensor.type.quant is not None and tensor.data is not None
    quant = QuantParams(
        tensor.type.quant.scale * np.float32(scale), tensor.type.quant.zero_point, 0
    )
    data = tensor.data.copy()
    data.flat[3] = weight
    changed = replace(tensor, type=replace(tensor.type, quant=quant), data=data)
    graph = graph.replace(tensors={**graph.tensors, name: changed})
    (node,) = graph.nodes
    names = [v.name for v in alternatives(node, graph, deployed_types(graph, None), "cortex-m3")]
    assert names == [""]
    assert plan(layers.graph(), target="cortex-m3").steps[0].variant


def test_without_room_for_columns_the_portable_kernel_runs() -> None:
    graph = prepare("zoo:digits").graph
    tuned = plan(graph, target="cortex-m3", optimise="time")
    assert any(step.variant == "scalar-pairs" for step in tuned.steps)
    few = plan(graph, target="portable").arena_bytes
    assert few < tuned.arena_bytes
    small = plan_within(graph, target="cortex-m3", optimise="time", limits=Limits(0, None, few))
    assert small.arena_bytes <= few


@pytest.mark.parametrize("core", CORES)
def test_scaling_is_exact_over_its_whole_range(core: str) -> None:
    pytest.importorskip("unicorn")
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("no compiler for Cortex-M")
    random = np.random.default_rng(4)
    edges = [0, 1, -1, 2**31 - 1, -(2**31) + 1, 2**16, -(2**16), 65535, -65537, 2**30, 3 << 29]
    x = np.concatenate([np.repeat(edges, 8), random.integers(-(2**31) + 1, 2**31, 2000)])
    q = random.choice([2**30, 2**31 - 1, 2**30 + 65535, 0], len(x))
    q = np.where(random.random(len(x)) < 0.7, random.integers(2**30, 2**31, len(x)), q)
    places = random.integers(1, 31, len(x))
    ties = np.arange(-64, 65)  # of the first rounding: odd numbers times a half
    x, q = np.append(x, ties), np.append(q, np.full(len(ties), 2**30))
    places = np.append(places, np.ones(len(ties), np.int64))
    source = (
        "#include <stdint.h>\n"
        + bundle(["scalar_requantize.h"])
        + "void scale(const int32_t *x, int32_t *y, int32_t n)\n{\n"
        "    for (; n > 0; n--, x += 3, y += 2) {\n"
        "        y[0] = scalar_requantize_twice(x[0], x[1], x[2]);\n"
        "        y[1] = scalar_requantize_once(x[0], x[1], x[2]);\n    }\n}\n"
    )
    image = build_image({"m.c": source.encode()}, core, keep=["scale"], flags=("-O2",))
    machine = Machine(load_elf(image.data))
    given, found = machine.allocate(12 * len(x)), machine.allocate(8 * len(x))
    machine.write(given, np.stack([x, q, places], 1).astype(np.int32).tobytes())
    machine.call("scale", [given, found, len(x)])
    result = np.frombuffer(machine.read(found, 8 * len(x)), np.int32).reshape(-1, 2)
    for (twice, once), a, b, p in zip(result.tolist(), x.tolist(), q.tolist(), places.tolist()):
        high = (a * b + 2**30) >> 31
        away = (abs(high) + 2**p) >> (p + 1)
        assert twice == (away if high >= 0 else -away)
        assert once == (a * b + 2 ** (31 + p)) >> (32 + p)
