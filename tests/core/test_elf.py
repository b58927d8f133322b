"""The ELF loader against a file made by hand, damage, and the Arm binutils."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hand_elf import CODE, DATA, elf

from budget.core.elf import load_elf
from budget.errors import ModelError, UsageError

CODE_BYTES = bytes.fromhex("0120704702207047")  # movs r0, #1; bx lr; movs r0, #2; bx lr
FILE = elf(CODE_BYTES, {"one": 0, "two": 4}, b"\1\2\3\4", 16)


def test_segments_sections_and_symbols() -> None:
    program = load_elf(FILE, "hand")
    assert [(s.address, s.size_bytes, s.writable) for s in program.segments] == [
        (CODE, 8, False),
        (DATA, 20, True),
    ]
    assert program.segments[1].load_address == CODE + 8
    assert {s.name: (s.size_bytes, s.memory) for s in program.sections} == {
        ".text": (8, "code"),
        ".data": (4, "data"),
        ".bss": (16, "bss"),
    }
    assert program.flash_bytes == 12
    assert program.ram_bytes == 20
    assert program.symbol("two").address == CODE + 4
    assert not program.symbol("values").is_function


def test_the_owner_of_an_address() -> None:
    program = load_elf(FILE)
    owners = [program.owner(CODE + offset) for offset in (0, 3, 4, 7, 8)]
    assert [owner.name if owner else None for owner in owners] == ["one", "one", "two", "two", None]
    assert program.owner(4) is None


def test_a_missing_symbol_shows_what_there_is() -> None:
    with pytest.raises(UsageError, match="no symbol 'three'") as caught:
        load_elf(FILE).symbol("three")
    assert "one, two" in caught.value.hint


def test_other_files_are_refused() -> None:
    with pytest.raises(ModelError, match="no ELF file"):
        load_elf(b"TFL3" * 20)
    for offset, value in ((4, 2), (5, 2), (16, 1), (18, 62)):  # 64 bits, big endian, object, x86
        changed = bytearray(FILE)
        changed[offset] = value
        with pytest.raises(ModelError, match="linked 32-bit little-endian Arm"):
            load_elf(bytes(changed))


def test_damage_is_told_and_never_crashes() -> None:
    for length in range(4, len(FILE) - 40, 3):
        with pytest.raises(ModelError):
            load_elf(FILE[:length])
    generator = np.random.default_rng(1)
    for _ in range(3000):
        changed = bytearray(FILE)
        for place in generator.integers(4, len(FILE), 3):
            changed[place] = generator.integers(256)
        try:
            load_elf(bytes(changed)).owner(CODE)
        except ModelError:
            continue


@pytest.mark.tool("arm-none-eabi-gcc")
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no Arm compiler")
def test_agrees_with_binutils(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(
        "const int table[50] = {1}; int set[7] = {2}; static char zero[123];\n"
        "static int twice(int x) { return 2 * x; }\n"
        "int work(int x) { zero[x & 7] = 1; return twice(x) + set[x & 3] + table[x & 3]; }\n"
        "void _start(void) { work(1); }\n"
    )
    flags = ["-mcpu=cortex-m4", "-mthumb", "-O0", "-nostdlib", "-ffreestanding"]
    subprocess.run(["arm-none-eabi-gcc", *flags, "a.c", "-o", "a.elf"], cwd=tmp_path, check=True)
    program = load_elf((tmp_path / "a.elf").read_bytes(), "a.elf")
    names = subprocess.check_output(["arm-none-eabi-nm", "-S", "a.elf"], cwd=tmp_path, text=True)
    rows = [line.split() for line in names.splitlines() if len(line.split()) == 4]
    theirs = {name: (int(address, 16), int(size, 16)) for address, size, _, name in rows}
    ours = {name: (s.address, s.size_bytes) for name, s in program.symbols.items()}
    assert {n: ours[n] for n in theirs} == theirs
    sizes = subprocess.check_output(["arm-none-eabi-size", "a.elf"], cwd=tmp_path, text=True)
    text, data, bss = map(int, sizes.splitlines()[1].split()[:3])
    assert program.flash_bytes == text + data
    assert program.ram_bytes == data + bss
