"""Self-tests of emitted models as firmware for QEMU's Arm boards."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from host import WARNINGS, write

from budget.codegen import EmitOptions
from budget.plan.program import Program

START = """
extern int %(name)s_selftest(int (*put)(int));
extern unsigned int stack_top[];
int putchar(int);
void initialise_monitor_handles(void);
void exit(int);
extern unsigned int data_start[], data_end[], data_load[], bss_start[], bss_end[];
void reset(void);
void reset(void)
{
    unsigned int *from = data_load;
    for (unsigned int *to = data_start; to < data_end; to++) { *to = *from++; }
    for (unsigned int *to = bss_start; to < bss_end; to++) { *to = 0; }
    %(fpu)s
    initialise_monitor_handles();
    exit(%(name)s_selftest(putchar) == 0 ? 0 : 1);
}
void trap(void);
void trap(void) { for (;;) { } }
__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, (void *)reset, (void *)trap, (void *)trap, (void *)trap, (void *)trap,
};
"""
# full access to the floating point unit: coprocessors 10 and 11 of the access control register
FPU = '*(volatile unsigned int *)0xE000ED88u |= 0xFu << 20; __asm volatile("dsb\\n isb");'
LINK = """
MEMORY { code (rx) : ORIGIN = %(code)s, LENGTH = 4M
         ram (rwx) : ORIGIN = %(ram)s, LENGTH = 4M }
ENTRY(reset)
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*)
            *(.ARM.exidx* .ARM.extab*) . = ALIGN(8); } > code
  .data : { data_start = .; *(.data*) . = ALIGN(8); data_end = .; } > ram AT > code
  data_load = LOADADDR(.data);
  .bss (NOLOAD) : { bss_start = .; *(.bss*) *(COMMON) . = ALIGN(8); bss_end = .; end = .; } > ram
  stack_top = ORIGIN(ram) + LENGTH(ram);
}
"""


@dataclass(frozen=True)
class Board:
    """A machine of QEMU and how to compile for the core on it."""

    machine: str
    flags: tuple[str, ...]
    code: str = "0x00000000"
    ram: str = "0x20000000"

    @property
    def has_fpu(self) -> bool:
        return any("hard" in flag for flag in self.flags)


BOARDS = {
    "cortex-m0plus": Board("mps2-an385", ("-mcpu=cortex-m0plus",)),
    "cortex-m3": Board("mps2-an385", ("-mcpu=cortex-m3",)),
    "cortex-m4": Board("mps2-an386", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")),
    "cortex-m7": Board("mps2-an500", ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")),
    "cortex-m33": Board(
        "mps2-an505",
        ("-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        "0x10000000",
        "0x38000000",
    ),
}


def available() -> bool:
    """Whether compiler and emulator are there."""
    return bool(shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm"))


def build(program: Program, folder: Path, options: EmitOptions, board: Board) -> Path:
    """Compiles and links the emitted model, its self-test and the start code."""
    write(program, folder, options, selftest=True)
    name = options.name
    start, script, elf = folder / "start.c", folder / "link.ld", folder / "test.elf"
    start.write_text(START % {"name": name, "fpu": FPU if board.has_fpu else ""})
    script.write_text(LINK % {"code": board.code, "ram": board.ram})
    flags = [*board.flags, "-mthumb", "-O2", "-ffunction-sections", "-I", str(folder)]
    objects = []
    for source in (f"{name}.c", f"{name}_selftest.c", "start.c"):
        target = folder / f"{source}.o"
        strict = WARNINGS if source == f"{name}.c" else ["-std=gnu11"]
        compile_one = ["arm-none-eabi-gcc", *flags, *strict, "-c", str(folder / source)]
        done = subprocess.run([*compile_one, "-o", str(target)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:4000]
        objects.append(str(target))
    link = ["arm-none-eabi-gcc", *flags, "-nostartfiles", "--specs=rdimon.specs", "-T", str(script)]
    link += ["-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", "-o", str(elf), *objects]
    done = subprocess.run([*link, "-lm"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return elf


def selftest(elf: Path, board: Board) -> str:
    """Runs the firmware; its output, after it said that all is well."""
    command = ["qemu-system-arm", "-M", board.machine, "-nographic", "-kernel", str(elf)]
    command += ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout
