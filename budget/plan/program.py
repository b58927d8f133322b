"""What will run: ordered steps, their kernels, and where every byte lies.

`plan` makes a Program; estimate, codegen and core read it and decide nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Any

from budget.graph import Graph, Node, TensorType
from budget.ops import Cost
from budget.records import record


class Role(StrEnum):
    """Why a buffer exists."""

    INPUT = "input"
    OUTPUT = "output"
    ACTIVATION = "activation"
    SCRATCH = "scratch"
    STATE = "state"


@record
class Buffer:
    """A run of bytes in the arena.

    Attributes:
        name: of the buffer; the first tensor it holds.
        size_bytes: a multiple of the program's alignment.
        first_step: index of the step that writes it (-1: present before the first step).
        last_step: index of the last step that reads it (number of steps: read after the last).
        role: why it exists.
        offset_bytes: place in the arena; -1 before the planner has run.
    """

    name: str
    size_bytes: int
    first_step: int
    last_step: int
    role: Role
    offset_bytes: int = -1


@record
class Location:
    """Where a tensor lies: a buffer and a byte offset into it (views, concat without copies)."""

    buffer: str
    offset_bytes: int = 0


@record
class Step:
    """One kernel call.

    Attributes:
        index: place in the execution order.
        node: the canonical node (its attributes, tensors and origin).
        kernel: name of the kernel family; empty where nothing runs (views).
        variant: which of the family's implementations; empty where the runtime has one only.
        cost: arithmetic and traffic.
        scratch_bytes: RAM needed only while the step runs.
        weight_bytes: constants read by this step, as the runtime stores them.
        overlaid_bytes: bytes of the output that lie over the input, which dies with the step.
    """

    index: int
    node: Node
    kernel: str
    variant: str
    cost: Cost
    scratch_bytes: int = 0
    weight_bytes: int = 0
    overlaid_bytes: int = 0

    @property
    def layer(self) -> str:
        """The name to show to a person."""
        return self.node.origin[0] if self.node.origin else self.node.name


@record
class Choice:
    """What was weighed when the layers' implementations were chosen.

    Attributes:
        layers: that had more than one.
        cycles: of these layers, with waiting for flash.
        flash_bytes: of their constants and code.
        wait_states: of the flash.
        flash_limit_bytes: that was given, if any.
        ram_limit_bytes: likewise.
        more_bytes: more flash that was tried.
        more_saves_cycles: what that would save.
        more_changes: layers that would get another implementation, and which.
    """

    layers: int
    cycles: float
    flash_bytes: int
    wait_states: int
    flash_limit_bytes: int | None
    ram_limit_bytes: int | None
    more_bytes: int
    more_saves_cycles: float
    more_changes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {
            "layers": self.layers,
            "cycles": round(self.cycles),
            "flash_bytes": self.flash_bytes,
            "wait_states": self.wait_states,
            "flash_limit_bytes": self.flash_limit_bytes,
            "ram_limit_bytes": self.ram_limit_bytes,
            "more": {
                "flash_bytes": self.more_bytes,
                "saves_cycles": round(self.more_saves_cycles),
                "changes": list(self.more_changes),
            },
        }


@record
class Program:
    """A lowered graph with every decision made.

    Attributes:
        graph: the canonical graph that the steps execute.
        steps: in execution order.
        buffers: with offsets, by name.
        locations: tensor name → location, for every tensor in RAM.
        arena_bytes: RAM for all buffers.
        lower_bound_bytes: most bytes alive at once in this order: no plan of it can be smaller.
        planner: which planner made the offsets.
        runtime: id of the runtime profile the program is for.
        types: deployed type of every tensor (a float graph may run as integers).
        alignment_bytes: of every offset.
        persistent_bytes: part of the arena that holds the runtime's own structures, behind all
            buffers; 0 for runtimes that have none.
        notes: decisions the user should be told of.
        choice: how the implementations were chosen, where there were several.
    """

    graph: Graph
    steps: tuple[Step, ...]
    buffers: dict[str, Buffer]
    locations: dict[str, Location]
    arena_bytes: int
    lower_bound_bytes: int
    planner: str
    runtime: str
    types: Mapping[str, TensorType]
    alignment_bytes: int = 4
    persistent_bytes: int = 0
    notes: tuple[str, ...] = field(default=())
    choice: Choice | None = None

    @cached_property
    def weight_bytes(self) -> int:
        """Constants in flash."""
        return sum(step.weight_bytes for step in self.steps)

    @cached_property
    def live_bytes(self) -> list[int]:
        """RAM alive during each step: buffers written before or in it and read in it or later.

        Bytes that an output shares with the input it replaces count once.
        """
        count = len(self.steps)
        change = [0] * (count + 2)
        for buffer in self.buffers.values():
            first, last = max(buffer.first_step, 0), min(buffer.last_step, count - 1)
            if first <= last:
                change[first] += buffer.size_bytes
                change[last + 1] -= buffer.size_bytes
        alive = accumulate(change[:count])
        return [live - step.overlaid_bytes for live, step in zip(alive, self.steps)]

    @cached_property
    def cost(self) -> Cost:
        """Sum over all steps."""
        return sum((step.cost for step in self.steps), Cost())
