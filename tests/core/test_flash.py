"""Waiting for flash: the caches against a plain model, and the trace against every load."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")

from hand_elf import CODE, elf

from budget.core.elf import load_elf
from budget.core.flash import Cache, FetchCache, FlashTiming, Waits, find_leaders, wait_cycles
from budget.core.machine import Machine


class PlainCache:
    """Lines of separately filled words, least recently used line out; nothing clever."""

    def __init__(self, lines: int, words: int) -> None:
        self.lines, self.words = lines, words
        self.held: OrderedDict[int, set[int]] = OrderedDict()

    def misses(self, word: int) -> int:
        line = word // self.words
        if line not in self.held:
            if len(self.held) == self.lines:
                self.held.popitem(last=False)
            self.held[line] = set()
        self.held.move_to_end(line)
        new = word not in self.held[line]
        self.held[line].add(word)
        return int(new)


@pytest.mark.parametrize(("size", "line", "word"), [(256, 32, 8), (1024, 32, 8), (128, 16, 16)])
def test_cache_against_a_plain_model(size: int, line: int, word: int) -> None:
    generator = np.random.default_rng(size)
    steps = generator.integers(-3, 4, 20000) * generator.integers(1, 20, 20000)
    cache, plain = Cache(size, line, word), PlainCache(size // line, line // word)
    for at in np.abs(np.cumsum(steps)):
        assert cache.misses(int(at)) == plain.misses(int(at))


def test_without_a_cache_every_new_word_is_read() -> None:
    cache = Cache(0, 8, 8)
    assert [cache.misses(word) for word in (1, 1, 2, 1, 1)] == [1, 0, 1, 1, 0]


def test_remembered_fetches_equal_computed_ones() -> None:
    generator = np.random.default_rng(3)
    extents = {b: range(b * 3, b * 3 + int(generator.integers(1, 9))) for b in range(40)}
    fetch, cache = FetchCache(Cache(256, 32, 8), extents), Cache(256, 32, 8)
    for start in generator.integers(0, 36, 600):
        for block in [int(start), int(start) + 3] * int(generator.integers(1, 5)):
            assert fetch.misses(block) == sum(cache.misses(word) for word in extents[block])


# movs r0, #0x08000000; movs r1, #6; mov r12, r0
# 1: ldr r2, [r0], #4; ldr r3, [r0, #8]; ldrb r2, [r0, r1]; ldmia r0!, {r2, r3}
#    ldrd r2, r3, [r0, #-8]!; ldr.w r2, [r12, r1, lsl #2]; adds r0, #4; lsls r2, r1, #31
#    it ne; ldrne r2, [r0, #20]; subs r1, #1; bne 1b
# vldr s0, [r0]; ldr r2, [sp, #-8]; bx lr
LOADS = (
    "4ff000600621844650f8042b8368425c0cc870e902235cf8"
    "21200430ca0718bf42690139f0d190ed000a5df8082c7047"
)


def every_load(machine: Machine, function: str) -> list[int]:
    """Words read from flash, each found by stopping at every instruction."""
    import unicorn

    core, arm = machine._core, unicorn.arm_const
    found: list[int] = []

    def register(name: str) -> int:
        return int(core.reg_read(getattr(arm, f"UC_ARM_REG_{name.upper()}")))

    def hook(_: Any, address: int, size: int, __: Any) -> None:
        from budget.core.timing.instruction import decode

        (one,) = decode(machine.read(address, size), address)
        if not one.loads or not one.base or one.base in {"sp", "pc"}:
            return
        start = register(one.base) + one.offset_bytes
        if one.index:
            start += register(one.index) << one.index_shift
        found.extend(start + 4 * word for word in range(one.words))

    handle = core.hook_add(unicorn.UC_HOOK_CODE, hook)
    core.ctl_flush_tb()
    machine.call(function)
    core.hook_del(handle)
    core.ctl_flush_tb()
    return found


def test_the_trace_has_every_load() -> None:
    code = bytes.fromhex(LOADS) + bytes(200)
    machine = Machine(load_elf(elf(code, {"loads": 0, "table": len(code) - 200}), "loads"))
    machine.call("loads", count=True)
    leaders = find_leaders(machine, machine.blocks)
    run = machine.call("loads", leaders=leaders)
    traced = [
        (event & 0xFFFF_FFFF) + offset
        for event in run.trace
        if event >> 32 > 0
        for offset in leaders[(event >> 32) - 1].offsets
    ]
    witness = every_load(machine, "loads")
    assert len(witness) == 6 * (1 + 1 + 1 + 2 + 2 + 1) + 3 + 1
    # followers of one leader are told together, so that only the order may differ a little
    assert sorted(traced) == sorted(witness)
    assert len(leaders) < 8


def test_wait_cycles_by_hand() -> None:
    # 1: subs r0, #1; bne 1b; bx lr: six bytes, one word of 8 bytes, fetched once
    machine = Machine(load_elf(elf(bytes.fromhex("0138fdd17047"), {"loop": 0}), "loop"))
    machine.call("loop", [50], count=True)
    flash = FlashTiming(5, 8, 32, 1024, 256)
    assert wait_cycles(machine, machine.call("loop", [50], leaders=[]), [], flash) == [Waits(5, 0)]
    # ldr r1, [pc, #4]; bx lr; …: the constant is in a word of its own
    machine = Machine(load_elf(elf(bytes.fromhex("014970470000000001000000"), {"get": 0}), "get"))
    machine.call("get", count=True)
    assert wait_cycles(machine, machine.call("get", leaders=[]), [], flash) == [Waits(5, 5)]


def test_a_stream_costs_the_wait_states_for_each_word() -> None:
    # 1: ldrb r2, [r0], #1; subs r1, #1; bne 1b; bx lr
    code = bytes.fromhex("10f8012b0139fbd17047") + bytes(6) + bytes(1024)
    machine = Machine(load_elf(elf(code, {"sum": 0, "table": 16}), "sum"))
    arguments = [CODE + 16, 1024]
    machine.call("sum", arguments, count=True)
    leaders = find_leaders(machine, machine.blocks)
    for word, states in ((8, 5), (16, 3)):
        run = machine.call("sum", arguments, leaders=leaders)
        lost = wait_cycles(machine, run, leaders, FlashTiming(states, word, 32, 1024, 256))
        assert lost == [Waits(-(-10 // word) * states, 1024 // word * states)]
