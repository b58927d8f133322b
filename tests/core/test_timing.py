"""Cycles of short runs of code, counted by hand from the reference manuals' tables.

The machine code is written down, so that no assembler is needed; where one is installed, it must
agree with the text beside each.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("capstone")

from budget.core.timing import CORES, timing_of
from budget.core.timing.instruction import Kind, decode
from budget.errors import UsageError

M4 = {
    "alu": ("401848404ff00502", "adds r0, r0, r1; eors r0, r1; mov.w r2, #5", 3),
    "multiplies": (
        "01fb02f001fb023082fb0301e2fb030121fb0230c2fbc30151fb12f0",
        "mul r0, r1, r2; mla r0, r1, r2, r3; smull r0, r1, r2, r3; "
        "umlal r0, r1, r2, r3; smlad r0, r1, r2, r3; smlald r0, r1, r2, r3; smmulr r0, r1, r2",
        7,
    ),
    "divide": ("91fbf2f0b1fbf2f0", "sdiv r0, r1, r2; udiv r0, r1, r2", 14),
    "lone load": ("0868d218", "ldr r0, [r1]; adds r2, r2, r3", 3),
    "two loads": ("08681a68", "ldr r0, [r1]; ldr r2, [r3]", 3),
    "three loads": ("485911685a68", "ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),
    "dependent load": ("08680268", "ldr r0, [r1]; ldr r2, [r0]", 4),
    "load then store": ("88585861", "ldr r0, [r1, r2]; str r0, [r3, #20]", 3),
    "load then indexed store": ("88589950", "ldr r0, [r1, r2]; str r1, [r3, r2]", 3),
    "store": ("4860d218", "str r0, [r1, #4]; adds r2, r2, r3", 2),
    "indexed store": ("8850d218", "str r0, [r1, r2]; adds r2, r2, r3", 3),
    "load after store": ("48601a68", "str r0, [r1, #4]; ldr r2, [r3]", 3),
    "pairs of words": ("d2e90001c2e90001", "ldrd r0, r1, [r2]; strd r0, r1, [r2]", 6),
    "load after pair": ("d2e900012368", "ldrd r0, r1, [r2]; ldr r3, [r4]", 5),
    "multiple": (
        "0ec80ec030b430bc",
        "ldmia r0!, {r1, r2, r3}; stmia r0!, {r1, r2, r3}; push {r4, r5}; pop {r4, r5}",
        14,
    ),
    "address from arithmetic": ("89180868", "adds r1, r1, r2; ldr r0, [r1]", 4),
    "address not from it": ("9b180868", "adds r3, r3, r2; ldr r0, [r1]", 3),
    "value stored from arithmetic": ("80180860", "adds r0, r0, r2; str r0, [r1]", 2),
    "base updated by load": ("51f8040b51f8042b", "ldr r0, [r1], #4; ldr r2, [r1], #4", 3),
    "folded IT": ("884208bf0846", "cmp r0, r1; it eq; moveq r0, r1", 2),
    "IT after a wide instruction": ("b0eb010f08bf0846", "cmp.w r0, r1; it eq; moveq r0, r1", 3),
    "skipped in IT": (
        "012000280cbf11461946",
        "movs r0, #1; cmp r0, #0; ite eq; moveq r1, r2; movne r1, r3",
        4,
    ),
    "return": ("7047", "bx lr", 3),
    "call": ("00f030f8", "bl .+100", 3),
    "jump": ("30e0", "b .+100", 3),
    "pop into pc": ("10bd", "pop {r4, pc}", 5),
    "load into pc": ("d0f800f0", "ldr pc, [r0]", 5),
    "table branch": ("dfe800f0", "tbb [pc, r0]", 6),
    "float arithmetic": (
        "30ee810a62ee221a33eec43a",
        "vadd.f32 s0, s1, s2; vmul.f32 s3, s4, s5; vsub.f32 s6, s7, s8",
        3,
    ),
    "float result used at once": (
        "30ee810a60ee221a",
        "vadd.f32 s0, s1, s2; vmul.f32 s3, s0, s5",
        3,
    ),
    "float result as addend": ("20ee810aa2ee220a", "vmul.f32 s0, s1, s2; vfma.f32 s0, s4, s5", 4),
    "multiply-add": ("a0ee810a42ee221a", "vfma.f32 s0, s1, s2; vmla.f32 s3, s4, s5", 6),
    "float divide and root": ("80ee810af1eec21a", "vdiv.f32 s0, s1, s2; vsqrt.f32 s3, s4", 28),
    "float loads": ("90ed000ad1ed000a82ed001a", "vldr s0, [r0]; vldr s1, [r1]; vstr s2, [r2]", 4),
    "float double word": ("90ed000b", "vldr d0, [r0]", 3),
    "float multiple": ("b0ec040a2ded028b", "vldmia r0!, {s0-s3}; vpush {d8}", 8),
    "moves between units": (
        "10ee100a00ee901af1ee10fa",
        "vmov r0, s0; vmov s1, r1; vmrs APSR_nzcv, fpscr",
        3,
    ),
}
M3 = {
    "multiplies": (
        "01fb02f001fb023001fb123082fb0301c2fb0301",
        "mul r0, r1, r2; mla r0, r1, r2, r3; "
        "mls r0, r1, r2, r3; smull r0, r1, r2, r3; smlal r0, r1, r2, r3",
        15,
    ),
    "two loads": ("08681a68", "ldr r0, [r1]; ldr r2, [r3]", 3),
    "divide": ("91fbf2f0", "sdiv r0, r1, r2", 7),
}
M0PLUS = {
    "loads do not overlap": ("08681a68", "ldr r0, [r1]; ldr r2, [r3]", 4),
    "store": ("4860", "str r0, [r1, #4]", 2),
    "multiply": ("4843", "muls r0, r1, r0", 1),
    "push and pop": ("30b430bc", "push {r4, r5}; pop {r4, r5}", 6),
    "pop into pc": ("10bd", "pop {r4, pc}", 5),
    "call": ("00f030f8", "bl .+100", 3),
    "return": ("7047", "bx lr", 2),
    "indirect call": ("9847", "blx r3", 2),
    "jump": ("30e0", "b .+100", 2),
    "barrier": ("bff35f8f", "dmb", 3),
    "address from arithmetic": ("89180868", "adds r1, r1, r2; ldr r0, [r1]", 3),
}

CASES = [
    (core, name, *row)
    for core, table in (("cortex-m4", M4), ("cortex-m3", M3), ("cortex-m0plus", M0PLUS))
    for name, row in table.items()
]
NAMES = [f"{core}: {name}" for core, name, *_ in CASES]


@pytest.mark.parametrize(("core", "name", "code", "text", "cycles"), CASES, ids=NAMES)
def test_cycles_by_hand(core: str, name: str, code: str, text: str, cycles: int) -> None:
    block = decode(bytes.fromhex(code), 0x0800_0000)
    assert len(block) == text.count(";") + 1
    assert timing_of(core).price(block, None).cycles == cycles


@pytest.mark.skipif(shutil.which("arm-none-eabi-as") is None, reason="no Arm assembler")
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m3", "cortex-m0plus"])
def test_the_machine_code_is_what_the_text_says(core: str, tmp_path: Path) -> None:
    rows = [(code, text) for of, _, code, text, _ in CASES if of == core]
    parts = "\n".join(
        f".section s{i}\n{text.replace(';', chr(10))}" for i, (_, text) in enumerate(rows)
    )
    (tmp_path / "all.s").write_text(f".syntax unified\n.thumb\n{parts}\n")
    floats = ["-mfpu=fpv4-sp-d16"] if core == "cortex-m4" else []
    assemble = ["arm-none-eabi-as", f"-mcpu={core}", *floats, "all.s", "-o", "all.o"]
    subprocess.run(assemble, cwd=tmp_path, check=True)
    for index, (code, _) in enumerate(rows):
        copy = ["arm-none-eabi-objcopy", "-O", "binary", "-j", f"s{index}"]
        copy += ["--set-section-flags", f"s{index}=alloc", "all.o", "one.bin"]
        subprocess.run(copy, cwd=tmp_path, check=True)
        assert (tmp_path / "one.bin").read_bytes().hex() == code


def test_a_conditional_branch_costs_more_when_taken() -> None:
    for core, taken in (("cortex-m4", 2), ("cortex-m3", 2), ("cortex-m0plus", 1)):
        price = timing_of(core).price(decode(bytes.fromhex("03d1"), 0), None)  # bne
        assert (price.cycles, price.taken_cycles) == (1, taken)
    price = timing_of("cortex-m4").price(decode(bytes.fromhex("00b1"), 0), None)  # cbz
    assert (price.cycles, price.taken_cycles) == (1, 2)


def test_a_load_overlaps_with_the_block_before_it() -> None:
    first, second = decode(bytes.fromhex("08681a68"), 0)  # ldr r0, [r1]; ldr r2, [r3]
    timing = timing_of("cortex-m4")
    assert timing.price([second], first).cycles == 1
    assert timing.price([second], None).cycles == 2


def test_stalls_are_told_apart() -> None:
    price = timing_of("cortex-m4").price(decode(bytes.fromhex("89180868"), 0), None)
    assert (price.cycles, price.stall_cycles) == (4, 1)  # adds r1, r1, r2; ldr r0, [r1]


def test_two_independent_neighbours_issue_together_on_cortex_m7() -> None:
    timing = timing_of("cortex-m7")
    for code, cycles in (
        ("4018521c", 1),  # adds r0, r0, r1; adds r2, r2, #1
        ("4018401c", 2),  # adds r0, r0, r1; adds r0, r0, #1
        ("08681a68", 1),  # ldr r0, [r1]; ldr r2, [r3]
        ("08684018", 3),  # ldr r0, [r1]; adds r0, r0, r1: the result is a cycle late
        ("00fb01f002fb03f2", 2),  # mul r0, r0, r1; mul r2, r2, r3: one multiplier
        ("08601a60", 2),  # str r0, [r1]; str r2, [r3]
    ):
        assert timing.price(decode(bytes.fromhex(code), 0), None).cycles == cycles, code


def test_only_narrow_neighbours_issue_together_on_cortex_m33() -> None:
    timing = timing_of("cortex-m33")
    assert timing.price(decode(bytes.fromhex("4018521c"), 0), None).cycles == 1
    assert timing.price(decode(bytes.fromhex("00eb010002f10102"), 0), None).cycles == 2
    assert timing.price(decode(bytes.fromhex("08681a68"), 0), None).cycles == 2  # two loads


def test_decoding_tells_what_an_instruction_needs() -> None:
    for code, needs in (
        ("4018", set()),  # adds
        ("00f000f8", set()),  # bl
        ("4ff00502", {"thumb2"}),  # mov.w
        ("00b1", {"thumb2"}),  # cbz
        ("21fb0230", {"thumb2", "dsp"}),  # smlad
        ("2ffa81f0", {"thumb2", "dsp"}),  # sxtb16
        ("c0fb0201", {"thumb2"}),  # smlal: plain Armv7-M has it
        ("30ee810a", {"thumb2", "fpu"}),  # vadd.f32
        ("30ee010b", {"thumb2", "fpu", "fpu-dp"}),  # vadd.f64
    ):
        (instruction,) = decode(bytes.fromhex(code), 0)
        assert instruction.needs == needs, instruction.text


def test_every_core_prices_every_kind() -> None:
    for core in CORES:
        timing = timing_of(core)
        tables = [timing.table] if hasattr(timing, "table") else [timing.issue, timing.latency]
        assert all(set(table) == set(Kind) for table in tables)
        assert re.search(r"ARM DDI|assumed", timing.source)


def test_an_unknown_core_is_refused() -> None:
    with pytest.raises(UsageError, match="cortex-m99"):
        timing_of("cortex-m99")
