"""An approximation of cores that issue two neighbouring instructions in one cycle.

Arm publishes no cycle tables for Cortex-M7 and M33. What is known of them publicly is used
instead: two neighbours issue together if the second needs nothing from the first, at most one of
them is a multiply, a store, a floating-point operation or a branch, and the pair is one that the
core accepts; a result that comes late stalls the instruction that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from budget.core.timing.instruction import Instruction, Kind
from budget.core.timing.rules import Price

_MULTIPLIES = {
    Kind.MULTIPLY,
    Kind.MULTIPLY_ADD,
    Kind.MULTIPLY_LONG,
    Kind.MULTIPLY_ADD_LONG,
}
_STORES = {Kind.STORE, Kind.STORE_DOUBLE, Kind.FLOAT_STORE}
_LOADS = {Kind.LOAD, Kind.LOAD_DOUBLE, Kind.FLOAT_LOAD}
_ALONE = {
    Kind.LOAD_MULTIPLE,
    Kind.STORE_MULTIPLE,
    Kind.FLOAT_LOAD_MULTIPLE,
    Kind.FLOAT_STORE_MULTIPLE,
    Kind.DIVIDE,
    Kind.FLOAT_DIVIDE,
    Kind.BARRIER,
    Kind.SPECIAL,
    Kind.TRAP,
    Kind.TABLE_BRANCH,
}


@dataclass(frozen=True)
class DualIssue:
    """Two-way in-order issue.

    Attributes:
        core: name.
        has: extensions.
        source: what the figures rest on.
        issue: cycles for which an instruction keeps the next from issuing.
        latency: cycles from its issue until another instruction can use its result.
        taken_cycles: lost after a taken branch.
        return_cycles: lost after a load into pc or an indirect branch.
        narrow_only: whether both of a pair must be 16-bit instructions.
        two_loads: whether two loads may issue together.
    """

    core: str
    has: frozenset[str]
    source: str
    issue: Mapping[Kind, int]
    latency: Mapping[Kind, int]
    taken_cycles: int
    return_cycles: int
    narrow_only: bool
    two_loads: bool

    def price(self, block: Sequence[Instruction], before: Instruction | None) -> Price:
        """Cycles of a block; what was issued before it is taken to have ended."""
        ready: dict[str, int] = {}
        clock = stalls = 0
        first: Instruction | None = None  # of a pair that may still be joined, issued at `clock`
        free_at = 0
        for instruction in block:
            needed = instruction.reads - {instruction.accumulator}
            earliest = max((ready.get(name, 0) for name in needed), default=0)
            addend = ready.get(instruction.accumulator, 0) - 1
            earliest = max(earliest, addend)
            if first is not None and earliest <= clock and self._pairs(first, instruction):
                first = None
            else:
                clock = max(free_at, earliest)
                stalls += clock - free_at
                first = None if instruction.kind in _ALONE else instruction
                free_at = clock
            busy = self.issue[instruction.kind] + max(0, (instruction.words - 1) // 2)
            free_at = max(free_at, clock + busy)
            done = clock + self.latency[instruction.kind] + max(0, (instruction.words - 1) // 2)
            for name in instruction.writes:
                ready[name] = done
        return self._with_branch(block[-1], free_at, stalls)

    def _with_branch(self, last: Instruction, cycles: int, stalls: int) -> Price:
        if not last.branches:
            return Price(cycles, 0, stalls)
        direct = last.kind in {Kind.BRANCH, Kind.BRANCH_LINK} and "pc" not in last.writes
        lost = self.taken_cycles if direct else self.return_cycles
        return Price(cycles, lost, stalls) if last.conditional else Price(cycles + lost, 0, stalls)

    def _pairs(self, first: Instruction, second: Instruction) -> bool:
        if second.kind in _ALONE or first.branches or first.writes & second.reads:
            return False
        if first.writes & second.writes:
            return False
        if self.narrow_only and first.size_bytes + second.size_bytes > 4:
            return False
        for kinds in (_MULTIPLIES, _STORES):
            if first.kind in kinds and second.kind in kinds:
                return False
        memory = _LOADS | _STORES
        if first.kind in memory and second.kind in memory:
            return self.two_loads and first.kind in _LOADS and second.kind in _LOADS
        return not (first.kind.is_float_arithmetic and second.kind.is_float_arithmetic)
