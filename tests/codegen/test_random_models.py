"""Random networks: emitted C equals LiteRT's reference kernels bit for bit, in every mode.

The structure of each network is drawn by hypothesis, which also shrinks what fails. Networks are
built ten at a time into one library, because starting the compiler costs more than compiling.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from host import WARNINGS, HostModel, random_inputs, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_models import network, structures
from single_operator import interpreter, invoke

from budget.codegen import EmitOptions
from budget.graph import Graph
from budget.ops import Rounding
from budget.ops.interpreter import run
from budget.plan import Program, plan

BATCH = 10


def repeat(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


modes = st.tuples(
    st.sampled_from(["time", "size", "balanced"]),
    st.booleans(),
    st.sampled_from(list(Rounding)),
    st.sampled_from(["portable", "cortex-m3", "cortex-m4"]),
)


class LoadedModel(HostModel):
    """One of several models in a library that is built already."""

    def __init__(self, program: Program, name: str, library: ctypes.CDLL) -> None:
        self.program, self.name, self.library = program, name, library
        self.function("init")()


def built(programs: list[tuple[Program, EmitOptions]], folder: Path) -> Iterator[LoadedModel]:
    for program, options in programs:
        write(program, folder, options)
    sources = [str(folder / f"{options.name}.c") for _, options in programs]
    target = folder / "models.so"
    command = ["gcc", *WARNINGS, "-O1", "-fPIC", "-shared", "-o", str(target), *sources, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    library = ctypes.CDLL(str(target))
    for program, options in programs:
        yield LoadedModel(program, options.name, library)


def compare_all(drawn: list[tuple[object, tuple[str, bool, Rounding, str]]]) -> None:
    """Final outputs, with everything removed, fused and overlaid that the mode allows."""
    programs, graphs = [], []
    for index, (structure, (optimise, remove, rounding, target)) in enumerate(drawn):
        graph = network(structure)
        options = EmitOptions(f"m{index}", target, optimise, rounding=rounding)
        target = options.kernel_target
        program = plan(graph, remove_constant_channels=remove, target=target, optimise=optimise)
        programs.append((program, options))
        graphs.append(graph)
    with tempfile.TemporaryDirectory() as folder:
        for graph, model, (_, options) in zip(
            graphs, built(programs, Path(folder)), programs, strict=True
        ):
            inputs = random_inputs(model.program, 7)
            results = model.run(inputs)
            for name, expected in witness(graph, inputs, options.rounding).items():
                np.testing.assert_array_equal(results[name], expected, f"{name} {options}")


def witness(graph: Graph, inputs: dict, rounding: Rounding) -> dict[str, np.ndarray]:
    """LiteRT for its own rounding; for the microcontroller's, the numpy meaning."""
    if rounding is Rounding.TFLM:
        return run(graph, inputs, rounding=rounding)
    values = [inputs[name] for name in graph.inputs]
    return dict(zip(graph.outputs, invoke(interpreter(graph), values), strict=True))


def every_layer(drawn: list[object]) -> None:
    """Every tensor that a node computes, in a build with nothing removed or overlaid."""
    programs, graphs = [], []
    for index, structure in enumerate(drawn):
        graph = network(structure)
        graph = graph.replace(outputs=tuple(out for node in graph.nodes for out in node.outputs))
        programs.append((plan(graph, overlay=False), EmitOptions(name=f"m{index}")))
        graphs.append(graph)
    with tempfile.TemporaryDirectory() as folder:
        for graph, model in zip(graphs, built(programs, Path(folder)), strict=True):
            inputs = random_inputs(model.program, 11)
            results = model.run(inputs)
            for name, expected in witness(graph, inputs, Rounding.TFLITE).items():
                np.testing.assert_array_equal(results[name], expected, name)


networks = st.lists(st.tuples(structures, modes), min_size=1, max_size=BATCH)


@repeat(6)
@given(networks)
def test_outputs(drawn: list) -> None:
    compare_all(drawn)


@repeat(4)
@given(st.lists(structures, min_size=1, max_size=BATCH))
def test_every_layer(drawn: list) -> None:
    every_layer(drawn)


@pytest.mark.slow
@repeat(200)
@given(st.lists(st.tuples(structures, modes), min_size=BATCH, max_size=BATCH))
def test_outputs_of_two_thousand(drawn: list) -> None:
    compare_all(drawn)


@pytest.mark.slow
@repeat(60)
@given(st.lists(structures, min_size=BATCH, max_size=BATCH))
def test_every_layer_of_six_hundred(drawn: list) -> None:
    every_layer(drawn)
