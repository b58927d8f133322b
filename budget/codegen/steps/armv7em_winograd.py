"""Winograd's F(4 x 4, 3 x 3) in exact integers, on cores with the DSP extension.

A tile of 6 x 6 pixels becomes 36 numbers (pairs of channels in a word), each multiplied by the
transformed weights of its place, and 16 outputs come back: V = B' d B, U = G g G', Y = A' (U V) A.
G is scaled by 24 so that it is integer (its last row by 3, the 8 goes into A), hence Y by 576.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.armv7em_assembly import naked_function, with_plain_c
from budget.codegen.steps.armv7em_tiles import (
    IN_PARAMETERS,
    OUT_PARAMETERS,
    Frame,
    Tiles,
    begin,
    end,
    plus,
    sum_places,
    write_tiles,
)

_WEIGHTS: NDArray[np.int64] = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 3]]
)
_INVERSE_OF_9 = 0x38E38E39


def write_winograd(context: StepContext) -> StepCode:
    """3 x 3 windows at stride 1 over images of whole tiles."""
    return write_tiles(context, 4, _WEIGHTS, "armv7em_winograd_s8.h", (_in_function, _out_function))


def _in_function(tiles: Tiles) -> str:
    plain = (
        f"static void {tiles.in_name}({', '.join(IN_PARAMETERS)})\n{{\n"
        f"    armv7em_tile_in_s8(\n        rows, tiles, fours, {tiles.row_bytes}, {tiles.in_c}, 6, "
        f"armv7em_winograd_in_line);\n}}"
    )
    # the transformed columns of a tile lie on the stack, [6][6]
    lines = ["push {r4-r11, lr}", "sub sp, #164", "str r2, [sp, #156]", "1:"]
    for parity in (0, 1):
        lines += _in_pair(tiles, parity)
    lines += [
        f"add r1, #{8}",
        "ldr r2, [sp, #156]",
        "add r0, #4",
        "subs r2, #1",
        "str r2, [sp, #156]",
        "bne.w 1b",
        "add sp, #164",
        "pop {r4-r11, pc}",
    ]
    return with_plain_c(naked_function(tiles.in_name, IN_PARAMETERS, lines), plain)


def _in_pair(tiles: Tiles, parity: int) -> list[str]:
    """Two channels: columns to the stack, then rows to their places."""
    turn = ", ror #8" if parity else ""
    data = [f"r{3 + i}" for i in range(6)]
    lines = ["mov lr, sp", "add r2, sp, #24", "str r0, [sp, #148]", "2:"]
    for _ in range(2):
        loads = [f"ldr {data[i]}, [r0, #{i * tiles.row_bytes}]" for i in range(1, 6)]
        lines += [*loads, f"ldr r3, [r0], #{tiles.in_c}"]
        lines += [f"sxtb16 {r}, {r}{turn}" for r in data]
        lines += _in_line(data, [f"[lr, #{24 * i}]" for i in range(6)], "[lr], #4")
    lines += ["cmp lr, r2", "bne 2b", "str r1, [sp, #152]", "mov lr, sp", "add r2, sp, #144", "3:"]
    step = 4 * tiles.in_c
    for _ in range(2):
        lines += [f"ldr {data[i]}, [lr, #{4 * i}]" for i in range(1, 6)]
        lines += ["ldr r3, [lr], #24"]
        lines += _in_line(data, [f"[r1, #{step * i}]" for i in range(6)], "[r1]")
        lines += [f"add r1, #{6 * step}"]
    after = "ldr r1, [sp, #152]"
    lines += ["cmp lr, r2", "bne 3b", "ldr r0, [sp, #148]", after]
    return [*lines, "add r1, #8"] if not parity else lines


def _in_line(d: list[str], places: list[str], last: str) -> list[str]:
    """One direction of the transform: 22 operations on pairs of 16-bit numbers."""
    return [
        f"ssub16 r9, {d[4]}, {d[2]}",
        f"ssub16 r10, {d[3]}, {d[1]}",
        "sadd16 r10, r10, r10",
        "sadd16 r11, r9, r10",
        "ssub16 r12, r9, r10",
        f"str r11, {places[3]}",
        f"str r12, {places[4]}",
        "sadd16 r10, r10, r10",
        f"ssub16 r11, {d[5]}, {d[3]}",
        "ssub16 r11, r11, r10",
        f"str r11, {places[5]}",
        f"sadd16 r10, {d[1]}, {d[2]}",
        "sadd16 r10, r10, r10",
        "sadd16 r10, r10, r10",
        f"sadd16 r11, {d[3]}, {d[4]}",
        "ssub16 r11, r11, r10",
        f"str r11, {places[1]}",
        f"ssub16 r10, {d[1]}, {d[2]}",
        "sadd16 r10, r10, r10",
        "sadd16 r10, r10, r10",
        f"ssub16 r11, {d[4]}, {d[3]}",
        "sadd16 r11, r11, r10",
        f"str r11, {places[2]}",
        f"ssub16 r10, {d[0]}, {d[2]}",
        "sadd16 r10, r10, r10",
        "sadd16 r10, r10, r10",
        "sadd16 r10, r10, r9",
        f"str r10, {last}",
    ]


def _out_function(tiles: Tiles) -> str:
    numbers = f"{tiles.in_c}, {tiles.out_w}, {tiles.out_c}, {tiles.ending.arguments}"
    plain = (
        f"static void {tiles.out_name}(\n    {', '.join(OUT_PARAMETERS)})\n{{\n    (void)sums;\n"
        f"    armv7em_winograd_out_s8(tiles, stream, y, fours, {numbers});\n}}"
    )
    return with_plain_c(naked_function(tiles.out_name, OUT_PARAMETERS, _out(tiles)), plain)


# Stack slots; [4][6] half transformed sums lie below them.
_TILES, _STREAM, _SUMS, _Y, _SUMS_END, _NEXT_SUM, _BIAS, _TWICE, _POWER, _NINTH, _TILE, _CHANNEL = (
    range(96, 144, 4)
)
_FRAME = Frame(_TILES, _SUMS, _Y, _SUMS_END, _NEXT_SUM, 144, 156)


def _out(tiles: Tiles) -> list[str]:
    """For every four channels: 36 places, two tiles; then back, one tile and channel at a time."""
    return [
        *begin(tiles, _FRAME),
        f"movw r2, #{_INVERSE_OF_9 & 0xFFFF}",
        f"movt r2, #{_INVERSE_OF_9 >> 16}",
        f"str r2, [sp, #{_NINTH}]",
        *sum_places(tiles, _FRAME),
        f"str r2, [sp, #{_CHANNEL}]",
        f"ldr r0, [sp, #{_SUMS}]",
        "3:",
        "ldm r1!, {r2-r4}",
        f"str r1, [sp, #{_STREAM}]",
        f"str r2, [sp, #{_BIAS}]",
        f"str r3, [sp, #{_TWICE}]",
        f"str r4, [sp, #{_POWER}]",
        "movs r2, #2",
        f"str r2, [sp, #{_TILE}]",
        f"ldr r1, [sp, #{_Y}]",
        "4:",
        *_back(tiles),
        # the other tile: four columns on, four rows back; its sums lie beside
        f"ldr r2, [sp, #{_TILE}]",
        *plus("r1", 4 * tiles.out_c - 4 * tiles.out_w * tiles.out_c),
        "sub r0, #188",
        "subs r2, #1",
        f"str r2, [sp, #{_TILE}]",
        "bne.w 4b",
        f"ldr r3, [sp, #{_Y}]",
        f"ldr r2, [sp, #{_CHANNEL}]",
        f"ldr r1, [sp, #{_STREAM}]",
        "add r3, #1",
        f"str r3, [sp, #{_Y}]",
        "subs r2, #1",
        f"str r2, [sp, #{_CHANNEL}]",
        "bne.w 3b",
        *end(_FRAME),
    ]


def _back(tiles: Tiles) -> list[str]:
    """The sums of a tile, r0, become 16 outputs, r1: columns first, then row by row."""
    ending = tiles.ending
    lines = ["mov lr, sp", "add r12, sp, #24", "5:"]
    for _ in range(2):
        lines += [f"ldr r{2 + i}, [r0, #{192 * i}]" for i in range(1, 6)]
        lines += ["ldr r2, [r0], #32", *_out_line()]
        lines += [f"str r{2 + i}, [lr, #{24 * i}]" for i in range(1, 4)]
        lines += ["str r2, [lr], #4"]
    lines += ["cmp lr, r12", "bne 5b", "mov lr, sp", "add r12, sp, #96", "6:"]
    results = ("r2", "r3", "r4", "r5")
    for _ in range(2):
        lines += [f"ldr r{2 + i}, [lr, #{4 * i}]" for i in range(1, 6)]
        lines += ["ldr r2, [lr], #24", *_out_line()]
        lines += [f"ldr r6, [sp, #{_NINTH}]", f"ldr r7, [sp, #{_BIAS}]"]
        lines += [f"ldr r8, [sp, #{_TWICE}]", f"ldr r9, [sp, #{_POWER}]"]
        lines += [f"mul {r}, {r}, r6" for r in results]
        lines += [f"add {r}, r7, {r}, asr #6" for r in results]
        lines += [*ending.high_words(results, "r8"), *ending.round_away(results)]
        lines += [f"mov r10, #{ending.zero_out}", *ending.shift(results, "r9", "r10")]
        lines += ending.clamp(results)
        lines += [f"strb {r}, [r1, #{i * tiles.out_c}]" for i, r in enumerate(results)]
        lines += plus("r1", tiles.out_w * tiles.out_c)
    return [*lines, "cmp lr, r12", "bne 6b"]


def _out_line() -> list[str]:
    """One direction back: r2 to r7 become r2 to r5."""
    return [
        "add r8, r3, r4",
        "sub r9, r3, r4",
        "add r10, r5, r6",
        "sub r11, r5, r6",
        "add r2, r2, r8",
        "add r2, r2, r10",
        "add r3, r9, r11, lsl #1",
        "add r4, r8, r10, lsl #2",
        "add r11, r11, r7",
        "add r5, r9, r11, lsl #3",
    ]
