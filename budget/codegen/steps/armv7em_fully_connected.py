"""Fully connected layers on cores with the DSP extension: one row times eight channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budget.codegen.context import StepCode, StepContext
from budget.codegen.steps.armv7em_assembly import Ending, naked_function, with_plain_c
from budget.codegen.steps.armv7em_convolution import (
    ending_of,
    folded_bias,
    scales_of,
    widened_order,
)
from budget.codegen.steps.armv7em_gemm import pack, powers
from budget.ops import Rounding
from budget.plan.variants import UNROLLED_ROWS as UNROLLED_STEPS
from budget.plan.variants import number_of, row_loops

_PARAMETERS = ("const int16_t *columns", "const int32_t *stream", "int8_t *y")
# Sums of the four pairs of channels: first + 256 second, first.
_SUMS = (("r6", "r7"), ("r8", "r9"), ("r10", "r11"), ("r12", "lr"))


@dataclass(frozen=True, slots=True)
class Dot:
    """Shape of a product.

    Attributes:
        depth: taps of one output, a multiple of 4.
        channels: of the output, at least 8.
        ending: of each sum.
        unrolled: most steps of four taps in the inner loop.
    """

    depth: int
    channels: int
    ending: Ending
    unrolled: int = UNROLLED_STEPS

    @property
    def loops(self) -> tuple[int, int]:
        """Times round the inner loop, and steps of four taps in it."""
        return row_loops(self.depth, self.unrolled)

    @property
    def name(self) -> str:
        """Name of the C function."""
        kind = "dot" if self.unrolled == UNROLLED_STEPS else f"dot_u{self.unrolled}"
        return f"{kind}_{self.depth}x{self.channels}_{self.ending.name}"


def write_rows(context: StepContext) -> StepCode:
    """Each row of the input, or whole image, times all channels."""
    x, w = context.type(0), context.type(1)
    channels, depth = w.shape[0], w.element_count // w.shape[0]
    is_host = context.options.rounding is Rounding.TFLITE
    once = is_host and context.step.node.op == "fully_connected"
    unrolled = number_of(context.step.variant, "u", UNROLLED_STEPS)
    dot = Dot(depth, channels, ending_of(context, once=once), unrolled)
    weights = context.constant(1).astype(np.int64).reshape(channels, depth)
    words = stream(
        widened_order(weights, 4), folded_bias(context, weights), *scales_of(context, channels)
    )
    table = context.table("stream", "int32_t", words, "biases, packed weights, scales")
    arguments = [context.operand(0), "y0", table, "(int16_t *)(void *)s", dot.name]
    arguments += map(str, (x.element_count // depth, depth, channels))
    text = f"armv7em_fully_connected_s8({', '.join(map(str, arguments))});"
    code = context.code("armv7em_fully_connected_s8.h", text)
    return StepCode(code.kernels, code.statements, code.tables, (function(dot),))


def stream(
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    multipliers: NDArray[np.int64],
    shifts: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Everything that is constant, in the order in which it is read; see `armv7em_gemm.stream`."""
    channels = len(weights)
    twice, power = 2 * multipliers, powers(multipliers, shifts)
    words: list[NDArray[np.int64]] = []
    for start in range(0, channels, 8):
        first = min(start, channels - 8)
        if channels % 8:
            words.append(np.array([first]))
        evens = range(first, first + 8, 2)
        words.append(bias[list(evens)])
        words.append(np.stack([pack(weights[c], weights[c + 1]) for c in evens], 1).ravel())
        words += [
            np.array([twice[c], power[c], bias[c + 1], twice[c + 1], power[c + 1]]) for c in evens
        ]
    return np.concatenate(words).astype(np.uint32).astype(np.int32)


def function(dot: Dot) -> str:
    """The C function, in assembly and in plain C."""
    arguments = f"{dot.depth // 2}, {dot.channels}, {dot.ending.arguments}"
    plain = (
        f"static void {dot.name}(\n    {', '.join(_PARAMETERS)})\n{{\n"
        f"    armv7em_dot_s8(columns, stream, y, {arguments}, {int(dot.ending.once)});\n}}"
    )
    return with_plain_c(naked_function(dot.name, _PARAMETERS, _assembly(dot)), plain)


# Stack slots, in bytes.
_COLUMNS, _Y, _STREAM_END, _LOOP_END, _FIRST = range(0, 20, 4)


def _assembly(dot: Dot) -> list[str]:
    """r0 activations, r1 stream, r2 to r5 operands, r6 to lr sums."""
    times, steps = dot.loops
    ragged = dot.channels % 8 != 0
    size = 4 * (-(-dot.channels // 8)) * (4 + 2 * dot.depth + 20 + ragged)
    bias = 8 if ragged else 4
    lines = [
        "push {r4-r11, lr}",
        "sub sp, #20",
        "sub r0, #4",
        "sub r1, #4",
        f"str r0, [sp, #{_COLUMNS}]",
        f"str r2, [sp, #{_Y}]",
        f"movw r4, #{size & 0xFFFF}",
        *([f"movt r4, #{size >> 16}"] if size >> 16 else []),
        "add r4, r1",
        f"str r4, [sp, #{_STREAM_END}]",
        f"movw r4, #{2 * dot.depth}",
        "add r4, r0",
        f"str r4, [sp, #{_LOOP_END}]",
        "1:",
        f"ldr r0, [sp, #{_COLUMNS}]",
        *(["ldr r2, [r1, #4]"] if ragged else []),
        f"ldr r7, [r1, #{bias}]",
        f"ldr r9, [r1, #{bias + 4}]",
        f"ldr r11, [r1, #{bias + 8}]",
        f"ldr lr, [r1, #{bias + 12}]!",
        *([f"str r2, [sp, #{_FIRST}]"] if ragged else []),
        *(f"mov {both}, {first}" for both, first in _SUMS),
        "2:",
    ]
    at = 0  # words read since the stream's pointer moved
    for step in range(steps):
        move = step == steps - 1 or at + 16 > 31  # offsets up to 124 make short instructions
        lines += _step(step, at, move=move, last=step == steps - 1)
        at = 0 if move else at + 8
    if times > 1:
        lines += [f"ldr r2, [sp, #{_LOOP_END}]", "cmp r0, r2", "bne.w 2b"]
    return [*lines, *_finish(dot), "bne.w 1b", "add sp, #20", "pop {r4-r11, pc}"]


def _step(step: int, at: int, *, move: bool, last: bool) -> list[str]:
    """Four taps of eight channels: 32 products in 37 cycles."""

    def load(register: str, word: int) -> str:
        return f"ldr {register}, [r1, #{4 * (at + word + 1)}]{'!' if move and word == 7 else ''}"

    def products(activations: str, word: str, pair: int) -> list[str]:
        both, first = _SUMS[pair]
        return [
            f"smlad {both}, {activations}, {word}, {both}",
            f"sxtb16 {word}, {word}",
            f"smlad {first}, {activations}, {word}, {first}",
        ]

    return [
        f"ldr r2, [r0, #{4 + 8 * step}]",
        *(load(register, word) for word, register in enumerate(("r3", "r4", "r5"))),
        *products("r2", "r3", 0),
        *products("r2", "r4", 1),
        *products("r2", "r5", 2),
        f"ldr r4, [r0, #{8 + 8 * step}]{'!' if last else ''}",
        load("r3", 3),
        load("r5", 4),
        *products("r2", "r3", 3),
        *products("r4", "r5", 0),
        *(load(register, word) for word, register in enumerate(("r2", "r3", "r5"), 5)),
        *products("r4", "r2", 1),
        *products("r4", "r3", 2),
        *products("r4", "r5", 3),
    ]


def _finish(dot: Dot) -> list[str]:
    """Takes sums apart, scales, stores; leaves the flags of the loop over channels."""
    ending = dot.ending
    lines = []
    for both, first in _SUMS:
        pair = (first, both)
        lines += [f"sub {both}, {both}, {first}"]
        lines += ["ldr r0, [r1, #4]", "ldr r2, [r1, #8]", "ldr r3, [r1, #12]", "ldr r4, [r1, #16]"]
        lines += ["ldr r5, [r1, #20]!", f"add {both}, r3, {both}, asr #8"]
        lines += ending.high_words([first], "r0") + ending.high_words([both], "r4")
        lines += ending.round_away(pair)
        lines.append(f"mov r0, #{ending.zero_out}")
        lines += ending.shift([first], "r2", "r0") + ending.shift([both], "r5", "r0")
        lines += ending.clamp(pair)
    ragged = dot.channels % 8 != 0
    lines += [f"ldr r2, [sp, #{_Y}]", f"ldr r3, [sp, #{_STREAM_END}]"]
    if ragged:
        lines += [f"ldr r4, [sp, #{_FIRST}]", "add r2, r4"]
    results = [register for both, first in _SUMS for register in (first, both)]
    lines += [f"strb {register}, [r2, #{i}]" for i, register in enumerate(results[1:], 1)]
    if ragged:
        lines.append(f"strb {results[0]}, [r2]")
    else:
        lines += [f"strb {results[0]}, [r2], #8", f"str r2, [sp, #{_Y}]"]
    return [*lines, "cmp r1, r3"]
