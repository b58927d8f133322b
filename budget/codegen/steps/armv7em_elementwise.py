"""Sums and averages on cores with the DSP extension."""

from __future__ import annotations

import numpy as np

from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.armv7em_assembly import Ending, naked_function, with_plain_c
from budget.codegen.steps.armv7em_convolution import ending_of
from budget.codegen.steps.linear import bounds
from budget.graph import QuantParams, TensorType
from budget.ops.fixed_point import multiply_twice_rounded, quantize_multiplier
from budget.plan.variants import sum_multiplier

_PARAMETERS = (
    "const int8_t *a",
    "const int8_t *b",
    "const int32_t *table",
    "int8_t *y",
    "int32_t fours",
)


def write_add(context: StepContext) -> StepCode:
    """The operand with the larger scale is shifted by 19 bits, the other one looked up.

    Both are brought to 2^20 / (twice the larger scale): for the larger one that is 2^19.
    """
    scales = [float(_quant(context.type(index)).scale[0]) for index in (0, 1)]
    large, small = (0, 1) if scales[0] >= scales[1] else (1, 0)
    large_quant, small_quant = _quant(context.type(large)), _quant(context.type(small))
    y = context.output_type()
    twice_largest = 2 * scales[large]
    stored = np.concatenate([np.arange(128), np.arange(-128, 0)])
    shifted = (stored - int(small_quant.zero_point[0])) << 20
    table = multiply_twice_rounded(shifted, *quantize_multiplier(scales[small] / twice_largest))
    table = table - (int(large_quant.zero_point[0]) << 19)
    q, shift = sum_multiplier(large_quant, small_quant, _quant(y))
    ending = ending_of(context)
    twice, power = _signed(2 * q), 1 << (32 - shift)
    name = f"add_{_digits(twice)}_{power}_{ending.name}"
    arguments = [
        context.operand(large),
        context.operand(small),
        context.table("sums", "int32_t", table, "the operand of smaller scale, scaled"),
        "y0",
        name,
        y.element_count,
        twice,
        power,
        ending.arguments,
    ]
    code = context.code("armv7em_add_s8.h", f"armv7em_add_s8({', '.join(map(str, arguments))});")
    return StepCode(
        code.kernels, code.statements, code.tables, (_function(name, twice, power, ending),)
    )


def write_average_pool(context: StepContext) -> StepCode:
    """Averages of four channels at a time."""
    attributes, padding = context.attributes, context.attributes.padding
    return context.call(
        "armv7em_pool_s8.h",
        "armv7em_average_pool_2d_s8",
        context.operand(0),
        "y0",
        *context.type(0).shape,
        *context.output_type().shape[1:3],
        *attributes.filter,
        *attributes.stride,
        padding.top,
        padding.left,
        *bounds(context),
    )


def _quant(type: TensorType) -> QuantParams:
    assert type.quant is not None  # the choice of the variant has looked
    return type.quant


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


def _digits(number: int) -> str:
    return f"m{-number}" if number < 0 else str(number)


def _function(name: str, twice: int, power: int, ending: Ending) -> str:
    plain = (
        f"static void {name}(\n    {', '.join(_PARAMETERS)})\n{{\n"
        f"    armv7em_add_plain_s8(\n        a, b, table, y, 4 * fours, {twice}, {power}, "
        f"{ending.arguments});\n}}"
    )
    sums = ("r9", "r10", "r11", "r12")
    lines = [
        "push {r4-r11, lr}",
        "ldr r7, [sp, #36]",
        "add r7, r0, r7, lsl #2",
        *_constant("r4", twice),
        *_constant("r5", power),
        f"mov r6, #{ending.zero_out}",
        "1:",
        "ldr r8, [r0], #4",
        "ldr r12, [r1], #4",
        "uxtb r9, r12",
        "uxtb r10, r12, ror #8",
        "uxtb r11, r12, ror #16",
        "lsr r12, r12, #24",
        *(f"ldr {r}, [r2, {r}, lsl #2]" for r in sums),
    ]
    for place, register in enumerate(sums):
        turn = f", ror #{8 * place}" if place else ""
        lines += [f"sxtb lr, r8{turn}", f"add {register}, {register}, lr, lsl #19"]
    lines += [
        *ending.high_words(sums, "r4"),
        *ending.round_away(sums),
        *ending.shift(sums, "r5", "r6"),
        *ending.clamp(sums),
        "strb r10, [r3, #1]",
        "strb r11, [r3, #2]",
        "strb r12, [r3, #3]",
        "strb r9, [r3], #4",
        "cmp r0, r7",
        "bne 1b",
        "pop {r4-r11, pc}",
    ]
    return with_plain_c(naked_function(name, _PARAMETERS, lines), plain)


def _constant(register: str, value: int) -> list[str]:
    return [
        f"movw {register}, #{value & 0xFFFF}",
        f"movt {register}, #{value >> 16 & 0xFFFF}",
    ]
