"""Choices of implementations within RAM."""

from __future__ import annotations

import pytest

from budget.api.models import prepare
from budget.plan import Program
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
