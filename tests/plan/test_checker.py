"""Every kind of damage to a good plan must be found."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from random_graphs import ADD, CONCAT, NONE, bytes_type, random_graph

from budget.errors import InvalidGraphError
from budget.graph import GraphBuilder
from budget.plan import Buffer, Location, Program, plan
from budget.plan.checker import check_plan


def program() -> Program:
    """in -> a -> b; relu(b) in place; c = a + b: several buffers alive at once."""
    builder = GraphBuilder("g")
    x = builder.input("x", bytes_type(32))
    for name in ("a", "b", "c", "d"):
        builder.tensor(name, bytes_type(32))
    builder.node("concat", [x], ["a"], CONCAT)
    builder.node("concat", ["a"], ["b"], CONCAT)
    builder.node("relu", ["b"], ["c"], NONE)
    builder.node("add", ["a", "c"], ["d"], ADD)
    builder.output("d")
    return plan(builder.build())


def move(good: Program, name: str, **changes: Any) -> Program:
    buffer: Buffer = good.buffers[name]
    return replace(good, buffers={**good.buffers, name: replace(buffer, **changes)})


def test_a_good_plan_passes() -> None:
    good = program()
    assert check_plan(good) is good
    assert good.locations["b"] == good.locations["c"], "relu runs in place"


def relocate(good: Program, tensor: str, location: Location) -> Program:
    return replace(good, locations={**good.locations, tensor: location})


DAMAGE = {
    "overlap": lambda p: move(p, "b", offset_bytes=p.buffers["a"].offset_bytes),
    "aligned": lambda p: move(p, "b", offset_bytes=p.buffers["b"].offset_bytes + 1),
    "leaves the arena": lambda p: replace(p, arena_bytes=p.arena_bytes - 4),
    "leaves its buffer": lambda p: relocate(p, "b", Location("b", 4)),
    "does not exist": lambda p: relocate(p, "b", Location("nowhere")),
    "is stored as": lambda p: replace(p, buffers={**p.buffers, "z": p.buffers["b"]}),
    "not the graph's nodes": lambda p: replace(p, steps=p.steps[:-1]),
    "not numbered": lambda p: replace(p, steps=p.steps[::-1]),
    "is not there": lambda p: replace(
        p,
        steps=tuple(replace(s, index=i) for i, s in enumerate((*p.steps[1:], p.steps[0]))),
    ),
    "over its input": lambda p: relocate(p, "b", p.locations["a"]),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damage_is_found(message: str) -> None:
    with pytest.raises(InvalidGraphError, match=message):
        check_plan(DAMAGE[message](program()))


@pytest.mark.parametrize("seed", range(30))
def test_a_buffer_moved_onto_a_live_one_is_found(seed: int) -> None:
    good = plan(random_graph(random.Random(seed).randint, 12))
    for one in good.buffers.values():
        for other in good.buffers.values():
            together = one.first_step <= other.last_step and other.first_step <= one.last_step
            if one is not other and together and one.size_bytes and other.size_bytes:
                bad = move(good, one.name, offset_bytes=other.offset_bytes)
                with pytest.raises(InvalidGraphError):
                    check_plan(bad)


@pytest.mark.parametrize("seed", range(30))
def test_wrong_lifetimes_do_not_hide_an_overwritten_value(seed: int) -> None:
    """Buffers that claim to be dead: only playing the program shows that their bytes are read."""
    good = plan(random_graph(random.Random(seed).randint, 12))
    first = {n: Buffer(n, b.size_bytes, i, i, b.role, 0) for i, (n, b) in
             enumerate(good.buffers.items())}  # fmt: skip
    if len(good.buffers) > 2:
        with pytest.raises(InvalidGraphError):
            check_plan(replace(good, buffers=first))
