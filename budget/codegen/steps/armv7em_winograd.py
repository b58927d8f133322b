"""Winograd's F(4 x 4, 3 x 3) in exact integers, on cores with the DSP extension.

A tile of 6 x 6 pixels becomes 36 numbers (pairs of channels in a word), each multiplied by the
transformed weights of its place, and 16 outputs come back: V = B' d B, U = G g G', Y = A' (U V) A.
G is scaled by 24 so that it is integer (its last row by 3, the 8 goes into A), hence Y by 576.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.armv7em_assembly import Ending, naked_function, with_plain_c
from budget.codegen.steps.armv7em_convolution import ending_of, folded_bias, scales_of
from budget.codegen.steps.armv7em_gemm import powers

_WEIGHTS: NDArray[np.int64] = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 3]]
)
_INVERSE_OF_9 = 0x38E38E39
_UNROLLED_STEPS = 15  # a pointer moves by less than 256 bytes at a time

IN_PARAMETERS = ("const int8_t *rows", "int32_t *tiles", "int32_t fours")
OUT_PARAMETERS = (
    "const int32_t *tiles",
    "const int32_t *stream",
    "int32_t *sums",
    "int8_t *y",
    "int32_t fours",
)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Shape of a convolution by tiles.

    Attributes:
        in_c: channels read.
        out_w: columns of the output.
        out_c: channels of the output.
        ending: of each sum.
        size: rows and columns of outputs that a tile makes.
    """

    in_c: int
    out_w: int
    out_c: int
    ending: Ending
    size: int = 4

    @property
    def row_bytes(self) -> int:
        """Of an image row with its padding."""
        return (self.out_w + 2) * self.in_c

    @property
    def in_name(self) -> str:
        """Name of the C function that transforms tiles."""
        return f"winograd{self.size}_in_{self.in_c}_{self.row_bytes}"

    @property
    def out_name(self) -> str:
        """Name of the C function that multiplies and transforms back."""
        return f"winograd{self.size}_out_{self.in_c}_{self.out_w}x{self.out_c}_{self.ending.name}"


def write_winograd(context: StepContext) -> StepCode:
    """3 x 3 windows at stride 1 over images of whole tiles."""
    x, y = context.type(0), context.output_type()
    _, out_h, out_w, out_c = y.shape
    tiles = Tiles(x.shape[3], out_w, out_c, ending_of(context))
    weights = context.constant(1).astype(np.int64)
    bias = folded_bias(context, weights.reshape(out_c, -1))
    words = stream(weights, bias, *scales_of(context, out_c), _WEIGHTS)
    table = context.table("stream", "int32_t", words, "transformed weights, biases, scales")
    padding = context.attributes.padding
    numbers = [*x.shape[1:], out_h, out_w, out_c, padding.top, padding.left, per_tensor(x)[1]]
    arguments = [context.operand(0), "y0", table, "s", tiles.in_name, tiles.out_name, *numbers, 4]
    text = f"armv7em_winograd_s8({', '.join(map(str, arguments))});"
    code = context.code("armv7em_winograd_s8.h", text)
    functions = (_in_function(tiles), _out_function(tiles))
    return StepCode(code.kernels, code.statements, code.tables, functions)


def stream(
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    multipliers: NDArray[np.int64],
    shifts: NDArray[np.int64],
    transform: NDArray[np.int64],
) -> NDArray[np.int32]:
    """For every four channels: [places][pairs of channels][4] words, then bias and scale of each.

    Args:
        weights: [out][3][3][in].
        bias: [out].
        multipliers: [out].
        shifts: [out], to the right.
        transform: of one direction of the weights, [rows of a tile][3].
    """
    channels, _, _, depth = weights.shape
    places = len(transform) ** 2
    spread = np.einsum("ai,oijc,bj->oabc", transform, weights, transform)
    # channels 0 and 2 of four share a word, and 1 and 3
    fours = spread.reshape(channels, places, depth // 4, 2, 2) & 0xFFFF
    pairs = (fours[..., 0, :] | fours[..., 1, :] << 16).reshape(channels, places, depth // 2)
    scales = np.stack([bias, 2 * multipliers, powers(multipliers, shifts)], 1)
    words: list[NDArray[np.int64]] = []
    for first in range(0, channels, 4):
        words += [pairs[first : first + 4].transpose(1, 2, 0).ravel()]
        words += [scales[first : first + 4].ravel()]
    return np.concatenate(words).astype(np.uint32).astype(np.int32)


def _in_function(tiles: Tiles) -> str:
    plain = (
        f"static void {tiles.in_name}({', '.join(IN_PARAMETERS)})\n{{\n"
        f"    armv7em_winograd_in_s8(rows, tiles, fours, {tiles.row_bytes}, {tiles.in_c});\n}}"
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


# Stack slots, in bytes; [4][6] half transformed sums lie below them.
_TILES, _STREAM, _SUMS, _Y, _SUMS_END, _NEXT_SUM, _BIAS, _TWICE, _POWER, _NINTH, _TILE, _CHANNEL = (
    range(96, 144, 4)
)
_LOOP_END = 144
_FRAME = 156  # with the nine registers pushed a multiple of 8
_FOURS = _FRAME + 36


def _out(tiles: Tiles) -> list[str]:
    """For every four channels: 36 places, two tiles; then back, one tile and channel at a time."""
    ending = tiles.ending
    lines = [
        "push {r4-r11, lr}",
        f"sub sp, #{_FRAME}",
        "sub r0, #4",
        "sub r1, #4",
        f"str r0, [sp, #{_TILES}]",
        f"str r2, [sp, #{_SUMS}]",
        f"str r3, [sp, #{_Y}]",
        f"add r2, #{36 * 32}",
        f"str r2, [sp, #{_SUMS_END}]",
        f"movw r2, #{_INVERSE_OF_9 & 0xFFFF}",
        f"movt r2, #{_INVERSE_OF_9 >> 16}",
        f"str r2, [sp, #{_NINTH}]",
        "1:",
        f"ldr r2, [sp, #{_SUMS}]",
        f"ldr r0, [sp, #{_TILES}]",
        f"str r2, [sp, #{_NEXT_SUM}]",
        "2:",
        *place_products(tiles, _LOOP_END),
        f"ldr r2, [sp, #{_NEXT_SUM}]",
        f"ldr r3, [sp, #{_SUMS_END}]",
        "stm r2!, {r6-r12, lr}",
        f"str r2, [sp, #{_NEXT_SUM}]",
        "cmp r2, r3",
        "bne.w 2b",
        # back: r1 y, r0 sums
        "add r1, #4",
        "movs r2, #4",
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
        "mov lr, sp",
        "add r12, sp, #24",
        "5:",
    ]
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
    return [
        *lines,
        "cmp lr, r12",
        "bne 6b",
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
        "sub r1, #4",
        f"ldr r2, [sp, #{_FOURS}]",
        "subs r2, #1",
        f"str r2, [sp, #{_FOURS}]",
        "bne.w 1b",
        f"add sp, #{_FRAME}",
        "pop {r4-r11, pc}",
    ]


def plus(register: str, amount: int) -> list[str]:
    """Adds a constant; r12 is not touched, r3 may be."""
    verb, size = ("add", amount) if amount >= 0 else ("sub", -amount)
    if size <= 4095:
        return [f"{verb} {register}, {register}, #{size}"]
    high = [f"movt r3, #{size >> 16}"] if size >> 16 else []
    return [f"movw r3, #{size & 0xFFFF}", *high, f"{verb} {register}, {register}, r3"]


def place_products(tiles: Tiles, loop_end: int) -> list[str]:
    """All channels at one place: r6 to lr are the sums of (channel, tile).

    Args:
        tiles: shape.
        loop_end: stack slot for the end of the inner loop.
    """
    steps = tiles.in_c // 2
    per_loop = max(n for n in range(1, _UNROLLED_STEPS + 1) if steps % n == 0)
    is_loop = per_loop < steps
    lines = []
    if is_loop:
        lines += [f"add r2, r0, #{8 * steps}", f"str r2, [sp, #{loop_end}]"]
        lines += [*(f"mov {r}, #0" for r in ("r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr"))]
        lines.append("7:")
    for step in range(per_loop):
        last = step == per_loop - 1
        starts = not is_loop and step == 0

        def products(word: str, first: str, second: str, starts: bool = starts) -> list[str]:
            if starts:
                return [f"smuad {first}, r2, {word}", f"smuad {second}, r3, {word}"]
            return [
                f"smlad {first}, r2, {word}, {first}",
                f"smlad {second}, r3, {word}, {second}",
            ]

        back = "!" if last else ""
        lines += [
            f"ldr r2, [r0, #{4 + 8 * step}]",
            f"ldr r3, [r0, #{8 + 8 * step}]{back}",
            f"ldr r4, [r1, #{4 + 16 * step}]",
            f"ldr r5, [r1, #{8 + 16 * step}]",
            *products("r4", "r6", "r7"),
            *products("r5", "r8", "r9"),
            f"ldr r4, [r1, #{12 + 16 * step}]",
            f"ldr r5, [r1, #{16 + 16 * step}]{back}",
            *products("r4", "r10", "r11"),
            *products("r5", "r12", "lr"),
        ]
    if is_loop:
        lines += [f"ldr r2, [sp, #{loop_end}]", "cmp r0, r2", "bne.w 7b"]
    return lines


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
