"""Kernels for cores with the DSP extension: plain C and assembly equal the integer meaning."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from host import HostModel, random_inputs
from layers import Layers
from virtual import VirtualModel

from budget.api.models import lower
from budget.codegen import EmitOptions
from budget.codegen.source import write_steps
from budget.graph import Array, QuantParams
from budget.ops import Activation, Padding, Rounding
from budget.ops.interpreter import run
from budget.ops.operator import NO_PADDING
from budget.plan import plan
from budget.plan.alternatives import alternatives
from budget.plan.precision import deployed_types
from budget.plan.program import Program
from budget.readers import load
from budget.tuning.ways import every_way

SAME = Padding(1, 1, 1, 1)


def pointwise(layers: Layers, extreme: bool) -> None:
    for image, channels in [
        ((5, 5, 8), 4), ((25, 5, 64), 64), ((1, 3, 4), 5), ((2, 1, 16), 11), ((3, 3, 20), 6),
        ((7, 9, 12), 7), ((4, 4, 88), 9), ((6, 6, 256), 12),
    ]:  # fmt: skip
        layers.convolution(image, channels, extreme=extreme)
    layers.convolution((3, 5, 8), 8, batch=3, extreme=extreme)
    layers.convolution((1, 1, 64), 10, batch=2, extreme=extreme)
    layers.convolution((3, 2, 12), 8, (3, 2), extreme=extreme)


def columns(layers: Layers, extreme: bool) -> None:
    for image, channels, window, stride, padding in [
        ((9, 10, 1), 8, (10, 4), (2, 2), Padding(4, 5, 1, 1)),
        ((8, 8, 3), 16, (3, 3), (2, 2), Padding(0, 1, 0, 1)),
        ((30, 1, 8), 8, (7, 1), (1, 1), Padding(3, 3, 0, 0)),
        ((9, 7, 5), 4, (3, 2), (2, 1), Padding(1, 0, 0, 0)),
        ((7, 7, 3), 6, (3, 3), (1, 1), SAME),
        ((6, 5, 16), 16, (3, 3), (1, 1), SAME),
        ((9, 9, 8), 7, (3, 3), (2, 2), Padding(0, 1, 0, 1)),
        ((8, 9, 16), 12, (1, 1), (2, 2), NO_PADDING),
        ((6, 6, 19), 15, (1, 1), (1, 1), NO_PADDING),
        ((5, 6, 2), 4, (5, 3), (1, 2), Padding(2, 2, 1, 0)),
        ((4, 12, 32), 8, (2, 7), (3, 1), Padding(0, 0, 3, 3)),
    ]:  # fmt: skip
        layers.convolution(image, channels, window, stride, padding, extreme=extreme)


def winograd(layers: Layers, extreme: bool) -> None:
    for image, channels, padding in [
        ((8, 8, 16), 16, SAME),
        ((4, 8, 4), 8, SAME),
        ((6, 18, 20), 4, NO_PADDING),
        ((4, 14, 32), 4, Padding(2, 0, 0, 4)),
        ((8, 8, 64), 4, SAME),
    ]:
        layers.convolution(image, channels, (3, 3), (1, 1), padding, extreme=extreme)


def depthwise(layers: Layers, extreme: bool) -> None:
    for image, window, stride, padding in [
        ((25, 5, 8), (3, 3), (1, 1), SAME),
        ((48, 48, 4), (3, 3), (1, 1), SAME),
        ((6, 6, 5), (3, 3), (1, 1), SAME),
        ((7, 12, 8), (3, 3), (2, 2), Padding(0, 1, 0, 1)),
        ((3, 3, 7), (3, 3), (1, 1), SAME),
        ((6, 1, 4), (3, 3), (1, 1), SAME),
        ((3, 5, 4), (3, 3), (1, 1), NO_PADDING),
        ((9, 8, 4), (3, 3), (2, 1), SAME),
        ((9, 9, 12), (5, 5), (1, 1), Padding(2, 2, 2, 2)),
        ((9, 9, 4), (5, 5), (2, 2), Padding(1, 2, 1, 2)),
        ((1, 30, 8), (1, 7), (1, 1), Padding(0, 0, 3, 3)),
        ((6, 10, 4), (4, 2), (1, 3), Padding(1, 0, 0, 1)),
        ((4, 4, 4), (4, 4), (1, 1), NO_PADDING),
    ]:  # fmt: skip
        layers.convolution(image, None, window, stride, padding, extreme=extreme)


def elementwise(layers: Layers, extreme: bool) -> None:
    for shape, ratio, activation in [
        ((1, 4, 4, 16), 0.3, Activation.RELU),
        ((1, 33), 1.0, Activation.NONE),
        ((2, 7), 4.0, Activation.RELU6),
        ((1, 3, 3, 8), 0.001 if extreme else 0.9, Activation.NONE),
    ]:
        layers.add(shape, ratio, activation)
    for image, window, stride, padding in [
        ((25, 5, 64), (25, 5), (25, 5), NO_PADDING),
        ((8, 8, 7), (3, 3), (2, 2), SAME),
        ((6, 5, 4), (2, 3), (1, 1), NO_PADDING),
        ((15, 17, 5), (15, 17), (1, 1), NO_PADDING),
    ]:
        layers.average(image, window, stride, padding)


def fully_connected(layers: Layers, extreme: bool) -> None:
    for depth, channels, rows in [
        (64, 12, 1), (500, 8, 1), (128, 128, 1), (8, 128, 1), (4, 9, 1), (20, 10, 3), (44, 16, 2),
    ]:  # fmt: skip
        layers.fully_connected(depth, channels, rows, extreme=extreme)


FAMILIES = [pointwise, columns, winograd, depthwise, fully_connected, elementwise]


WAYS = {
    # implementations of each family's layers: settings that some layer of it must run
    pointwise: {"", "u36", "wide", "ram"},
    columns: {"", "u36", "wide", "ram"},
    winograd: {"armv7em-winograd2", "armv7em-winograd4"},
    depthwise: {"armv7em-planes"},
    fully_connected: {"", "u4"},
    elementwise: {"armv7em-table", "armv7em-sums"},
}


def programs_of(
    family: Callable[[Layers, bool], None], seed: int, *, extreme: bool
) -> list[Program]:
    layers = Layers(seed)
    family(layers, extreme)
    programs = list(every_way(layers.graph(), "cortex-m4", "balanced"))
    seen = {step.variant for program in programs for step in program.steps}
    parts = {part for name in seen for part in (name, name.partition("+")[2])}
    assert WAYS[family] <= parts
    return programs


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
@pytest.mark.parametrize("optimise", ["time", "balanced"])
def test_planned_constants_are_those_written(
    family: Callable[[Layers, bool], None], optimise: Literal["time", "balanced"]
) -> None:
    layers = Layers(5)
    family(layers, False)
    options = EmitOptions(name="layers", target="cortex-m4", optimise=optimise)
    for program in every_way(layers.graph(), "cortex-m4", optimise):
        for step, code in write_steps(program, options).steps:
            assert step.weight_bytes == sum(table.size_bytes for table in code.tables)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("extreme", [False, True])
def test_plain_c(family: Callable[[Layers, bool], None], extreme: bool, tmp_path: Path) -> None:
    rounding = Rounding.TFLM if extreme else Rounding.TFLITE
    options = EmitOptions(name="layers", target="cortex-m4", rounding=rounding)
    flags = ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover"]
    for number, program in enumerate(programs_of(family, 7, extreme=extreme)):
        assert all(step.variant for step in program.steps)
        folder = tmp_path / str(number)
        folder.mkdir()
        check(HostModel(program, folder, options, flags), program, rounding)


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no compiler for Cortex-M")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("extreme", [False, True])
def test_assembly(family: Callable[[Layers, bool], None], extreme: bool) -> None:
    pytest.importorskip("unicorn")
    rounding = Rounding.TFLITE if extreme else Rounding.TFLM
    options = EmitOptions(name="layers", target="cortex-m4", rounding=rounding)
    for program in programs_of(family, 8, extreme=extreme):
        assert all(step.variant for step in program.steps)
        check(VirtualModel(program, options), program, rounding)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no compiler for Cortex-M")
@pytest.mark.parametrize("optimise", ["time", "balanced", "size"])
@pytest.mark.parametrize("name", ["kws", "vww", "ic", "ad"])
def test_real_models(
    models: Path, name: str, optimise: Literal["time", "balanced", "size"]
) -> None:
    pytest.importorskip("unicorn")
    graph = lower(load(str(models / f"{name}_int8.tflite")))
    program = plan(graph, target="cortex-m4", optimise=optimise, remove_constant_channels=True)
    options = EmitOptions(name=name, target="cortex-m4", optimise=optimise)
    check(VirtualModel(program, options), program, Rounding.TFLITE)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cortex-m7", "cortex-m33"])
@pytest.mark.parametrize("family", FAMILIES)
def test_clang(family: Callable[[Layers, bool], None], target: str) -> None:
    pytest.importorskip("unicorn")
    pytest.importorskip("ziglang")
    layers = Layers(9)
    family(layers, False)
    program = plan(layers.graph(), target=target, optimise="time")
    options = EmitOptions(name="layers", target=target, optimise="time")
    check(VirtualModel(program, options, "zig"), program, Rounding.TFLITE)


@pytest.mark.parametrize(
    ("weight", "scale", "left"),
    [(-128, 1.0, ["", "armv7em-pointwise+wide"]), (127, 1e4, [""])],
    ids=["weights of -128", "multipliers above 1/4"],
)
def test_what_does_not_fit_is_no_alternative(weight: int, scale: float, left: list[str]) -> None:
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
    names = [v.name for v in alternatives(node, graph, deployed_types(graph, None), "cortex-m4")]
    assert names == left
    assert plan(layers.graph(), target="cortex-m4").steps[0].variant
