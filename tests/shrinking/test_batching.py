"""Many examples at once give what one after the other gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from single_operator import build, seeded

from budget import zoo
from budget.api.models import lower, prepare
from budget.graph import DType
from budget.ops import registry
from budget.ops.interpreter import run
from budget.shrinking.batching import with_batch

SHIPPED = ("digits", "tiny-ad", "tiny-ic", "tiny-kws", "tiny-vww")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_batch_of_a_quantised_network_is_its_examples(name: str) -> None:
    graph = prepare(f"zoo:{name}").graph
    many = with_batch(graph, 3)
    assert many is not None
    (x,), (y,) = graph.inputs, graph.outputs
    shape = graph.type_of(x).shape
    given = np.random.default_rng(0).integers(-128, 128, (3, *shape[1:])).astype(np.int8)
    found = run(many, {x: given})[y]
    for i in range(3):
        assert np.array_equal(found[i : i + 1], run(graph, {x: given[i : i + 1]})[y])


def test_a_float_network_too() -> None:
    graph = lower(zoo.load("mobilenet_v2?alpha=0.35&resolution=32"))
    many = with_batch(graph, 2)
    assert many is not None
    x = graph.inputs[0]
    given = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype(np.float32)
    found = run(many, {x: given})[graph.outputs[0]]
    one = run(graph, {x: given[1:]})[graph.outputs[0]]
    np.testing.assert_allclose(found[1:], one, rtol=1e-4, atol=1e-6)


def test_what_mixes_examples_is_no_batch() -> None:
    operator = registry.get("concat")
    case = next(c for c in operator.cases() if c.attributes.axis == 0)
    assert with_batch(build(operator, case, DType.FLOAT32, seeded("a")).graph, 4) is None
