"""Cycles from counted blocks: each block is priced once, then multiplied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from budget.core.counting import Pair
from budget.core.machine import STOP, FirmwareError, Machine, Run
from budget.core.timing import Price, Timing
from budget.core.timing.instruction import Instruction


@dataclass(frozen=True, slots=True)
class Count:
    """What executing something took, at zero wait states.

    Attributes:
        instructions: executed; those skipped in an IT block count.
        cycles: by the core's timing.
        stall_cycles: of them, spent waiting for an address or an operand.
        float_instructions: of `instructions`, those of the floating-point unit.
    """

    instructions: int = 0
    cycles: int = 0
    stall_cycles: int = 0
    float_instructions: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.instructions + other.instructions,
            self.cycles + other.cycles,
            self.stall_cycles + other.stall_cycles,
            self.float_instructions + other.float_instructions,
        )


@dataclass(frozen=True)
class Profile:
    """Where the cycles of a call went.

    Attributes:
        total: of everything.
        scopes: (name, count with callees) of each scope, in the order of entry; a scope entered
            again is listed again.
        functions: name → count without callees, the most cycles first.
    """

    total: Count
    scopes: tuple[tuple[str, Count], ...]
    functions: dict[str, Count]


_PURPOSES = {
    # by mnemonic: rounding products scale, their plain relatives multiply
    **dict.fromkeys(("smmla", "smmlar", "smmul", "smmulr", "ssat", "usat"), "scaling"),
    **dict.fromkeys(("sxtb16", "sxtab16", "sxtb", "sxtab", "sxth", "pkhbt", "pkhtb"), "widening"),
    **dict.fromkeys(("sadd16", "ssub16"), "transforming"),
}


def purpose(instruction: Instruction) -> str:
    """What an instruction is for: multiplying, loads, stores, widening, scaling, branches …"""
    found = _PURPOSES.get(instruction.text.split()[0].split(".")[0])
    if found:
        return found
    kind = instruction.kind.value
    return next((name for part, name in _KINDS.items() if part in kind), "other")


_KINDS = {"multiply": "multiplying", "branch": "branches", "load": "loads", "store": "stores"}


class Pricer:
    """Prices the blocks of a machine for one core.

    Args:
        machine: whose blocks.
        timing: of the core.
    """

    def __init__(self, machine: Machine, timing: Timing) -> None:
        self._machine = machine
        self._timing = timing
        self._prices: dict[tuple[int, int], Price] = {}

    def profile(self, run: Run) -> Profile:
        """Prices a counted call.

        Raises:
            FirmwareError: an instruction was executed that the core does not have.
        """
        functions: dict[str, Count] = {}
        scopes: list[tuple[str, Count]] = []
        total = Count()
        for scope in run.scopes:
            here = Count()
            for pair, times in scope.pairs.items():
                count, owner = self._pair(pair, times)
                here += count
                functions[owner] = functions.get(owner, Count()) + count
            total += here
            if scope.name:
                scopes.append((scope.name, here))
        ordered = sorted(functions.items(), key=lambda item: (-item[1].cycles, item[0]))
        return Profile(total, tuple(scopes), dict(ordered))

    def mix(self, run: Run) -> list[tuple[str, dict[str, int]]]:
        """What each scope spent its cycles on, by kind of instruction; see `purpose`.

        An instruction costs what its block costs more with it than without it.
        """
        found = []
        shares: dict[tuple[int, int], dict[str, int]] = {}
        for scope in run.scopes:
            here: dict[str, int] = {}
            for pair, times in scope.pairs.items():
                if pair not in shares:
                    shares[pair] = self._shares(pair)
                for name, cycles in shares[pair].items():
                    here[name] = here.get(name, 0) + cycles * times
            found.append((scope.name, here))
        return found

    def _shares(self, pair: Pair) -> dict[str, int]:
        count, _ = self._pair(pair, 1)
        previous, address = pair
        if address == STOP:
            return {"branches": count.cycles}
        before = self._machine.block(previous)[-1] if previous else None
        if before is not None and (
            before.branches or address != before.address + before.size_bytes
        ):
            before = None
        block = self._machine.block(address)
        shares: dict[str, int] = {}
        spent = 0
        for end, instruction in enumerate(block, 1):
            cycles = self._timing.price(block[:end], before).cycles
            name = purpose(instruction)
            shares[name] = shares.get(name, 0) + cycles - spent
            spent = cycles
        shares["branches"] = shares.get("branches", 0) + count.cycles - spent
        return shares

    def _pair(self, pair: Pair, times: int) -> tuple[Count, str]:
        previous, address = pair
        taken = 0
        before: Instruction | None = None
        if previous:
            last = self._machine.block(previous)[-1]
            if address != last.address + last.size_bytes:
                taken = self._price(previous, None).taken_cycles
            elif not last.branches:
                before = last
        if address == STOP:
            return Count(0, taken * times), self._owner(previous)
        price = self._price(address, before)
        block = self._machine.block(address)
        count = Count(
            len(block) * times,
            (price.cycles + taken) * times,
            price.stall_cycles * times,
            sum("fpu" in instruction.needs for instruction in block) * times,
        )
        return count, self._owner(address)

    def _price(self, address: int, before: Instruction | None) -> Price:
        key = (address, before.address if before else 0)
        if key not in self._prices:
            block = self._machine.block(address)
            self._refuse(block)
            self._prices[key] = self._timing.price(block, before)
        return self._prices[key]

    def _refuse(self, block: Iterable[Instruction]) -> None:
        for instruction in block:
            missing = instruction.needs - self._timing.has
            if missing:
                raise FirmwareError(
                    f"'{instruction.text}' at 0x{instruction.address:08x} in "
                    f"'{self._owner(instruction.address)}' needs {', '.join(sorted(missing))}, "
                    f"which {self._timing.core} has not",
                    where=self._machine.elf.name,
                    hint="build it for this core, or choose another with --core",
                )

    def _owner(self, address: int) -> str:
        owner = self._machine.elf.owner(address)
        return owner.name if owner else f"0x{address:08x}"
