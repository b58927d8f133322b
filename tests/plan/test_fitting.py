"""Choices of implementations within RAM."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from budget.api.models import prepare
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import registry
from budget.plan import Program, fitting, plan
from budget.plan.chooser import Limits
from budget.plan.fitting import plan_within

NETWORKS = ("tiny-vww", "tiny-ic", "hotword")


def planned(name: str, ram_bytes: int | None) -> Program:
    return plan_within(
        prepare(f"zoo:{name}").graph,
        limits=Limits(ram_bytes=ram_bytes),
        target="cortex-m4",
        remove_constant_channels=True,
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_where_nothing_fits_no_implementation_keeps_scratch(name: str) -> None:
    """Also those whose scratch is no whole number of words, and layers left with one choice."""
    program = planned(name, 1)
    assert all(step.scratch_bytes == 0 or not step.variant for step in program.steps)
    assert program.arena_bytes < planned(name, None).arena_bytes


@pytest.mark.parametrize("name", NETWORKS)
def test_ram_that_is_enough_is_kept_to_and_changes_nothing(name: str) -> None:
    free = planned(name, None)
    same = planned(name, free.arena_bytes)
    assert [step.variant for step in same.steps] == [step.variant for step in free.steps]
    least = planned(name, 1).arena_bytes
    for ram_bytes in range(least, free.arena_bytes, max(1, (free.arena_bytes - least) // 3)):
        tight = planned(name, ram_bytes)
        assert tight.arena_bytes <= ram_bytes
        assert free.choice is not None and tight.choice is not None
        assert tight.choice.cycles >= free.choice.cycles


def test_many_steps_lose_their_scratch_in_few_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel branches whose results alone pass the RAM: no step is to blame for it."""
    plans = 0

    def counted(*arguments: Any, **options: Any) -> Program:
        nonlocal plans
        plans += 1
        return plan(*arguments, **options)

    monkeypatch.setattr(fitting, "plan", counted)
    program = plan_within(branches(400, 500), limits=Limits(ram_bytes=16_384), target="cortex-m4")
    assert program.arena_bytes > 16_384
    assert all(step.scratch_bytes == 0 or not step.variant for step in program.steps)
    assert plans <= 12


def branches(width: int, count: int) -> Graph:
    """Pointwise convolutions in chains between one image and one join, written in turns."""
    image = TensorType((1, 4, 4, 4), DType.INT8, QuantParams.per_tensor(0.1, 3))
    builder = GraphBuilder("branches")
    ends = [builder.input("input", image)] * width
    weights = np.arange(16, dtype=np.int8).reshape(4, 1, 1, 4)
    scale = np.full(4, 0.02, np.float32)
    for number in range(count):
        w = builder.constant(f"w{number}", weights, QuantParams.per_channel(scale, 0))
        out = builder.tensor(f"t{number}", image)
        place = number % width
        attributes = registry.get("conv_2d").Attributes()
        builder.node("conv_2d", [ends[place], w], [out], attributes)
        ends[place] = out
    joined = TensorType((1, 4, 4, 4 * width), DType.INT8, image.quant)
    builder.tensor("joined", joined)
    builder.node("concat", ends, ["joined"], registry.get("concat").Attributes(axis=3))
    builder.output("joined")
    return builder.build()
