"""Depthwise convolutions on cores with the DSP extension, by planes of 16-bit numbers.

Taps lie in words, too: pairs from the first tap on for outputs that begin at an even number of a
row, pairs from the second tap on for those that begin at an odd one. Windows of 3 x 3 at stride 1
keep their nine taps in six registers and make 2 x 2 outputs at once; all others make up to four
neighbours, and read the taps as they go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.armv7em_assembly import Ending, naked_function, with_plain_c
from budget.codegen.steps.armv7em_convolution import ending_of, folded_bias, scales_of
from budget.codegen.steps.armv7em_gemm import powers
from budget.codegen.steps.armv7em_planes import Image, take_apart
from budget.plan.variants import UNROLLED_BLOCKS, Planes, even_loops, planes_of, row_words_of

_PARAMETERS = (
    "const int16_t *planes",
    "const int32_t *stream",
    "int8_t *y",
    "int32_t count",
)


@dataclass(frozen=True, slots=True)
class Window:
    """Shape of a depthwise convolution over planes.

    Attributes:
        taps: rows and columns of the window.
        stride: rows and columns that it moves.
        out_w: outputs in a row.
        channels: of the image, the distance of neighbouring outputs.
        row_bytes: distance of the rows of a plane.
        plane_bytes: distance of the planes.
        resident: taps stay in registers: 3 x 3, stride 1.
        ending: of each sum.
    """

    taps: tuple[int, int]
    stride: tuple[int, int]
    out_w: int
    channels: int
    row_bytes: int
    plane_bytes: int
    resident: bool
    ending: Ending

    @property
    def odd_pairs(self) -> bool:
        """Whether some outputs begin at an odd number of a row."""
        return self.stride[1] % 2 != 0

    @property
    def row_words(self) -> int:
        """Words of taps for each row of the window."""
        return row_words_of(self.taps[1], self.stride[1], is_resident=self.resident)

    @property
    def stream_words(self) -> int:
        """Words of the stream for one channel."""
        return self.taps[0] * self.row_words + 3

    @property
    def name(self) -> str:
        """Name of the C function."""
        numbers = [*self.taps, *self.stride, self.out_w, self.channels]
        shape = "_".join(map(str, [*numbers, self.row_bytes, self.plane_bytes]))
        return f"{'resident' if self.resident else 'planes'}_{shape}_{self.ending.name}"


def write_planes(context: StepContext) -> StepCode:
    """All channels, four at a time."""
    x, w, y = context.type(0), context.type(1), context.output_type()
    attributes = context.attributes
    channels = x.shape[3]
    planes = planes_of(context.step.node, x, w, y)
    _, zero_in = per_tensor(x)
    window = Window(
        (w.shape[1], w.shape[2]),
        attributes.stride,
        y.shape[2],
        channels,
        4 * planes.words,
        4 * planes.words * planes.rows,
        planes.together == 2,
        ending_of(context),
    )
    image = Image(
        x.shape[2],
        channels,
        attributes.padding.left,
        zero_in,
        window.row_bytes,
        window.plane_bytes,
    )
    taps = context.constant(1).astype(np.int64)[0].transpose(2, 0, 1)
    bias = folded_bias(context, taps.reshape(channels, -1))
    words = stream(taps, bias, *scales_of(context, channels), window)
    table = context.table("stream", "int32_t", words, "packed weights, biases, scales")
    padding = attributes.padding
    numbers = [*x.shape[1:], *y.shape[1:3], w.shape[1], attributes.stride[0], padding.top]
    numbers += [zero_in, planes.words, planes.block, planes.together]
    numbers.append(4 * window.stream_words)
    arguments = [context.operand(0), "y0", table, "(uint32_t *)(void *)s"]
    arguments += [image.name, window.name, *map(str, numbers)]
    text = f"armv7em_depthwise_conv_2d_s8({', '.join(map(str, arguments))});"
    code = context.code("armv7em_depthwise_conv_2d_s8.h", text)
    return StepCode(
        code.kernels, code.statements, code.tables, (take_apart(image), function(window, planes))
    )


def stream(
    taps: NDArray[np.int64],
    bias: NDArray[np.int64],
    multipliers: NDArray[np.int64],
    shifts: NDArray[np.int64],
    window: Window,
) -> NDArray[np.int32]:
    """Everything that is constant, in the order in which it is read.

    Args:
        taps: [channels][rows][columns].
        bias: [channels].
        multipliers: [channels].
        shifts: [channels], to the right.
        window: shape.
    """
    channels, rows, columns = taps.shape
    padded = np.zeros((channels, rows, columns + 2), np.int64)
    padded[..., :columns] = taps
    parts = [_pairs(padded[..., : columns + columns % 2])[..., : 1 if window.resident else None]]
    if window.odd_pairs and columns > 1:
        parts.append(_pairs(padded[..., 1 : columns + (columns + 1) % 2]))
    words = np.concatenate(parts, 2).reshape(channels, -1)
    scales = np.stack([bias, 2 * multipliers, powers(multipliers, shifts)], 1)
    each = np.concatenate([words, scales], 1)
    order = [min(first, channels - 4) + i for first in range(0, channels, 4) for i in range(4)]
    return each[order].ravel().astype(np.uint32).astype(np.int32)


def _pairs(taps: NDArray[np.int64]) -> NDArray[np.int64]:
    halves = taps & 0xFFFF
    pairs: NDArray[np.int64] = halves[..., 0::2] | halves[..., 1::2] << 16
    return pairs


def function(window: Window, planes: Planes) -> str:
    """The C function, in assembly and in plain C."""
    numbers = [window.out_w, window.channels, *window.taps, *window.stride]
    numbers += [
        window.row_bytes // 2,
        window.plane_bytes // 2,
        2 if window.resident else int(window.odd_pairs),
    ]
    rows = "count" if planes.together == 1 else f"{planes.together} * count"
    plain = (
        f"static void {window.name}(\n    {', '.join(_PARAMETERS)})\n{{\n"
        f"    armv7em_plane_rows_s8(\n        planes, stream, y, {rows}, "
        f"{', '.join(map(str, numbers))},\n        {window.ending.arguments});\n}}"
    )
    lines = _resident(window) if window.resident else _streaming(window)
    return with_plain_c(naked_function(window.name, _PARAMETERS, lines), plain)


# Stack slots, in bytes.
_PLANE, _Y, _STREAM, _HEIGHT, _CHANNEL, _END, _ROW_END, _BIAS, _TWICE, _POWER = range(0, 40, 4)


def _move(register: str, amount: int) -> list[str]:
    """Adds a constant to a pointer; r2 is used if it is large."""
    if not amount:
        return []
    verb, size = ("add", amount) if amount > 0 else ("sub", -amount)
    if size <= 4095:
        return [f"{verb} {register}, {register}, #{size}"]
    high = [f"movt r2, #{size >> 16}"] if size >> 16 else []
    return [f"movw r2, #{size & 0xFFFF}", *high, f"{verb} {register}, {register}, r2"]


def _enter(strip_bytes: int) -> list[str]:
    return [
        "push {r4-r11, lr}",
        "sub sp, #44",
        f"str r0, [sp, #{_PLANE}]",
        f"str r1, [sp, #{_STREAM}]",
        f"str r2, [sp, #{_Y}]",
        f"movw r4, #{strip_bytes}",
        "mul r4, r3, r4",
        f"str r4, [sp, #{_HEIGHT}]",
        "movs r4, #4",
        f"str r4, [sp, #{_CHANNEL}]",
        "1:",
        f"ldr r0, [sp, #{_PLANE}]",
        f"ldr lr, [sp, #{_Y}]",
        f"ldr r1, [sp, #{_HEIGHT}]",
        "add r1, r0",
        f"str r1, [sp, #{_END}]",
    ]


def _leave(window: Window) -> list[str]:
    """The end of a row of outputs, of a channel, of the function."""
    return [
        f"ldr r2, [sp, #{_END}]",
        "cmp r0, r2",
        "bne.w 2b",
        f"ldr r0, [sp, #{_PLANE}]",
        f"ldr r3, [sp, #{_Y}]",
        f"ldr r4, [sp, #{_CHANNEL}]",
        *_move("r0", window.plane_bytes),
        "add r3, #1",
        f"str r0, [sp, #{_PLANE}]",
        f"str r3, [sp, #{_Y}]",
        "subs r4, #1",
        f"str r4, [sp, #{_CHANNEL}]",
        "bne.w 1b",
        "add sp, #44",
        "pop {r4-r11, pc}",
    ]


def _resident(window: Window) -> list[str]:
    """3 x 3 at stride 1: r3 to r8 taps, r9 to r12 the sums of 2 x 2 outputs."""
    pairs, channels = window.out_w // 2, window.channels
    times, unrolled = even_loops(pairs, UNROLLED_BLOCKS)
    lines = [
        *_enter(2 * window.row_bytes),
        f"ldr r12, [sp, #{_STREAM}]",
        "ldm r12!, {r3-r11}",
        f"str r12, [sp, #{_STREAM}]",
        f"str r9, [sp, #{_BIAS}]",
        f"str r10, [sp, #{_TWICE}]",
        f"str r11, [sp, #{_POWER}]",
        "2:",
    ]
    is_loop = times > 1
    if is_loop:
        lines += [*_sum_of("r1", "r0", 4 * pairs), f"str r1, [sp, #{_ROW_END}]", "3:"]
    for _ in range(unrolled if pairs else 0):
        lines += _four_outputs(window)
    if is_loop:
        lines += [f"ldr r1, [sp, #{_ROW_END}]", "cmp r0, r1", "bne.w 3b"]
    if window.out_w % 2:
        lines += _two_outputs(window)
    lines += _move("r0", 2 * window.row_bytes - 4 * pairs)
    lines += _move("lr", 2 * channels * (window.out_w - pairs))
    return [*lines, *_leave(window)]


def _sum_of(result: str, register: str, amount: int) -> list[str]:
    if amount <= 4095:
        return [f"add {result}, {register}, #{amount}"]
    return [f"movw {result}, #{amount}", f"add {result}, {register}"]


def _taps(row: int) -> tuple[str, str]:
    """Registers of a row of taps: w0 w1 and w1 w2."""
    return f"r{3 + 2 * row}", f"r{4 + 2 * row}"


def _four_outputs(window: Window) -> list[str]:
    """36 products; rows from the last to the first, whose load moves the pointer."""
    # the first tap of each sum adds to the bias, which waits in the register written last
    started: set[str] = set()
    lines = [f"ldr r10, [sp, #{_BIAS}]"]
    for row in (3, 2, 1, 0):
        at = row * window.row_bytes
        lines += [f"ldr r2, [r0, #{at + 4}]"]
        lines += [f"ldr r1, [r0, #{at}]" if row else "ldr r1, [r0], #4"]
        for left, right, tap_row in (("r11", "r12", row - 1), ("r9", "r10", row)):
            if not 0 <= tap_row <= 2:
                continue
            first, second = _taps(tap_row)
            start = (left, right) if left in started else ("r10", "r10")
            started.add(left)
            lines += [
                f"smlad {left}, r1, {first}, {start[0]}",
                f"smlatb {right}, r1, {first}, {start[1]}",
                f"smlabt {left}, r2, {second}, {left}",
                f"smlad {right}, r2, {second}, {right}",
            ]
    sums = ("r9", "r10", "r11", "r12")
    lines += _scale(window.ending, sums)
    c, below = window.channels, window.out_w * window.channels
    lines += [f"strb r10, [lr, #{c}]", f"strb r11, [lr, #{below}]", f"strb r12, [lr, #{below + c}]"]
    if 2 * c <= 255:
        return [*lines, f"strb r9, [lr], #{2 * c}"]
    return [*lines, "strb r9, [lr]", *_move("lr", 2 * c)]


def _two_outputs(window: Window) -> list[str]:
    """The last column where their number is odd; no pointer moves."""
    lines = [f"ldr r9, [sp, #{_BIAS}]", "mov r11, r9"]
    for row in range(4):
        at = row * window.row_bytes
        lines += [f"ldr r2, [r0, #{at + 4}]", f"ldr r1, [r0, #{at}]"]
        for register, tap_row in (("r9", row), ("r11", row - 1)):
            if 0 <= tap_row <= 2:
                first, second = _taps(tap_row)
                lines.append(f"smlad {register}, r1, {first}, {register}")
                lines.append(f"smlabt {register}, r2, {second}, {register}")
    lines += _scale(window.ending, ("r9", "r11"))
    return [*lines, "strb r9, [lr]", f"strb r11, [lr, #{window.out_w * window.channels}]"]


def _scale(ending: Ending, sums: tuple[str, ...]) -> list[str]:
    return [
        f"ldr r1, [sp, #{_TWICE}]",
        f"ldr r2, [sp, #{_POWER}]",
        *ending.high_words(sums, "r1"),
        *ending.round_away(sums),
        f"mov r1, #{ending.zero_out}",
        *ending.shift(sums, "r2", "r1"),
        *ending.clamp(sums),
    ]


def _streaming(window: Window) -> list[str]:
    """Any window: r1 taps, r2 to r8 operands, r9 to r12 the sums of neighbours in a row."""
    stride_h, stride_w = window.stride
    together = _neighbours(window)
    groups, rest = divmod(window.out_w, together)
    advance = 2 * together * stride_w
    lines = [*_enter(stride_h * window.row_bytes), f"ldr r1, [sp, #{_STREAM}]", "2:"]
    if groups > 1:
        lines += [*_sum_of("r2", "r0", advance * groups), f"str r2, [sp, #{_ROW_END}]", "3:"]
    if groups:
        lines += _neighbour_outputs(window, together)
        lines += _move("r0", advance) + _move("lr", together * window.channels)
    if groups > 1:
        lines += [f"ldr r2, [sp, #{_ROW_END}]", "cmp r0, r2", "bne.w 3b"]
    if rest:
        lines += _neighbour_outputs(window, rest)
    lines += _move("r0", stride_h * window.row_bytes - advance * groups)
    lines += _move("lr", window.channels * (window.out_w - together * groups))
    last = _leave(window)
    # the taps of the next channel follow
    place = last.index(f"ldr r0, [sp, #{_PLANE}]")
    after = [*_move("r1", 4 * window.stream_words), f"str r1, [sp, #{_STREAM}]"]
    return [*lines, *last[:place], *after, *last[place:]]


def _words_seen(window: Window, outputs: int) -> int:
    return ((outputs - 1) * window.stride[1] + window.taps[1] + 1) // 2


def _neighbours(window: Window) -> int:
    """Outputs at once: a row of what they see must leave room for two words of taps."""
    return 4 if _words_seen(window, 4) <= 5 else 2


def _neighbour_outputs(window: Window, outputs: int) -> list[str]:
    sums = [f"r{9 + i}" for i in range(outputs)]
    rows = window.taps[0]
    at = 4 * rows * window.row_words
    lines = [f"ldr r9, [r1, #{at}]", *(f"mov {r}, r9" for r in sums[1:])]
    for row in range(rows):
        lines += _row_products(window, row, sums)
    lines += [f"ldr r2, [r1, #{at + 4}]", f"ldr r3, [r1, #{at + 8}]"]
    lines += window.ending.high_words(sums, "r2") + window.ending.round_away(sums)
    lines.append(f"mov r2, #{window.ending.zero_out}")
    lines += window.ending.shift(sums, "r3", "r2") + window.ending.clamp(sums)
    return [*lines, *(f"strb {r}, [lr, #{i * window.channels}]" for i, r in enumerate(sums))]


def _row_products(window: Window, row: int, sums: list[str]) -> list[str]:
    """One row of taps: the words of the image stay, those of the taps come in groups."""
    seen = _words_seen(window, len(sums))
    operands = [f"r{2 + i}" for i in range(7)]
    image, free = operands[:seen], operands[seen:]
    even_words = (window.taps[1] + 1) // 2
    lines = []
    for first in range(0, window.row_words, len(free)):
        group = range(first, min(first + len(free), window.row_words))
        if not first:
            at = row * window.row_bytes
            lines += [f"ldr {r}, [r0, #{at + 4 * i}]" for i, r in enumerate(image)]
        for word, register in zip(group, free):
            lines.append(f"ldr {register}, [r1, #{4 * (row * window.row_words + word)}]")
        for word, register in zip(group, free):
            for index, total in enumerate(sums):
                start = index * window.stride[1]
                place = start // 2
                if start % 2 == 0 and word < even_words:
                    lines.append(f"smlad {total}, {image[place + word]}, {register}, {total}")
                elif start % 2 and word == 0:
                    lines.append(f"smlatb {total}, {image[place]}, {register}, {total}")
                elif start % 2 and word >= even_words:
                    other = image[place + 1 + word - even_words]
                    lines.append(f"smlad {total}, {other}, {register}, {total}")
    return lines
