"""Counts instructions of a function under QEMU's `-icount`, a witness that shares no code.

The program measures itself on mps2-an386: a CMSDK timer at 25 MHz is read around the call; with
`shift=6` every instruction takes 64 ns, so that ticks tell instructions.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

FLAGS = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-std=c99"]

SCRIPT = """
MEMORY { CODE (rx) : ORIGIN = 0, LENGTH = 4M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
    .text : { KEEP(*(.vectors)) *(.text .text.*) *(.rodata .rodata.*) } > CODE
    .ARM.exidx : { *(.ARM.exidx .ARM.exidx.*) } > CODE
    .data : { data_start = .; *(.data .data.*) data_end = .; } > RAM AT > CODE
    data_stored = LOADADDR(.data);
    .bss (NOLOAD) : { bss_start = .; *(.bss .bss.* COMMON) bss_end = .; } > RAM
    end = .;
}
"""

START = """
#include <stdint.h>
extern char data_start[], data_end[], data_stored[], bss_start[], bss_end[];
extern void prepare(void);
extern int work(void);
static volatile uint32_t *const timer = (uint32_t *)0x40000000;

int __attribute__((naked, noinline)) nothing(void) { __asm__("movs r0, #0; bx lr"); }

static uint32_t __attribute__((noinline)) ticks_of(int (*call)(void))
{
    uint32_t before = timer[1];
    (void)call();
    return before - timer[1];
}

static void semihost(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(uint32_t value)
{
    static char text[10];
    for (int i = 0; i < 8; i++) { text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15]; }
    text[8] = '\\n';
    semihost(4, text);
}

void reset(void)
{
    for (char *to = data_start, *from = data_stored; to < data_end;) { *to++ = *from++; }
    for (char *to = bss_start; to < bss_end;) { *to++ = 0; }
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* floating-point unit on */
    timer[2] = 0xFFFFFFFF;
    timer[1] = 0xFFFFFFFF;
    timer[0] = 1;
    prepare();
    print(ticks_of(nothing));
    print(ticks_of(work));
    semihost(0x18, (const void *)0x20026);
    for (;;) { }
}

__attribute__((section(".vectors"), used)) static const void *vectors[16] = {
    (void *)0x20400000, (void *)reset, (void *)reset, (void *)reset };
"""


def require_tools() -> None:
    """Skips where QEMU or the Arm compiler is absent."""
    for tool in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def link(folder: Path, sources: Mapping[str, bytes], flags: Sequence[str] = ("-O2",)) -> Path:
    """A program with `prepare` and `work`, and what QEMU needs around them."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in {
        **sources,
        "start.c": START.encode(),
        "an386.ld": SCRIPT.encode(),
    }.items():
        (folder / path).write_bytes(content)
    units = [path for path in (*sources, "start.c") if path.endswith(".c")]
    command = ["arm-none-eabi-gcc", *FLAGS, *flags, "-nostartfiles", "-T", "an386.ld", "-I."]
    command += [*units, "-o", "program.elf", "-lm", "-lc", "-lgcc", "-lnosys", "-Wl,-e,reset"]
    subprocess.run([*command, "-Wl,--no-warn-rwx-segments"], cwd=folder, check=True)
    return folder / "program.elf"


def harness(name: str, inputs: int, outputs: int) -> bytes:
    """`prepare` and `work` for emitted C with one input and one output, of so many bytes."""
    return f"""
#include <stdint.h>
#include "{name}.h"
static union {{ int8_t bytes[{inputs}]; int64_t align; }} in;
static union {{ int8_t bytes[{outputs}]; int64_t align; }} out;
void prepare(void)
{{
    uint32_t state = 1;
    for (int i = 0; i < {inputs}; i++) {{
        state = state * 1664525u + 1013904223u;
        in.bytes[i] = (int8_t)(state >> 24);
    }}
    {name}_init();
}}
int work(void) {{ return {name}_invoke((const void *)in.bytes, (void *)out.bytes); }}
""".encode()


def instructions(program: Path) -> int:
    """Instructions that one call of `work` executes, exact to about one."""
    command = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none"]
    command += ["-serial", "none", "-icount", "shift=6,sleep=off"]
    command += ["-semihosting-config", "enable=on,target=native", "-kernel", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    nothing, work = (int(line, 16) for line in (done.stdout + done.stderr).split()[:2])
    return round((work - nothing) * 40 / 64) + 2  # `nothing` is two instructions
