"""Winograd's F(2 x 2, 3 x 3) in exact integers: 16 products make 4 outputs instead of 36.

A tile of 4 x 4 pixels becomes 16 numbers, each multiplied by the transformed weights of its place:
V = B' d B, U = G g G', Y = A' (U V) A. G is scaled by 2, hence Y by 4, which is shifted out before
the bias is added and the sum is scaled. It saves less than F(4 x 4) and takes less than half the
flash. Products are as in `armv7em_tiles`.
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

_WEIGHTS: NDArray[np.int64] = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])


def write_winograd2(context: StepContext) -> StepCode:
    """3 x 3 windows at stride 1 over images of whole tiles."""
    functions = (_in_function, _out_function)
    return write_tiles(context, 2, _WEIGHTS, "armv7em_winograd2_s8.h", functions)


def _in_function(tiles: Tiles) -> str:
    plain = (
        f"static void {tiles.in_name}({', '.join(IN_PARAMETERS)})\n{{\n"
        f"    armv7em_tile_in_s8(\n        rows, tiles, fours, {tiles.row_bytes}, {tiles.in_c}, 4, "
        f"armv7em_winograd2_in_line);\n}}"
    )
    lines = ["push {r4-r11, lr}", "sub sp, #4", "1:", "str r2, [sp]"]
    lines += [*_in_pair(tiles, 0), "add r1, #8", *_in_pair(tiles, 1), "add r1, #8"]
    lines += ["ldr r2, [sp]", "add r0, #4", "subs r2, #1", "bne.w 1b"]
    lines += ["add sp, #4", "pop {r4-r11, pc}"]
    return with_plain_c(naked_function(tiles.in_name, IN_PARAMETERS, lines), plain)


def _in_pair(tiles: Tiles, parity: int) -> list[str]:
    """Two channels of a tile: columns 2 and 0, then 1, then 3; each makes one column or two."""
    turn = ", ror #8" if parity else ""

    def load(registers: tuple[str, ...], column: int) -> list[str]:
        at = [f"[r0, #{i * tiles.row_bytes + column * tiles.in_c}]" for i in range(4)]
        loads = [f"ldr {r}, {place}" for r, place in zip(registers, at, strict=True)]
        return loads + [f"sxtb16 {r}, {r}{turn}" for r in registers]

    def store(h: tuple[str, ...], column: int) -> list[str]:
        """The other direction; h is used up."""
        place = [f"[r1, #{4 * tiles.in_c * (4 * i + column)}]" for i in range(4)]
        return [
            f"ssub16 {h[0]}, {h[0]}, {h[2]}",
            f"str {h[0]}, {place[0]}",
            f"sadd16 {h[0]}, {h[1]}, {h[2]}",
            f"str {h[0]}, {place[1]}",
            f"ssub16 {h[2]}, {h[2]}, {h[1]}",
            f"str {h[2]}, {place[2]}",
            f"ssub16 {h[1]}, {h[1]}, {h[3]}",
            f"str {h[1]}, {place[3]}",
        ]

    def combine(
        verb: str, out: tuple[str, ...], a: tuple[str, ...], b: tuple[str, ...]
    ) -> list[str]:
        return [f"{verb} {r}, {p}, {q}" for r, p, q in zip(out, a, b, strict=True)]

    first, second, third = (
        ("r2", "r3", "r4", "r5"),
        ("r6", "r7", "r8", "r9"),
        ("r10", "r11", "r12", "lr"),
    )
    lines = [*load(second, 2), *load(first, 0)]
    lines += [*combine("ssub16", first, first, second), *store(first, 0)]
    lines += load(third, 1)
    lines += [*combine("sadd16", first, third, second), *store(first, 1)]
    lines += [*combine("ssub16", second, second, third), *store(second, 2)]
    lines += load(first, 3)
    return [*lines, *combine("ssub16", third, third, first), *store(third, 3)]


def _out_function(tiles: Tiles) -> str:
    numbers = f"{tiles.in_c}, {tiles.out_w}, {tiles.out_c}, {tiles.ending.arguments}"
    plain = (
        f"static void {tiles.out_name}(\n    {', '.join(OUT_PARAMETERS)})\n{{\n    (void)sums;\n"
        f"    armv7em_winograd2_out_s8(tiles, stream, y, fours, {numbers});\n}}"
    )
    return with_plain_c(naked_function(tiles.out_name, OUT_PARAMETERS, _out(tiles)), plain)


# Stack slots; the last three words are those of a scale.
_TILES, _STREAM, _SUMS, _Y, _SUMS_END, _NEXT_SUM, _CHANNEL, _LOOP_END, _SCALES = range(0, 36, 4)
_FRAME = Frame(_TILES, _SUMS, _Y, _SUMS_END, _NEXT_SUM, _LOOP_END, 60)


def _out(tiles: Tiles) -> list[str]:
    """For every four channels: 16 places, two tiles; then back, channel by channel."""
    return [
        *begin(tiles, _FRAME),
        *sum_places(tiles, _FRAME),
        f"ldr r0, [sp, #{_SUMS}]",
        "3:",
        f"str r2, [sp, #{_CHANNEL}]",
        "ldm r1!, {r2-r4}",
        f"str r1, [sp, #{_STREAM}]",
        f"str r2, [sp, #{_SCALES}]",
        f"str r3, [sp, #{_SCALES + 4}]",
        f"str r4, [sp, #{_SCALES + 8}]",
        f"ldr r1, [sp, #{_Y}]",
        *_back(tiles, 0),
        *plus("r1", 2 * tiles.out_c - tiles.out_w * tiles.out_c),
        *_back(tiles, 1),
        f"ldr r3, [sp, #{_Y}]",
        f"ldr r2, [sp, #{_CHANNEL}]",
        f"ldr r1, [sp, #{_STREAM}]",
        "add r3, #1",
        f"str r3, [sp, #{_Y}]",
        "add r0, #8",
        "subs r2, #1",
        "bne.w 3b",
        *end(_FRAME),
    ]


def _back(tiles: Tiles, tile: int) -> list[str]:
    """Sixteen sums of a tile become four outputs; r1 ends in their second row."""
    ending = tiles.ending
    upper, lower = ("r2", "r3", "r4", "r5"), ("r6", "r7", "r8", "r9")
    lines = []
    for column in range(4):
        m = ("r10", "r11", "r12", "lr")
        at = [32 * (4 * row + column) + 4 * tile for row in range(4)]
        lines += [f"ldr {r}, [r0, #{place}]" for r, place in zip(m, at, strict=True)]
        lines += [
            f"add {upper[column]}, r10, r11",
            f"add {upper[column]}, {upper[column]}, r12",
            f"sub {lower[column]}, r11, r12",
            f"sub {lower[column]}, {lower[column]}, lr",
        ]
    for t in (upper, lower):
        lines += [f"add {t[0]}, {t[0]}, {t[1]}", f"add {t[0]}, {t[0]}, {t[2]}"]
        lines += [f"sub {t[1]}, {t[1]}, {t[2]}", f"sub {t[1]}, {t[1]}, {t[3]}"]
    results = (upper[0], upper[1], lower[0], lower[1])
    lines += [f"ldr r10, [sp, #{_SCALES}]", f"ldr r11, [sp, #{_SCALES + 4}]"]
    lines += [f"ldr r12, [sp, #{_SCALES + 8}]"]
    lines += [f"add {r}, r10, {r}, asr #2" for r in results]
    lines += [*ending.high_words(results, "r11"), *ending.round_away(results)]
    lines += [f"mov r10, #{ending.zero_out}", *ending.shift(results, "r12", "r10")]
    lines += ending.clamp(results)
    lines += [f"strb {upper[0]}, [r1]", f"strb {upper[1]}, [r1, #{tiles.out_c}]"]
    lines += plus("r1", tiles.out_w * tiles.out_c)
    return [*lines, f"strb {lower[0]}, [r1]", f"strb {lower[1]}, [r1, #{tiles.out_c}]"]
