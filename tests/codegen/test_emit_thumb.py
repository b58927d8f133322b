"""Sizes of assembly as computed, against what the assembler makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from budget.api.models import load, lower
from budget.codegen.emit import render_library
from budget.codegen.footprint import assembly
from budget.codegen.options import EmitOptions
from budget.codegen.source import write_steps
from budget.codegen.thumb import assembly_functions, code_bytes, stack_bytes
from budget.plan import plan
from budget.shrinking.quantize import quantize_int8, random_samples

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc"
)
FLAGS = ["-mcpu=cortex-m4", "-mthumb", "-O2"]


def assembled(folder: Path, text: str) -> dict[str, int]:
    """Bytes of every function, from the assembler's symbol table."""
    (folder / "m.c").write_text(text)
    subprocess.run(["arm-none-eabi-gcc", *FLAGS, "-c", "m.c"], cwd=folder, check=True)
    table = subprocess.run(
        ["arm-none-eabi-nm", "-S", "m.o"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in table.splitlines()]
    return {row[3].partition(".")[0]: int(row[1], 16) for row in rows if len(row) == 4}


@pytest.mark.parametrize("model", ["zoo:hotword", "zoo:ds_cnn?width=20", "zoo:resnet8"])
def test_kernels_written_for_a_layer(tmp_path: Path, model: str) -> None:
    graph = lower(load(model))
    if "?" in model or model == "zoo:resnet8":
        graph = quantize_int8(graph, random_samples(graph, 1))
    source = write_steps(plan(graph, target="cortex-m4"), EmitOptions("m", "cortex-m4"))
    for path, text in render_library(source).items():
        (tmp_path / path).write_text(text)
    found = assembled(tmp_path, (tmp_path / "m.c").read_text())
    computed = {n: size for n, (size, _) in assembly(source).items() if n in found}
    assert computed
    assert computed == {name: found[name] for name in computed}


LINES = """
mov r0, r9|mov r0, #3|movs r0, #3|movw r4, #320|movs r0, r1|add r4, r1|add r8, r9|add r2, r0, #96
adds r0, #255|adds r0, #256|adds r1, r2, #7|adds r1, r2, #8|sub r0, #4|subs r3, #1|sub sp, #44
add sp, #44|cmp r0, #255|cmp r0, r9|cmp r9, #1|ldr r0, [sp, #1020]|ldr r0, [sp, #1024]
ldr r9, [sp, #4]|ldr r0, [r1, #124]|ldr r0, [r1, #128]|ldr r0, [r1]|ldr r0, [r1, #4]!
ldr r0, [r1], #4|ldr r0, [r1, r2]|ldr r0, [r9, #4]|ldrh r0, [r1, #62]|ldrh r0, [r1, #64]
ldrb r0, [r1, #31]|ldrb r0, [r1, #32]|strb r0, [r1, #31]|strh r0, [r1, #62]|str r0, [r1, #120]
ldrsb r0, [r1, #1]|ldrsh r0, [r1, #2]|ldrd r0, r1, [r2]|smlad r0, r1, r2, r3|sxtb16 r0, r1
ssat r0, #8, r1|usat r0, #8, r1|pkhbt r0, r1, r2|mul r0, r1, r0|muls r0, r1, r0|mla r0, r1, r2, r3
smull r0, r1, r2, r3|lsls r0, r1, #3|lsl r0, r1, #3|asrs r0, r1, #3|asr r0, r0, r1|ands r0, r1
orr r0, r0, r1|orrs r0, r1|eors r0, r1|rsbs r0, r1, #0|sxtb r0, r1|sxth r8, r1|uxtb r0, r1
stmia r0!, {r1, r2}|ldmia r0!, {r1-r3}|ldmia r0, {r1-r3}|ldmia r9!, {r1-r3}|push {r4-r7, lr}
pop {r4-r7, pc}|push {r4-r11, lr}|pop {r4-r11, pc}|bx lr|nop|sub sp, sp, #8|add r0, r0, r1
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


def test_instruction_by_instruction(tmp_path: Path) -> None:
    functions = [
        f'__attribute__((naked)) void f{index}(void) {{ __asm__ volatile("{line}\\n"); }}'
        for index, line in enumerate(LINES)
    ]
    found = assembled(tmp_path, "\n".join(functions))
    expected = {line: found[f"f{index}"] for index, line in enumerate(LINES)}
    assert {line: code_bytes([line]) for line in LINES} == expected


@pytest.mark.parametrize("count", [1, 60, 61, 62, 63, 64, 200, 505, 520])
@pytest.mark.parametrize("branch", ["b", "bne", "bgt"])
def test_branches_near_and_far(tmp_path: Path, count: int, branch: str) -> None:
    body = ["1:", *["smlad r0, r1, r2, r3"] * count, f"{branch} 1b", f"{branch} 2f"]
    body += ["nop", "2:", "bx lr"]
    text = " ".join(f'"{line}\\n"' for line in body)
    code = f"__attribute__((naked)) void f(void) {{ __asm__ volatile({text}); }}"
    assert code_bytes(body) == assembled(tmp_path, code)["f"]


def test_repeated_blocks_and_stack() -> None:
    lines = ["push {r4-r6, lr}", "sub sp, #12", ".rept 3", "nop", ".endr", "bx lr"]
    text = "".join(f'        "{line}\\n"\n' for line in lines)
    function = f"static ARMV7EM_FUNCTION void f(int x)\n{{\n    __asm__ volatile(\n{text});\n}}\n"
    assert assembly_functions(function) == {"f": (2 + 2 + 3 * 2 + 2, 28)}
    assert stack_bytes(lines) == 28
    assert not re.search("f", " ".join(assembly_functions("static void f(void)\n{\n}\n")))
