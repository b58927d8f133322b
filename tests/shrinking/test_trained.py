"""Trained networks of five shapes, pruned without any training: valid, and near what they were.

Run with ``-s`` for the table.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from test_quantize import litert
from trained_models import Trained, trained

from budget.graph import Graph, verify
from budget.ops.interpreter import run
from budget.shrinking.early_exit import macs_of
from budget.shrinking.stored import real_outputs, stored_inputs
from budget.shrinking.way import Calibration, parse

pytestmark = pytest.mark.slow
_HELD_OUT = 150


def answers(graph: Graph, model: Trained) -> np.ndarray:
    found = []
    for sample in model.samples(model.held_out[:_HELD_OUT]):
        outputs = real_outputs(graph, run(graph, stored_inputs(graph, sample)))
        found.append(next(iter(outputs.values())).reshape(-1))
    return np.stack(found)


@cache
def unchanged(name: str) -> np.ndarray:
    """The answers of a network as it was trained."""
    model = trained(name)
    return answers(model.graph, model)


def calibration_of(model: Trained, count: int = 120) -> Calibration:
    order = np.random.default_rng(0).permutation(len(model.training))[:count]
    return Calibration(model.samples(model.training[order]))


@pytest.mark.parametrize(
    ("name", "most_error"),
    [
        ("digits_cnn", 0.06),
        ("resnet8", 0.06),
        ("mobilenet_v1", 0.15),
        ("concat", 0.06),
        ("autoencoder", 0.03),
    ],
)
@pytest.mark.parametrize("text", ["prune:keep=0.75", "prune:keep=0.75,allocation=global"])
def test_pruned_networks_stay_near(name: str, most_error: float, text: str) -> None:
    """A quarter of the channels gone; the energy of the change over that of the outputs."""
    model = trained(name)
    calibration = calibration_of(model)
    made = parse(text).apply(model.graph, calibration)
    verify(made.graph)
    before, after = unchanged(name), answers(made.graph, model)
    error = float(np.square(after - before).sum() / np.square(before).sum())
    macs = [macs_of(graph.nodes, graph) for graph in (model.graph, made.graph)]
    words = f"{name:13} {text:35} {macs[0]:8} to {macs[1]:8} MACs, error {100 * error:5.2f} %"
    if model.labels is not None:
        labels = model.labels[:_HELD_OUT]
        scores = [100 * float((y.argmax(1) == labels).mean()) for y in (before, after)]
        words += f", accuracy {scores[0]:.1f} to {scores[1]:.1f} %"
        assert scores[1] > scores[0] - 12
    print(words)
    assert macs[1] < 0.9 * macs[0] and error < most_error
    bare = parse(f"{text},compensate=no").apply(model.graph, calibration)
    cut = answers(bare.graph, model)
    assert error < float(np.square(cut - before).sum() / np.square(before).sum())
    # the second witness computes the same from our file
    for sample in model.samples(model.held_out[:5]):
        (theirs,) = litert(made.graph, sample)
        ours = next(iter(run(made.graph, sample).values()))
        np.testing.assert_allclose(theirs.reshape(ours.shape), ours, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet8", "concat", "mobilenet_v1"])
def test_a_pruned_network_quantises_and_clusters(name: str) -> None:
    """Ways follow one another: fewer channels, then 8 bits, then 16 values for each layer."""
    model = trained(name)
    calibration = calibration_of(model, 60)
    smaller = parse("prune:keep=0.85").apply(model.graph, calibration).graph
    float_answers = answers(smaller, model)
    for text in ("int8:ranges=min-max", "cluster:values=16"):
        made = parse(text).apply(smaller, calibration).graph
        found = answers(made, model)
        agreement = float((found.argmax(1) == float_answers.argmax(1)).mean())
        print(f"{name:13} {text:20} agrees with the pruned float model on {100 * agreement:.1f} %")
        assert agreement > (0.97 if text.startswith("int8") else 0.9)


def test_equalising_and_ranges_make_more_of_8_bits() -> None:
    """What is chosen on calibration data is nearer to the float model on held-out data, too."""
    model = trained("resnet8")
    calibration = calibration_of(model, 45)
    reference = unchanged("resnet8")
    errors = []
    for text in ("int8:ranges=min-max,correction=none", "int8"):
        made = parse(text).apply(model.graph, calibration).graph
        errors.append(float(np.square(answers(made, model) - reference).sum()))
    assert errors[1] < errors[0]
