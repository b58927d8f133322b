"""Channels go where outputs feel it least, and as much is saved as with the same share of all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.api.shrink_inputs import float_model
from budget.ops.interpreter import run
from budget.shrinking.allocation import Damage, shares
from budget.shrinking.candidates import build
from budget.shrinking.early_exit import macs_of
from budget.shrinking.way import Calibration, parse
from budget.zoo import MODELS

groups = st.lists(st.tuples(st.floats(1e-6, 10), st.integers(1, 10**6)), min_size=1, max_size=8)


@given(groups, st.floats(0.05, 1.0))
def test_savings_are_those_of_equal_shares_and_the_damage_is_no_larger(
    values: list[tuple[float, int]], keep: float
) -> None:
    found = tuple(Damage(f"g{i}", noise, macs) for i, (noise, macs) in enumerate(values))
    kept = shares(found, keep)
    total = sum(d.macs for d in found)
    saved = sum(d.macs * (1 - kept[d.group]) for d in found)
    assert saved == pytest.approx((1 - keep) * total, rel=1e-6, abs=1e-6 * total)
    assert all(keep / 2 - 1e-9 <= share <= 1 for share in kept.values())

    def damage(removed: dict[str, float]) -> float:
        return sum(d.noise_ratio * removed[d.group] ** 2 for d in found)

    equal = damage({d.group: 1 - keep for d in found})
    assert damage({name: 1 - share for name, share in kept.items()}) <= equal * (1 + 1e-6) + 1e-12


def test_a_network_is_nearer_to_what_it_was_than_with_equal_shares() -> None:
    graph = float_model("zoo:digits")[0].graph
    (name,) = graph.inputs
    with np.load(MODELS / "digits.training.npz") as file:
        pixels = (file["features"][:80].astype(np.float32) + 128) / 255
    samples = [{name: x.reshape(graph.type_of(name).shape)} for x in pixels]
    calibration = Calibration(samples[:40])
    errors, macs = [], []
    for allocation in ("uniform", "sensitivity"):
        made = parse(f"prune:keep=0.8,allocation={allocation}").apply(graph, calibration).graph
        error = 0.0
        for sample in samples[40:]:
            before, after = (run(g, sample)[g.outputs[0]] for g in (graph, made))
            error += float(np.square(after - before).sum())
        errors.append(error)
        macs.append(macs_of(made.nodes, made))
    assert macs[1] < 1.1 * macs[0] < 0.8 * macs_of(graph.nodes, graph)
    assert errors[1] < errors[0]


def test_what_groups_bear_is_found_once_for_all_strengths() -> None:
    graph = float_model("zoo:digits")[0].graph
    calls: list[int] = []
    calibration = Calibration([{graph.inputs[0]: np.zeros((1, 8, 8, 1), np.float32)}])
    for _ in range(3):
        assert calibration.once(graph, "x", lambda: calls.append(1) or len(calls)) == 1
    assert calibration.once(graph, "y", lambda: 5) == 5
    other = float_model("zoo:digits")[0].graph
    assert calibration.once(other, "x", lambda: 7) == 7


def test_examples_suit_the_network_behind_every_step() -> None:
    graph = float_model("zoo:digits")[0].graph
    (name,) = graph.inputs
    given = {name: np.random.default_rng(0).random((1, 8, 8, 1), np.float32)}
    built = build(graph, ("prune:keep=0.5", "low-rank", "resolution"), Calibration([given] * 12))
    assert [parse(step.way).name for step in built.steps] == ["resolution", "prune", "low-rank"]
    for step in built.steps:
        sample = given if step.adapt is None else step.adapt(given)
        outputs = run(step.graph, sample)
        assert outputs[step.graph.outputs[0]].shape == (1, 10)
