"""What a run of instructions costs: a table of cycles, and how neighbours overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from budget.core.timing.instruction import Instruction, Kind

_PIPELINED_LOADS = {Kind.LOAD, Kind.FLOAT_LOAD}
_MULTIPLES = {
    Kind.LOAD_MULTIPLE,
    Kind.STORE_MULTIPLE,
    Kind.FLOAT_LOAD_MULTIPLE,
    Kind.FLOAT_STORE_MULTIPLE,
}


@dataclass(frozen=True, slots=True)
class Price:
    """Cycles of a block at zero wait states.

    Attributes:
        cycles: of all its instructions, a conditional branch at its end not taken.
        taken_cycles: more where that branch is taken.
        stall_cycles: of `cycles`, those spent waiting for an address.
    """

    cycles: int
    taken_cycles: int = 0
    stall_cycles: int = 0


class Timing(Protocol):
    """Prices blocks for one core."""

    @property
    def core(self) -> str:
        """Its name, such as ``cortex-m4``."""

    @property
    def has(self) -> frozenset[str]:
        """Extensions of the instruction set that it executes."""

    @property
    def source(self) -> str:
        """The public document that the prices are from, or what was assumed."""

    def price(self, block: Sequence[Instruction], before: Instruction | None) -> Price:
        """Cycles of a block.

        Args:
            block: at least one instruction; only the last may branch.
            before: the instruction executed just before where the flow fell into the block.
        """


@dataclass(frozen=True)
class InOrder:
    """One instruction at a time, with pipelined loads (Cortex-M3 and M4) or without (M0+).

    Attributes:
        core: name.
        has: extensions.
        source: of the figures.
        table: cycles of each kind; of a multiple access, the cycles beside one per register.
        refill: cycles to refill the pipeline after a taken branch (P in the manuals).
        pipelines: whether a load overlaps with the access before it.
        address_stall: cycles lost when an address needs the result of the instruction before.
        link_cycles: more for a direct branch with link than for another.
        load_pc_cycles: of a load into pc, in all.
        pop_refill: cycles to refill after a pop into pc.
    """

    core: str
    has: frozenset[str]
    source: str
    table: Mapping[Kind, int]
    refill: int
    pipelines: bool
    address_stall: int
    link_cycles: int
    load_pc_cycles: int
    pop_refill: int

    def price(self, block: Sequence[Instruction], before: Instruction | None) -> Price:
        """Cycles of a block; see `Timing`."""
        total = stalls = 0
        previous = before
        for instruction in block:
            stall = self._stall(instruction, previous)
            total += self._alone(instruction, previous) + stall
            stalls += stall
            previous = instruction
        last = block[-1]
        if not last.branches:
            return Price(total, 0, stalls)
        if last.conditional:
            return Price(total, self._taken(last), stalls)
        return Price(total + self._taken(last), 0, stalls)

    def _alone(self, instruction: Instruction, previous: Instruction | None) -> int:
        kind = instruction.kind
        cycles = self.table[kind]
        if kind in _MULTIPLES:
            return cycles + instruction.words
        if kind is Kind.IF_THEN and previous is not None and previous.size_bytes == 2:
            return 0  # folded into the 16-bit instruction before it
        if kind in {Kind.FLOAT_LOAD, Kind.FLOAT_STORE}:
            cycles += instruction.words - 1
        if self.pipelines:
            return self._overlapped(instruction, previous, cycles)
        return cycles

    def _overlapped(
        self, instruction: Instruction, previous: Instruction | None, cycles: int
    ) -> int:
        kind = instruction.kind
        if kind is Kind.STORE and not instruction.index:
            return 1  # the write buffer takes it while the next instruction executes
        if kind in _PIPELINED_LOADS or kind in {Kind.STORE, Kind.FLOAT_STORE}:
            follows = (
                previous is not None
                and previous.kind in _PIPELINED_LOADS
                and not previous.branches
                and not previous.loads & instruction.address_registers
            )
            return cycles - 1 if follows else cycles
        return cycles

    def _stall(self, instruction: Instruction, previous: Instruction | None) -> int:
        if previous is None:
            return 0
        if previous.kind.is_float_arithmetic:
            return self._float_stall(instruction, previous)
        if not previous.kind.is_integer_arithmetic or not instruction.base:
            return 0
        return self.address_stall if previous.writes & instruction.address_registers else 0

    def _float_stall(self, instruction: Instruction, previous: Instruction) -> int:
        """A result used by the very next instruction is one cycle late; not so as an addend."""
        used = previous.writes & instruction.reads
        if previous.kind is Kind.FLOAT_DIVIDE or not used:
            return 0
        return 0 if used == {instruction.accumulator} else 1

    def _taken(self, branch: Instruction) -> int:
        """Cycles of a taken branch beside its cycles when not taken."""
        if branch.kind is Kind.TABLE_BRANCH:
            return 0
        if branch.kind is Kind.LOAD:
            return self.load_pc_cycles - self.table[Kind.LOAD]
        if branch.kind is Kind.LOAD_MULTIPLE:
            return self.pop_refill
        if branch.kind is Kind.BRANCH_LINK and branch.size_bytes == 4:
            return self.refill + self.link_cycles
        return self.refill


def plain_table(**changes: int) -> dict[Kind, int]:
    """One cycle for every kind but those that are given, by the names of `Kind`'s members."""
    return {kind: changes.get(kind.name.lower(), 1) for kind in Kind}
