"""Two pixels times four channels: the inner loops of pointwise and other dense convolutions.

Registers hold eight sums, two words of activations, two of weights and two pointers. A word of
weights holds two taps of two channels, each halfword wA + 256 wB: multiplied as it is it adds
A + 256 B to one sum, its low bytes (one SXTB16) add A to another, and at the end B is their
difference / 256. Exact while |B| < 2^23; the bias of B is added behind the division. Where that is
not certain weights are wide, a word for two taps of one channel: a cycle more, twice the flash.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from budget.codegen.steps.armv7em_assembly import Ending, naked_function, with_plain_c
from budget.plan.variants import UNROLLED_STEPS, gemm_loops

_STEPS_PER_MOVE = 15
_WIDE_STEPS_PER_MOVE = 7

_PARAMETERS = ("const int16_t *columns", "const int32_t *stream", "int8_t *y", "int32_t pairs")


@dataclass(frozen=True, slots=True)
class Gemm:
    """Shape of a multiplication.

    Attributes:
        depth: taps of one output.
        pixel: distance of neighbouring pixels, in 16-bit numbers.
        channels: of the output, at least 4.
        y_pixel: distance of the outputs of neighbouring pixels.
        ending: of each sum.
        unrolled: most steps of the inner loop.
        is_wide: whether weights are 16-bit numbers.
    """

    depth: int
    pixel: int
    channels: int
    y_pixel: int
    ending: Ending
    unrolled: int = UNROLLED_STEPS
    is_wide: bool = False

    @property
    def loops(self) -> tuple[int, int]:
        """Times round the inner loop, and steps of two taps in it."""
        return gemm_loops(self.depth, self.unrolled)

    @property
    def steps(self) -> int:
        """Steps of two taps, with those that only fill up the last time round."""
        times, steps = self.loops
        return times * steps

    @property
    def name(self) -> str:
        """Name of the C function."""
        kind = "wide" if self.is_wide else "gemm"
        if self.unrolled != UNROLLED_STEPS:
            kind += f"_u{self.unrolled}"
        shape = f"{self.depth}x{self.channels}_{self.pixel}_{self.y_pixel}"
        return f"{kind}_{shape}_{self.ending.name}"


def stream(
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    multipliers: NDArray[np.int64],
    shifts: NDArray[np.int64],
    gemm: Gemm,
) -> NDArray[np.int32]:
    """Everything that is constant, in the order in which it is read.

    Args:
        weights: [channels][depth], in the order of the activations.
        bias: [channels].
        multipliers: [channels], each 0 or in [2^30, 2^31).
        shifts: [channels], to the right; at least 2 where the multiplier is not 0.
        gemm: shape.
    """
    padded = np.zeros((len(weights), 2 * gemm.steps), np.int64)
    padded[:, : weights.shape[1]] = weights
    twice = 2 * multipliers
    power = powers(multipliers, shifts)
    words: list[NDArray[np.int64]] = []
    for first in first_channels(gemm.channels):
        a, b, c, d = range(first, first + 4)
        if gemm.channels % 4:
            words.append(np.array([first]))
        words.append(bias[[a, c]])
        if gemm.is_wide:
            packed = np.stack([pairs(padded[channel]) for channel in (a, b, c, d)], 1)
        else:
            packed = np.stack([pack(padded[a], padded[b]), pack(padded[c], padded[d])], 1)
        words.append(packed.ravel())
        for even, odd in ((a, b), (c, d)):
            words.append(np.array([twice[even], power[even], bias[odd], twice[odd], power[odd]]))
    return np.concatenate(words).astype(np.uint32).astype(np.int32)


def powers(multipliers: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    """2^(32 - shift): the high half of a product with it is the number shifted and rounded."""
    return np.where(multipliers == 0, 0, np.int64(1) << (32 - np.maximum(shifts, 2)))


def first_channels(channels: int) -> list[int]:
    """First of each four channels; the last four overlap where they do not come out even."""
    return [min(first, channels - 4) for first in range(0, channels, 4)]


def pack(even: NDArray[np.int64], odd: NDArray[np.int64]) -> NDArray[np.int64]:
    """Words of two taps of two channels."""
    return pairs(even + 256 * odd)


def pairs(taps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Words of two numbers of 16 bits."""
    halves = taps & 0xFFFF
    words: NDArray[np.int64] = halves[0::2] | halves[1::2] << 16
    return words


@lru_cache(maxsize=256)  # equal layers share their function
def function(gemm: Gemm) -> str:
    """The C function, in assembly and in plain C."""
    arguments = (
        f"{gemm.steps}, {gemm.pixel}, {gemm.channels}, {gemm.y_pixel}, {gemm.ending.arguments}"
    )
    kernel = "wide" if gemm.is_wide else "gemm"
    plain = (
        f"static void {gemm.name}(\n    {', '.join(_PARAMETERS)})\n{{\n"
        f"    armv7em_{kernel}_s8(\n        columns, stream, y, pairs, {arguments}, "
        f"{int(gemm.ending.once)});\n}}"
    )
    return with_plain_c(naked_function(gemm.name, _PARAMETERS, _assembly(gemm)), plain)


# Stack slots, in bytes.
_COLUMNS, _Y, _STREAM_END, _LOOP_END, _STREAM, _PAIRS = range(0, 24, 4)


def _assembly(gemm: Gemm) -> list[str]:
    """r0 activations, r1 stream, r2 to r5 operands, r6 to lr sums."""
    times, _ = gemm.loops
    quads = len(first_channels(gemm.channels))
    step_words = 4 if gemm.is_wide else 2
    quad_bytes = 4 * (2 + step_words * gemm.steps + 10 + (gemm.channels % 4 != 0))
    return [
        "push {r4-r11, lr}",
        "sub sp, #28",
        "sub r0, #4",
        f"str r0, [sp, #{_COLUMNS}]",
        "sub r1, #4",
        f"str r1, [sp, #{_STREAM}]",
        f"str r2, [sp, #{_Y}]",
        f"str r3, [sp, #{_PAIRS}]",
        f"movw r4, #{quads * quad_bytes & 0xFFFF}",
        *([f"movt r4, #{quads * quad_bytes >> 16}"] if quads * quad_bytes >> 16 else []),
        "add r4, r1",
        f"str r4, [sp, #{_STREAM_END}]",
        "1:",
        *([f"add r4, r0, #{4 * gemm.steps}", f"str r4, [sp, #{_LOOP_END}]"] if times > 1 else []),
        "2:",
        *_products(gemm),
        *_finish(gemm),
        "bne.w 2b",
        f"ldr r0, [sp, #{_COLUMNS}]",
        f"ldr r1, [sp, #{_STREAM}]",
        f"ldr r3, [sp, #{_PAIRS}]",
        f"ldr r2, [sp, #{_Y}]",
        *_add("r0", 4 * gemm.pixel),
        f"str r0, [sp, #{_COLUMNS}]",
        *_add("r2", 2 * gemm.y_pixel - (0 if gemm.channels % 4 else gemm.channels)),
        f"str r2, [sp, #{_Y}]",
        "subs r3, #1",
        f"str r3, [sp, #{_PAIRS}]",
        "bne.w 1b",
        "add sp, #28",
        "pop {r4-r11, pc}",
    ]


def _add(register: str, amount: int) -> list[str]:
    """Adds a constant to a pointer; r4 is used if it is large."""
    if amount <= 4095:
        return [f"add {register}, {register}, #{amount}"]
    return [f"movw r4, #{amount}", f"add {register}, r4"]


def _products(gemm: Gemm) -> list[str]:
    """Loads the biases and multiplies; pointers stay one word behind what is read next."""
    times, steps = gemm.loops
    ragged = gemm.channels % 4 != 0
    lines = [f"ldr r0, [sp, #{_COLUMNS}]", f"ldr r9, [r1, #{8 if ragged else 4}]"]
    lines += [f"ldr lr, [r1, #{12 if ragged else 8}]{'' if ragged else '!'}"]
    if ragged:  # the number of the first channel waits in the place of a loop's end
        lines += ["ldr r2, [r1, #4]", "add r1, #12", "str r2, [sp, #24]"]
    if times > 1:
        if gemm.is_wide:
            lines += ["mov r7, r9", "mov r11, lr"]
            lines += [f"mov {r}, #0" for r in ("r6", "r8", "r10", "r12")]
        else:
            lines += [f"mov {r}, r9" for r in ("r6", "r7", "r8")]
            lines += [f"mov {r}, lr" for r in ("r10", "r11", "r12")]
        lines.append("3:")
    for step in range(steps):
        write = _wide_step if gemm.is_wide else _step
        lines += write(gemm, step, last=step == steps - 1, first=times == 1 and step == 0)
    if times > 1:
        lines += [f"ldr r2, [sp, #{_LOOP_END}]", "cmp r0, r2", "bne.w 3b"]
    return lines


def _step(gemm: Gemm, step: int, *, last: bool, first: bool) -> list[str]:
    """Two taps: sixteen products in fifteen cycles."""
    at, back = 4 + 4 * step, "!" if last else ""
    # the stream's pointer moves now and then: offsets below 128 make short instructions
    weights = 4 + 8 * (step % _STEPS_PER_MOVE)
    move = "!" if last or step % _STEPS_PER_MOVE == _STEPS_PER_MOVE - 1 else ""
    lines = [
        f"ldr r3, [r0, #{at + 2 * gemm.pixel}]",
        f"ldr r2, [r0, #{at}]{back}",
        f"ldr r4, [r1, #{weights}]",
        f"ldr r5, [r1, #{weights + 4}]{move}",
    ]
    for word, sums, bias in (
        ("r4", ("r6", "r8", "r7", "r9"), "r9"),
        ("r5", ("r10", "r12", "r11", "lr"), "lr"),
    ):
        # in the first step the bias register, written last, starts all four sums
        start = [bias if first else r for r in sums]
        lines += [
            f"smlad {sums[0]}, r2, {word}, {start[0]}",
            f"smlad {sums[1]}, r3, {word}, {start[1]}",
            f"sxtb16 {word}, {word}",
            f"smlad {sums[2]}, r2, {word}, {start[2]}",
            f"smlad {sums[3]}, r3, {word}, {start[3]}",
        ]
    return lines


def _wide_step(gemm: Gemm, step: int, *, last: bool, first: bool) -> list[str]:
    """The same of 16-bit weights: sixteen products in sixteen cycles."""
    at, back = 4 + 4 * step, "!" if last else ""
    weights = 4 + 16 * (step % _WIDE_STEPS_PER_MOVE)
    move = "!" if last or step % _WIDE_STEPS_PER_MOVE == _WIDE_STEPS_PER_MOVE - 1 else ""
    lines = [
        f"ldr r3, [r0, #{at + 2 * gemm.pixel}]",
        f"ldr r2, [r0, #{at}]{back}",
    ]
    for place, sums, bias in (
        (0, ("r7", "r9", "r6", "r8"), "r9"),
        (8, ("r11", "lr", "r10", "r12"), "lr"),
    ):
        start = bias if first else ""
        odd = "smuad {0}, {1}, r5" if first else "smlad {0}, {1}, r5, {0}"
        lines += [
            f"ldr r4, [r1, #{weights + place}]",
            f"ldr r5, [r1, #{weights + place + 4}]{move if place else ''}",
            f"smlad {sums[0]}, r2, r4, {start or sums[0]}",
            f"smlad {sums[1]}, r3, r4, {start or sums[1]}",
            odd.format(sums[2], "r2"),
            odd.format(sums[3], "r3"),
        ]
    return lines


def _finish(gemm: Gemm) -> list[str]:
    """Takes sums apart, scales, stores; leaves the flags of the loop over channels."""
    ending = gemm.ending
    lines = ["sub r6, r6, r7", "sub r8, r8, r9", "sub r10, r10, r11", "sub r12, r12, lr"]
    if gemm.is_wide:
        lines = []
    for even, odd in ((("r7", "r9"), ("r6", "r8")), (("r11", "lr"), ("r10", "r12"))):
        lines += ["ldr r0, [r1, #4]", "ldr r2, [r1, #8]", "ldr r3, [r1, #12]", "ldr r4, [r1, #16]"]
        lines.append("ldr r5, [r1, #20]!")
        lines += [f"add {r}, r3, {r}{'' if gemm.is_wide else ', asr #8'}" for r in odd]
        lines += ending.high_words(even, "r0") + ending.high_words(odd, "r4")
        lines += ending.round_away((*even, *odd))
        lines.append(f"mov r0, #{ending.zero_out}")
        lines += ending.shift(even, "r2", "r0") + ending.shift(odd, "r5", "r0")
        lines += ending.clamp((*even, *odd))
    n, next_pixel = gemm.channels, gemm.y_pixel
    lines += [f"ldr r2, [sp, #{_Y}]", f"ldr r3, [sp, #{_STREAM_END}]"]
    if n % 4:
        lines += ["ldr r4, [sp, #24]", "add r2, r4"]
    for offset, register in enumerate(("r9", "r8", "lr", "r12")):
        lines.append(f"strb {register}, [r2, #{next_pixel + offset}]")
    for offset, register in enumerate(("r6", "r11", "r10"), 1):
        lines.append(f"strb {register}, [r2, #{offset}]")
    if n % 4:
        lines.append("strb r7, [r2]")
    else:
        lines += ["strb r7, [r2], #4", f"str r2, [sp, #{_Y}]"]
    return [*lines, "cmp r1, r3"]
