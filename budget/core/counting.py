"""Counts the blocks that run, in pairs of one and the next, by the function they ran for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Leader:
    """A load whose address is read while it runs, and those known from it.

    Attributes:
        address: of the instruction.
        base: register.
        index: register added, shifted; empty for none.
        index_shift: left shift of the index.
        offsets: bytes from the base of every word that it and its followers read.
    """

    address: int
    base: str
    index: str
    index_shift: int
    offsets: list[int]


@dataclass
class Scope:
    """What ran between entering and leaving a function, callees included.

    Attributes:
        name: of the function; empty for what ran outside all scopes.
        pairs: (address of a block, address of the next) → how often.
    """

    name: str
    pairs: dict[Pair, int] = field(default_factory=dict)


class Counter:
    """Counts pairs of blocks, by scope.

    Args:
        sizes: address of a block → its bytes; filled as blocks are first met.
        entries: address → name of the functions that open a scope.
        trace: whether to keep the order of blocks.
    """

    def __init__(self, sizes: dict[int, int], entries: dict[int, str], trace: bool) -> None:
        self.scopes = [Scope("")]
        self.trace: list[int] = []
        self._sizes = sizes
        self._entries = entries
        self._keep = trace
        self._open: list[tuple[Scope, int]] = [(self.scopes[0], -1)]
        self._last: Callable[[], int] = lambda: 0

    def make_block_hook(self, link_register: Callable[[], int]) -> Any:
        """A callback as small as it can be: it runs for every block executed."""
        sizes, order, marks = self._sizes, self.trace, set(self._entries)
        keep = order.append if self._keep else None
        pairs, previous = self.scopes[0].pairs, 0
        self._last = lambda: previous

        def hook(_: Any, address: int, size: int, __: Any) -> None:
            nonlocal pairs, previous
            if address in marks:
                pairs = self._switch(address, marks, link_register)
            pair = previous, address
            try:
                pairs[pair] += 1
            except KeyError:
                pairs[pair] = 1
                sizes[address] = size
            previous = address
            if keep is not None:
                keep(address)

        return hook

    def _switch(
        self, address: int, marks: set[int], link_register: Callable[[], int]
    ) -> dict[Pair, int]:
        """Enters or leaves a scope; a jump back to a function's first block does neither."""
        scope, leave = self._open[-1]
        before = len(self._open), len(self.scopes)
        while address == leave:
            self._open.pop()
            scope, leave = self._open[-1]
        name = self._entries.get(address)
        if name is not None and name != scope.name:
            scope = Scope(name)
            self.scopes.append(scope)
            self._open.append((scope, link_register() & ~1))
            marks.add(self._open[-1][1])
        if self._keep and before != (len(self._open), len(self.scopes)):
            self.trace.append(-1 - next(i for i, s in enumerate(self.scopes) if s is scope))
        return scope.pairs

    def finish(self, stop: int) -> None:
        """The last block went to where the caller waits."""
        self._open[-1][0].pairs[self._last(), stop] = 1
