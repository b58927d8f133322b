"""Weights in code books: unpacked exactly, equal on host and core, less flash when linked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host import HostModel, random_inputs
from hypothesis import given
from hypothesis import strategies as st

from budget.api.models import load, lower
from budget.codegen import EmitOptions
from budget.graph import Graph
from budget.ops import Rounding
from budget.ops.interpreter import run
from budget.plan.codebook import bits_of, packed
from budget.plan.planner import plan
from budget.shrinking.quantize import quantize_int8, random_samples
from budget.transforms.cluster import cluster, code_book


@given(
    st.lists(st.integers(-128, 127), min_size=1, max_size=32, unique=True),
    st.integers(1, 200),
    st.integers(0, 2**32 - 1),
)
def test_streams_hold_every_weight(book: list[int], count: int, seed: int) -> None:
    weights = np.random.default_rng(seed).choice(np.array(book, np.int8), count)
    bits = bits_of(weights)
    assert bits is not None
    stream, values = packed(weights, bits)
    assert len(stream) == -(-count * bits // 8) + 1 and len(values) == 1 << bits
    whole = int.from_bytes(stream.tobytes(), "little")
    numbers = [whole >> index * bits & (1 << bits) - 1 for index in range(count)]
    np.testing.assert_array_equal(values[numbers], weights)


def test_too_many_values_have_no_book() -> None:
    assert bits_of(np.arange(33, dtype=np.int8)) is None
    assert bits_of(np.arange(17, dtype=np.int8)) == 5
    assert bits_of(np.arange(16, dtype=np.int8)) == 4


@given(
    st.lists(st.integers(-127, 127), min_size=1, max_size=40), st.integers(1, 5), st.integers(0, 99)
)
def test_code_books_are_the_best_there_are(values: list[int], size: int, seed: int) -> None:
    """No code book of the same size that moves one value by one errs less."""
    stored = np.array(values, np.int8)
    weight = np.random.default_rng(seed).uniform(0.5, 2, stored.shape)

    def error(book: np.ndarray) -> float:
        distance = np.square(stored[:, None].astype(float) - book).min(1)
        return float((weight * distance).sum())

    book = code_book(stored, size, weight)
    assert len(book) <= size
    least = error(book)
    if len(set(values)) <= size:
        assert least == 0
    for index in range(len(book)):
        for step in (-1, 1):
            moved = book.copy()
            moved[index] += step
            assert error(moved) >= least - 1e-9


def _clustered(model: str, size: int) -> Graph:
    graph = lower(load(model))
    return cluster(quantize_int8(graph, random_samples(graph, 2)), size)[0]


@pytest.mark.parametrize(
    ("model", "size"), [("zoo:ds_cnn", 16), ("zoo:resnet8", 32), ("zoo:autoencoder", 16)]
)
@pytest.mark.parametrize("rounding", list(Rounding))
def test_equals_the_interpreter(model: str, size: int, rounding: Rounding, tmp_path: Path) -> None:
    graph = _clustered(model, size)
    program = plan(graph, optimise="size")
    assert any(step.variant == f"codebook+b{4 if size == 16 else 5}" for step in program.steps)
    emitted = HostModel(program, tmp_path, EmitOptions(name="m", rounding=rounding))
    for seed in range(2):
        inputs = random_inputs(program, seed)
        wanted = run(graph, inputs, rounding=rounding)
        for name, found in emitted.run(inputs).items():
            np.testing.assert_array_equal(found, wanted[name])


@pytest.mark.slow
def test_saves_flash_in_a_linked_build() -> None:
    """Outputs on the virtual core are equal; flash shrinks by nearly half the weights."""
    virtual = pytest.importorskip("virtual")
    graph = _clustered("zoo:ds_cnn", 16)
    program = plan(graph, optimise="size", target="cortex-m4")
    books = [step for step in program.steps if step.variant.startswith("codebook")]
    plain = quantize_int8(*_float("zoo:ds_cnn"))
    before = plan(plain, optimise="size", target="cortex-m4")
    assert not any(step.variant for step in before.steps)
    options = EmitOptions(name="m", target="cortex-m4", optimise="size")
    small, large = (virtual.VirtualModel(p, options) for p in (program, before))
    inputs = random_inputs(program, 1)
    for name, found in small.run(inputs)[0].items():
        np.testing.assert_array_equal(found, run(graph, inputs)[name])
    weights = sum(graph.type_of(step.node.inputs[1]).element_count for step in books)
    saved = large.elf.flash_bytes - small.elf.flash_bytes
    print(f"{weights} weights: {large.elf.flash_bytes} to {small.elf.flash_bytes} bytes of flash")
    assert 0.4 * weights < saved < 0.6 * weights  # one kernel instead of several, too


def _float(model: str) -> tuple[Graph, list[dict[str, np.ndarray]]]:
    graph = lower(load(model))
    return graph, random_samples(graph, 2)
