"""What Winograd's ways by tiles of 2 x 2 and 4 x 4 outputs have in common.

Two tiles are transformed, [places][pairs of channels][2] words; for every four channels their
products with the transformed weights are summed place by place, and then transformed back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.armv7em_assembly import Ending
from budget.codegen.steps.armv7em_convolution import ending_of, folded_bias, scales_of
from budget.codegen.steps.armv7em_gemm import powers
from budget.plan.variants import UNROLLED_TILES, even_loops

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


def write_tiles(
    context: StepContext,
    size: int,
    transform: NDArray[np.int64],
    kernel: str,
    functions: Sequence[Callable[[Tiles], str]],
) -> StepCode:
    """The call of a kernel by tiles.

    Args:
        context: of the step.
        size: rows and columns of outputs that a tile makes.
        transform: of one direction of the weights.
        kernel: file.
        functions: write what transforms tiles, and what multiplies and transforms back.
    """
    x, y = context.type(0), context.output_type()
    _, out_h, out_w, out_c = y.shape
    tiles = Tiles(x.shape[3], out_w, out_c, ending_of(context), size)
    weights = context.constant(1).astype(np.int64)
    bias = folded_bias(context, weights.reshape(out_c, -1))
    words = stream(weights, bias, *scales_of(context, out_c), transform)
    table = context.table("stream", "int32_t", words, "transformed weights, biases, scales")
    padding = context.attributes.padding
    numbers = [*x.shape[1:], out_h, out_w, out_c, padding.top, padding.left, per_tensor(x)[1], size]
    arguments = [context.operand(0), "y0", table, "s", tiles.in_name, tiles.out_name, *numbers]
    code = context.code(kernel, f"armv7em_winograd_s8({', '.join(map(str, arguments))});")
    written = tuple(write(tiles) for write in functions)
    return StepCode(code.kernels, code.statements, code.tables, written)


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


class Frame(NamedTuple):
    """Stack of a function that multiplies tiles, in bytes: slots of a word, and the size of all.

    Attributes:
        tiles: where the transformed tiles begin.
        sums: where the sums of all places begin.
        y: the next output.
        sums_end: behind the sums.
        next_sum: those of the next place.
        loop_end: tiles behind the inner loop.
        size: with the nine registers pushed a multiple of 8.
    """

    tiles: int
    sums: int
    y: int
    sums_end: int
    next_sum: int
    loop_end: int
    size: int

    @property
    def fours(self) -> int:
        """The fifth argument, behind the registers."""
        return self.size + 36


def begin(tiles: Tiles, frame: Frame) -> list[str]:
    """Keeps the arguments; pointers stay one word behind what is read next."""
    return [
        "push {r4-r11, lr}",
        f"sub sp, #{frame.size}",
        "sub r0, #4",
        "sub r1, #4",
        f"str r0, [sp, #{frame.tiles}]",
        f"str r2, [sp, #{frame.sums}]",
        f"str r3, [sp, #{frame.y}]",
        f"add r2, #{(tiles.size + 2) ** 2 * 32}",
        f"str r2, [sp, #{frame.sums_end}]",
    ]


def sum_places(tiles: Tiles, frame: Frame) -> list[str]:
    """From label 1 on: eight sums of every place, for four channels of two tiles; r1 moves on."""
    return [
        "1:",
        f"ldr r2, [sp, #{frame.sums}]",
        f"ldr r0, [sp, #{frame.tiles}]",
        f"str r2, [sp, #{frame.next_sum}]",
        "2:",
        *_place_products(tiles, frame.loop_end),
        f"ldr r2, [sp, #{frame.next_sum}]",
        f"ldr r3, [sp, #{frame.sums_end}]",
        "stm r2!, {r6-r12, lr}",
        f"str r2, [sp, #{frame.next_sum}]",
        "cmp r2, r3",
        "bne.w 2b",
        "add r1, #4",
        "movs r2, #4",
    ]


def end(frame: Frame) -> list[str]:
    """Back to label 1 for the next four channels."""
    return [
        "sub r1, #4",
        f"ldr r2, [sp, #{frame.fours}]",
        "subs r2, #1",
        f"str r2, [sp, #{frame.fours}]",
        "bne.w 1b",
        f"add sp, #{frame.size}",
        "pop {r4-r11, pc}",
    ]


def plus(register: str, amount: int) -> list[str]:
    """Adds a constant; r12 is not touched, r3 may be."""
    verb, size = ("add", amount) if amount >= 0 else ("sub", -amount)
    if size <= 4095:
        return [f"{verb} {register}, {register}, #{size}"]
    high = [f"movt r3, #{size >> 16}"] if size >> 16 else []
    return [f"movw r3, #{size & 0xFFFF}", *high, f"{verb} {register}, {register}, r3"]


def _place_products(tiles: Tiles, loop_end: int) -> list[str]:
    """All channels at one place: r6 to lr are the sums of (channel, tile).

    Args:
        tiles: shape.
        loop_end: stack slot for the end of the inner loop.
    """
    steps = tiles.in_c // 2
    times, per_loop = even_loops(steps, UNROLLED_TILES)
    is_loop = times > 1
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
