"""The machine: calls, counts, scopes, stack, and programs that go wrong."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

pytest.importorskip("unicorn")
pytest.importorskip("capstone")

from hand_elf import CODE, DATA, elf

from budget.core.elf import load_elf
from budget.core.machine import FirmwareError, Machine
from budget.core.profile import Pricer
from budget.core.timing import timing_of
from budget.errors import MissingToolError, UsageError

PROGRAM = {
    "add": "40187047",  # adds r0, r0, r1; bx lr
    "fifth": "00987047",  # ldr r0, [sp]; bx lr
    # sums 1 … r0: movs r1, #0; 1: adds r1, r1, r0; subs r0, #1; bne 1b; movs r0, r1; bx lr
    "loop": "002109180138fcd108007047",
    # movs r1, #0; 1: lsls r2, r0, #31; ite ne; addne r1, #1; addeq r1, #3; subs r0, #1; bne 1b;
    # movs r0, r1; bx lr
    "parity": "0021c20714bf013103310138f9d108007047",
    # push {r4-r7, lr}; sub sp, #44; str r0, [sp]; add sp, #44; pop {r4-r7, pc}
    "deep": "f0b58bb000900bb0f0bd",
    "undefined": "00bf01de",  # nop; udf #1
    # movs r0, #0; mvns r0, r0; lsls r0, r0, #28; ldr r0, [r0]; bx lr
    "wild": "0020c043000700687047",
    "trap": "abbe",  # bkpt #0xab
    "forever": "fee7",  # b .
    # vmov s0, r0; vcvt.f32.s32 s0, s0; vadd.f32 s0, s0, s0; vcvt.s32.f32 s0, s0; vmov r0, s0; bx lr
    "real": "00ee100ab8eec00a30ee000abdeec00a10ee100a7047",
}


def build(**programs: str) -> Machine:
    """A machine with each program as a function, and 4 initialised and 16 zero bytes."""
    code, functions = b"", {}
    for name, text in programs.items():
        functions[name] = len(code)
        code += bytes.fromhex(text)
        code += bytes(-len(code) % 4)
    return Machine(load_elf(elf(code, functions, b"\1\2\3\4", 16), "hand"))


@pytest.fixture(scope="module")
def machine() -> Machine:
    return build(**PROGRAM)


def instructions(machine: Machine, name: str, *arguments: int) -> int:
    run = machine.call(name, arguments, count=True)
    return Pricer(machine, timing_of("cortex-m4")).profile(run).total.instructions


def test_calls_as_c_does(machine: Machine) -> None:
    assert machine.call("add", [40, 2]).result == 42
    assert machine.call("add", [1, -2]).result == 0xFFFF_FFFF
    assert machine.call("fifth", [1, 2, 3, 4, 5, 6]).result == 5
    assert machine.call("real", [21]).result == 42


def test_counts_after_having_run_uncounted(machine: Machine) -> None:
    """A hook that misses translated code would count less the second time."""
    for repeat in range(3):
        machine.call("loop", [100 + repeat])
        assert instructions(machine, "loop", 100 + repeat) == 1 + 3 * (100 + repeat) + 2


def test_instructions_skipped_in_an_it_block_count(machine: Machine) -> None:
    assert machine.call("parity", [10]).result == 5 * 1 + 5 * 3
    assert instructions(machine, "parity", 10) == 1 + 6 * 10 + 2


def test_cycles_by_hand(machine: Machine) -> None:
    def cycles(name: str, *arguments: int) -> int:
        run = machine.call(name, arguments, count=True)
        return Pricer(machine, timing_of("cortex-m4")).profile(run).total.cycles

    assert cycles("add", 1, 2) == 1 + 3
    # adds, subs, bne: 3 cycles, and 2 more for each of the 9 times it is taken
    assert cycles("loop", 10) == 1 + 10 * 3 + 9 * 2 + 1 + 3
    # sp is an address right after it is computed, twice: two stalls
    assert cycles("deep", 1) == (1 + 5) + 1 + (1 + 1) + 1 + (1 + 1 + 5 + 2)


def test_the_deepest_stack(machine: Machine) -> None:
    assert machine.call("add", [1, 2]).stack_bytes == 0
    assert machine.call("deep", [1]).stack_bytes == 5 * 4 + 44  # its lowest word is written


def test_memory_holds_what_the_file_says(machine: Machine) -> None:
    assert machine.read(DATA, 20) == b"\1\2\3\4" + bytes(16)
    paint = machine.paint(DATA + 4, 16)
    assert machine.painted_bytes(paint) == (0, 0)
    now = machine.read(DATA + 9, 1)[0]
    machine.write(DATA + 9, bytes([now ^ 255]))
    assert machine.painted_bytes(paint) == (4, 8)  # the whole word


SCOPES = (
    # push {r4, lr}; movs r4, #5; 1: movs r0, r4; bl inner; subs r4, #1; bne 1b; bl tail;
    # pop {r4, pc}
    "10b50524200000f005f8013cfad100f005f810bd"
    # inner: subs r0, #1; bne inner; bx lr; nop
    "0138fdd1704700bf"
    # tail: b.w last; last: movs r0, #7; bx lr
    "00f000b807207047"
)


def test_scopes_count_a_function_with_what_it_calls() -> None:
    code = bytes.fromhex(SCOPES)
    program = load_elf(elf(code, {"outer": 0, "inner": 20, "tail": 28, "last": 32}), "scopes")
    machine = Machine(program)
    pricer = Pricer(machine, timing_of("cortex-m4"))
    scopes = [program.symbol("inner"), program.symbol("tail")]
    profile = pricer.profile(machine.call("outer", count=True, scopes=scopes))
    # inner runs for r0 = 5 … 1; its loop starts at its first instruction, which enters nothing
    counts = [(name, count.instructions) for name, count in profile.scopes]
    assert counts == [("inner", 2 * n + 1) for n in (5, 4, 3, 2, 1)] + [("tail", 3)]
    whole = pricer.profile(machine.call("outer", count=True))
    assert whole.total == profile.total
    assert profile.total.instructions == 2 + 5 * 4 + 1 + 1 + (2 * 15 + 5) + 3
    assert whole.functions["last"].instructions == 2
    assert sum(c.cycles for c in whole.functions.values()) == whole.total.cycles


def test_an_undefined_instruction_is_named(machine: Machine) -> None:
    with pytest.raises(FirmwareError, match=f"0x{machine.elf.symbol('undefined').address + 2:08x}"):
        machine.call("undefined")


def test_memory_that_is_not_there_is_named(machine: Machine) -> None:
    with pytest.raises(FirmwareError, match="in 'wild'"):
        machine.call("wild")
    with pytest.raises(FirmwareError, match="no memory at 0x70000000"):
        machine.read(0x7000_0000, 4)
    with pytest.raises(FirmwareError, match="no memory at 0x70000000"):
        machine.write(0x7000_0000, b"1234")


def test_a_trap_is_told(machine: Machine) -> None:
    with pytest.raises(FirmwareError, match="exception"):
        machine.call("trap")
    assert machine.call("add", [2, 2]).result == 4  # and the machine is still usable


def test_no_end_is_told(machine: Machine) -> None:
    with pytest.raises(FirmwareError, match=r"had not returned after 0\.2 s"):
        machine.call("forever", limit_s=0.2)
    with pytest.raises(FirmwareError, match="had not returned"):
        machine.call("forever", count=True, limit_s=0.2)


def test_a_core_without_an_instruction_refuses_it(machine: Machine) -> None:
    run = machine.call("real", [1], count=True)
    with pytest.raises(FirmwareError, match="needs fpu, which cortex-m3 has not"):
        Pricer(machine, timing_of("cortex-m3")).profile(run)
    with pytest.raises(FirmwareError, match="needs fpu, thumb2, which cortex-m0plus has not"):
        Pricer(machine, timing_of("cortex-m0plus")).profile(run)


def test_arguments_that_do_not_fit_are_refused() -> None:
    machine = build(add=PROGRAM["add"])
    first = machine.allocate(10)
    assert machine.allocate(1) == first + 32
    with pytest.raises(UsageError, match="do not fit"):
        machine.allocate(1 << 30)


def test_a_missing_function_is_refused(machine: Machine) -> None:
    with pytest.raises(UsageError, match="no symbol 'subtract'"):
        machine.call("subtract")


@pytest.mark.parametrize("package", ["unicorn", "capstone"])
def test_a_missing_package_says_what_to_install(
    package: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from budget.core.timing import instruction

    instruction._disassembler.cache_clear()
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingToolError, match=package) as caught:
        Machine(machine.elf)
        instruction.decode(b"\0\0", CODE)
    assert "mcu-budget[measure]" in caught.value.hint


def test_counts_without_the_inside_of_the_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the emulator's binding change its inside, its public interface does as well."""
    from budget.core import machine as module

    quick = build(**PROGRAM)
    expected = quick.call("loop", [9], count=True).scopes
    monkeypatch.setattr(module, "_library", lambda: None)
    plain = build(**PROGRAM)
    assert plain.call("loop", [9], count=True).scopes == expected
    assert instructions(plain, "parity", 10) == 1 + 6 * 10 + 2
