"""Plans whose implementations leave room in RAM: scratch is cut where a step needs too much."""

from __future__ import annotations

from functools import partial
from typing import Any

from budget.graph import Graph
from budget.plan.chooser import Limits
from budget.plan.planner import plan
from budget.plan.program import Program, Step

MANY_STEPS = 300
"""Beyond so many steps more and more of them lose their scratch from one plan to the next."""


def plan_within(graph: Graph, *, limits: Limits, **options: Any) -> Program:
    """A plan of our own runtime that fits RAM, if any choice of implementations does.

    What is alive beside a step's scratch does not depend on the scratch. So a step that needs too
    much cannot have its implementation, nor any with as much scratch: that is ruled out, and the
    rest is chosen anew.

    Args:
        graph: canonical.
        limits: of the device.
        options: as for `plan`.

    Raises:
        UnsupportedModelError: an operator is not known; all such are listed.
    """
    make = partial(plan, graph, limits=limits, **options)
    program = make()
    room: dict[str, int] = {}
    most = 1
    if limits.ram_bytes is None:
        return program
    while program.arena_bytes > limits.ram_bytes:
        crowded = _crowded(program, limits.ram_bytes, most)
        if not crowded:
            break  # without any scratch it is too large, too
        if len(program.steps) > MANY_STEPS:
            most *= 2
        for step in crowded:
            # scratch is counted in whole words: less by one byte would be the same again
            room[step.node.name] = step.scratch_bytes - program.alignment_bytes
        other = make(room_bytes=room)
        if other.steps == program.steps:
            break  # its implementations are given
        program = other
    return program


def _crowded(program: Program, ram_bytes: int, most: int) -> list[Step]:
    """Steps that need more than there is for their scratch; else the largest that have some."""
    alive = program.live_bytes
    with_scratch = [step for step in program.steps if step.scratch_bytes and step.variant]
    over = [step for step in with_scratch if alive[step.index] > ram_bytes]
    return over or sorted(with_scratch, key=lambda step: alive[step.index])[-most:]
