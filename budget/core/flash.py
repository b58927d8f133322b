"""Cycles spent waiting for flash, from the addresses that a call fetches and reads there.

Flash is read a word at a time into small caches of lines, fully associative, least recently used
line first out, without prefetching: a word that its cache does not hold costs the wait states.
Instruction fetches go through one cache, data through the other. Both are computed after the run
from a trace: blocks in order, and the addresses of loads, which are read from registers at chosen
instructions, because hooks on memory can corrupt execution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from budget.core.counting import Leader
from budget.core.machine import Machine, Run
from budget.core.timing.instruction import Instruction, Kind

_LOADS = {
    Kind.LOAD,
    Kind.LOAD_DOUBLE,
    Kind.LOAD_MULTIPLE,
    Kind.FLOAT_LOAD,
    Kind.FLOAT_LOAD_MULTIPLE,
}
_TAG = 32  # bits of an address in a trace; above them the number of the load


@dataclass(frozen=True, slots=True)
class FlashTiming:
    """How program memory keeps up.

    Attributes:
        wait_states: extra cycles of a word that no cache holds.
        word_bytes: read at once.
        line_bytes: of both caches; words of a line are filled one by one.
        instruction_bytes: size of the instruction cache; 0 for none.
        data_bytes: size of the data cache; 0 for none.
    """

    wait_states: int
    word_bytes: int
    line_bytes: int
    instruction_bytes: int
    data_bytes: int


@dataclass(frozen=True, slots=True)
class Waits:
    """Cycles lost to flash: fetching instructions, and reading data."""

    fetch_cycles: int = 0
    data_cycles: int = 0

    @property
    def cycles(self) -> int:
        """Both."""
        return self.fetch_cycles + self.data_cycles

    def __add__(self, other: Waits) -> Waits:
        return Waits(self.fetch_cycles + other.fetch_cycles, self.data_cycles + other.data_cycles)


class Cache:
    """Lines of words, least recently used line first out.

    Args:
        size_bytes: of the whole; 0 keeps only the word read last.
        line_bytes: of a line.
        word_bytes: filled at once.
    """

    def __init__(self, size_bytes: int, line_bytes: int, word_bytes: int) -> None:
        self._most = max(size_bytes // line_bytes, 1)
        self._words = line_bytes // word_bytes if size_bytes else 1
        self._lines: dict[int, int] = {}
        self._last = -1

    def misses(self, word: int) -> int:
        """1 if a word has to be read from flash, else 0.

        Args:
            word: address over the size of a word.
        """
        if word == self._last:
            return 0
        self._last = word
        line, bit = word // self._words, 1 << word % self._words
        held = self._lines.pop(line, 0)
        if not held and len(self._lines) >= self._most:
            del self._lines[next(iter(self._lines))]
        self._lines[line] = held | bit
        return 0 if held & bit else 1

    @property
    def state(self) -> tuple[tuple[int, int], ...]:
        """All that decides about the future, comparable."""
        return (*self._lines.items(), (self._last, 0))

    def restore(self, state: tuple[tuple[int, int], ...]) -> None:
        """Back to an earlier `state`."""
        *lines, (self._last, _) = state
        self._lines = dict(lines)


class FetchCache:
    """An instruction cache that remembers what each block did to each of its states.

    Programs loop, so that few pairs of state and block are ever new.
    """

    def __init__(self, cache: Cache, extents: dict[int, range]) -> None:
        self._cache = cache
        self._extents = extents
        self._states = [cache.state]
        self._numbers = {cache.state: 0}
        self._known: dict[tuple[int, int], tuple[int, int]] = {}
        self._now = 0

    def misses(self, block: int) -> int:
        """Words that fetching a block reads from flash."""
        key = (self._now, block)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._compute(block)
        self._now, count = found
        return count

    def _compute(self, block: int) -> tuple[int, int]:
        self._cache.restore(self._states[self._now])
        count = sum(map(self._cache.misses, self._extents[block]))
        state = self._cache.state
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
        return number, count


def find_leaders(machine: Machine, blocks: Sequence[int]) -> list[Leader]:
    """Loads whose address must be asked for; the others follow from them by constants.

    Args:
        machine: after a counted run.
        blocks: addresses of the blocks that ran.
    """
    leaders: list[Leader] = []
    taken: set[int] = set()
    for block in blocks:
        for leader in _leaders_of(machine.block(block)):
            if leader.address not in taken:  # blocks may overlap where one is entered in the middle
                taken.add(leader.address)
                leaders.append(leader)
    return leaders


def _leaders_of(block: Sequence[Instruction]) -> list[Leader]:
    found: list[Leader] = []
    known: dict[str, tuple[int, int]] = {}  # register → (index in found, distance from its value)
    for instruction in block:
        base, step = instruction.base, instruction.step_bytes
        if instruction.kind in _LOADS and base not in {"", "pc", "sp"}:
            if instruction.index or instruction.conditional or base not in known:
                found.append(
                    Leader(
                        instruction.address,
                        base,
                        instruction.index,
                        instruction.index_shift,
                        list(_offsets(instruction, 0)),
                    )
                )
                if not instruction.index and not instruction.conditional:
                    known[base] = (len(found) - 1, 0)
            else:
                number, distance = known[base]
                found[number].offsets.extend(_offsets(instruction, distance))
        kept = None
        if base in known and step and base not in instruction.loads:
            number, distance = known[base]
            kept = (base, (number, distance + step))
        for register in instruction.writes:
            known.pop(register, None)
        if kept and not instruction.conditional:
            known[kept[0]] = kept[1]
    return found


def _offsets(instruction: Instruction, distance: int) -> range:
    start = distance + instruction.offset_bytes
    return range(start, start + 4 * instruction.words, 4)


def wait_cycles(
    machine: Machine, run: Run, leaders: Sequence[Leader], flash: FlashTiming
) -> list[Waits]:
    """Cycles lost to flash, for each scope of a traced run.

    Args:
        machine: it ran on.
        run: traced, with these leaders.
        leaders: from `find_leaders`.
        flash: the memory's timing.
    """
    word = flash.word_bytes
    fetch, literals = _of_blocks(machine, run, flash)
    data = Cache(flash.data_bytes, flash.line_bytes, word)
    offsets = [tuple(leader.offsets) for leader in leaders]
    fetched, read = [0] * len(run.scopes), [0] * len(run.scopes)
    scope, mask = 0, (1 << _TAG) - 1
    for event in run.trace:
        if event < 0:
            scope = -event - 1
        elif event <= mask:
            fetched[scope] += fetch.misses(event)
            for literal in literals[event]:
                read[scope] += data.misses(literal)
        else:
            base = event & mask
            for offset in offsets[(event >> _TAG) - 1]:
                read[scope] += data.misses((base + offset) // word)
    states = flash.wait_states
    return [Waits(one * states, other * states) for one, other in zip(fetched, read)]


def _of_blocks(
    machine: Machine, run: Run, flash: FlashTiming
) -> tuple[FetchCache, dict[int, list[int]]]:
    """What fetches blocks, and the words of constants beside the code that each block reads."""
    word, regions = flash.word_bytes, machine.flash_regions
    extents: dict[int, range] = {}
    literals: dict[int, list[int]] = {}
    for block in {event for event in run.trace if 0 <= event < 1 << _TAG}:
        code = machine.block(block)
        end = code[-1].address + code[-1].size_bytes
        inside = _inside(block, regions)
        extents[block] = range(block // word, (end - 1) // word + 1) if inside else range(0)
        literals[block] = [a // word for a in _literal_addresses(code) if _inside(a, regions)]
    cache = Cache(flash.instruction_bytes, flash.line_bytes, word)
    return FetchCache(cache, extents), literals


def _literal_addresses(code: Sequence[Instruction]) -> list[int]:
    return [
        (instruction.address + 4) // 4 * 4 + instruction.offset_bytes + 4 * index
        for instruction in code
        if instruction.kind in _LOADS and instruction.base == "pc" and not instruction.index
        for index in range(instruction.words)
    ]


def _inside(address: int, regions: Sequence[range]) -> bool:
    return any(address in region for region in regions)
