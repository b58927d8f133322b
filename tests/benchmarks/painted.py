"""Emitted programs in QEMU over painted memory: how deep the stack got, as hardware would show it.

Nothing is shared with the virtual core that the table of sizes was made on: another emulator, start
code and paint of their own, and the whole program linked as firmware is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from budget.codegen.emit import render_library
from budget.codegen.source import Source

CPU = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
START = """
#include <stdint.h>
#include <stdio.h>
#include "%(name)s.h"
#define ROOM 16384
void initialise_monitor_handles(void);
void exit(int);
extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];
%(buffers)s
static uint32_t *top;
__attribute__((noinline)) static void paint(uint32_t seed)
{
    uint32_t *here;
    __asm volatile("mov %%0, sp" : "=r"(here));
    for (uint32_t *p = top - ROOM / 4; p < here - 16; p++) {
        *p = (uint32_t)(uintptr_t)p * 2654435761u ^ seed;
    }
}
__attribute__((noinline)) static uint32_t mark(uint32_t seed)
{
    uint32_t *p = top - ROOM / 4;
    while (*p == ((uint32_t)(uintptr_t)p * 2654435761u ^ seed)) {
        p++;
    }
    return (uint32_t)((uintptr_t)top - (uintptr_t)p);
}
__attribute__((noinline)) static void run(void)
{
    uint32_t deepest = 0;
    for (uint32_t seed = 1; seed < 4; seed++) {
        __asm volatile("mov %%0, sp" : "=r"(top));
        paint(seed);
        %(call)s;
        const uint32_t found = mark(seed);
        deepest = found > deepest ? found : deepest;
    }
    printf("stack %%u\\n", (unsigned)deepest);
}
void reset(void);
void reset(void)
{
    uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++) { *to = *from++; }
    for (uint32_t *to = bss_start; to < bss_end; to++) { *to = 0; }
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm volatile("dsb\\n isb");
    initialise_monitor_handles();
    %(init)s;
    run();
    exit(0);
}
void trap(void);
void trap(void) { for (;;) { } }
__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, (void *)reset, (void *)trap, (void *)trap, (void *)trap, (void *)trap,
};
"""
LINK = """
MEMORY { code (rx) : ORIGIN = 0, LENGTH = 4M
         ram (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
ENTRY(reset)
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.ARM.*) . = ALIGN(8); } > code
  .data : { data_start = .; *(.data*) . = ALIGN(8); data_end = .; } > ram AT > code
  data_load = LOADADDR(.data);
  .bss (NOLOAD) : { bss_start = .; *(.bss*) *(COMMON) . = ALIGN(8); bss_end = .; end = .; } > ram
  stack_top = ORIGIN(ram) + LENGTH(ram);
}
"""


def available() -> bool:
    """Whether compiler and emulator are there."""
    return bool(shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm"))


def ram(source: Source) -> tuple[int, int]:
    """Bytes of the model's own variables, and of stack below the caller of NAME_invoke."""
    name = source.options.name
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for path, text in render_library(source).items():
            (folder / path).write_text(text)
        (folder / "start.c").write_text(_start(source))
        (folder / "link.ld").write_text(LINK)
        flags = [*CPU, source.options.compiler_flag, "-ffunction-sections", "-fdata-sections"]
        for unit, more in ((name, []), ("start", ["-O2", "-fno-builtin"])):
            _run(["arm-none-eabi-gcc", *flags, *more, "-c", f"{unit}.c"], folder)
        link = ["-nostartfiles", "--specs=nano.specs", "--specs=rdimon.specs", "-T", "link.ld"]
        link += ["-Wl,--gc-sections,--no-warn-rwx-segments", "-o", "firmware"]
        objects = [f"{name}.o", "start.o"]
        _run(["arm-none-eabi-gcc", *flags, *link, *objects, "-lm"], folder)
        sizes = _run(["arm-none-eabi-size", f"{name}.o"], folder).splitlines()[1].split()
        command = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-kernel", "firmware"]
        command += ["-semihosting-config", "enable=on,target=native"]
        printed = _run(command, folder)
    found = re.search(r"stack (\d+)", printed)
    assert found is not None, printed
    return int(sizes[1]) + int(sizes[2]), int(found[1])


def _start(source: Source) -> str:
    name, interface = source.options.name, source.interface
    buffers, arguments = [], []
    if source.options.arena == "caller":
        buffers.append(f"static {name}_context context;")
        arguments.append("&context")
    context = ", ".join(arguments)
    if source.options.io != "arena":
        for port in (*interface.inputs, *interface.outputs):
            buffers.append(f"static {port.c_type} {port.parameter}[{port.type.element_count}];")
            arguments.append(port.parameter)
    values = {
        "name": name,
        "buffers": "\n".join(buffers),
        "init": f"{name}_init({context})",
        "call": f"{name}_invoke({', '.join(arguments)})",
    }
    return START % values


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (command, done.stdout, done.stderr[:4000])
    return done.stdout
