"""Images into planes: two pixels of four channels become a word of each of four planes.

SXTB16 gives channels 0 and 2 of a pixel as two halves, and 1 and 3; PKHBT and PKHTB put the same
channel of two neighbours together. Eight bytes take fifteen cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from budget.codegen.steps.armv7em_assembly import naked_function, with_plain_c
from budget.plan.variants import even_loops

_IMAGE_PARAMETERS = ("uint32_t *planes", "const int8_t *x", "int32_t rows")
_UNROLLED_PAIRS = 4


@dataclass(frozen=True, slots=True)
class Image:
    """Rows of an image on their way into planes.

    Attributes:
        pixels: in a row.
        channels: distance of neighbouring pixels.
        pad_left: places in front of the first one.
        zero: what padding holds.
        row_bytes: distance of the rows of a plane.
        plane_bytes: distance of the planes.
    """

    pixels: int
    channels: int
    pad_left: int
    zero: int
    row_bytes: int
    plane_bytes: int

    @property
    def name(self) -> str:
        """Name of the C function."""
        zero = f"m{-self.zero}" if self.zero < 0 else str(self.zero)
        numbers = [self.pixels, self.channels, self.pad_left, self.row_bytes, self.plane_bytes]
        return f"take_apart_{'_'.join(map(str, numbers))}_{zero}"


def take_apart(image: Image) -> str:
    """The C function that spreads four channels of rows over four planes."""
    numbers = [image.pixels, image.channels, image.pad_left]
    numbers += [image.row_bytes // 4, image.plane_bytes // 4]
    plain = (
        f"static void {image.name}({', '.join(_IMAGE_PARAMETERS)})\n{{\n"
        f"    armv7em_take_apart_s8(planes, x, rows, {', '.join(map(str, numbers))});\n}}"
    )
    pairs, odd = divmod(image.pixels, 2)
    is_late = image.pad_left % 2 == 1
    times, unrolled = even_loops(pairs, _UNROLLED_PAIRS)
    is_loop = times > 1
    zero = ((image.zero & 0xFFFF) << 16) | (image.zero & 0xFFFF)
    lines = ["push {r4-r11, lr}", "sub sp, #12", "str r2, [sp]"]
    lines += _pointer_sum("r0", "r0", image.pad_left // 2 * 4)
    for register, before in (("r3", "r0"), ("r4", "r3"), ("r5", "r4")):
        lines += _pointer_sum(register, before, image.plane_bytes)
    lines.append("1:")
    if is_loop:
        lines += _pointer_sum("r8", "r1", 2 * pairs * image.channels)
        lines.append("str r8, [sp, #4]")
    set_zero = [f"movw {{}}, #{zero & 0xFFFF}", f"movt {{}}, #{zero >> 16}"]
    if is_late:
        lines += [text.format("r6") for text in set_zero] + ["mov r7, r6"]
    if is_loop:
        lines.append("2:")
    for _ in range(unrolled if pairs else 0):
        lines += _pair_of_pixels(image, is_late)
    if is_loop:
        lines += ["ldr r8, [sp, #4]", "cmp r1, r8", "bne.w 2b"]
    written = pairs
    if odd:
        lines += ["ldr r8, [r1]", *_pointer_sum("r1", "r1", image.channels)]
        lines += ["sxtb16 r10, r8", "sxtb16 r11, r8, ror #8"]
        if not is_late:
            lines += [text.format("r12") for text in set_zero]
            lines += ["mov r6, r10", "mov r7, r11", "mov r10, r12", "mov r11, r12"]
    elif is_late:
        lines += [text.format("r10") for text in set_zero] + ["mov r11, r10"]
    if odd or is_late:
        lines += _put("r6", "r7", "r10", "r11")
        written += 1
    for register in ("r0", "r3", "r4", "r5"):
        lines += _pointer_sum(register, register, image.row_bytes - 4 * written)
    lines += ["ldr r2, [sp]", "subs r2, #1", "str r2, [sp]", "bne.w 1b", "add sp, #12"]
    lines.append("pop {r4-r11, pc}")
    return with_plain_c(naked_function(image.name, _IMAGE_PARAMETERS, lines), plain)


def _pointer_sum(result: str, register: str, amount: int) -> list[str]:
    """A pointer plus a constant; r12 is used if it is large."""
    if not amount:
        return [] if result == register else [f"mov {result}, {register}"]
    if amount <= 4095:
        return [f"add {result}, {register}, #{amount}"]
    return [f"movw r12, #{amount}", f"add {result}, {register}, r12"]


def _pair_of_pixels(image: Image, is_late: bool) -> list[str]:
    """Two pixels in fifteen cycles: a word of each plane."""
    step = 2 * image.channels
    lines = [f"ldr r9, [r1, #{image.channels}]"]
    lines += [f"ldr r8, [r1], #{step}"] if step <= 255 else ["ldr r8, [r1]", f"add r1, #{step}"]
    if is_late:
        lines += ["sxtb16 r10, r8", "sxtb16 r11, r8, ror #8", *_put("r6", "r7", "r10", "r11")]
        return [*lines, "sxtb16 r6, r9", "sxtb16 r7, r9, ror #8"]
    lines += ["sxtb16 r6, r8", "sxtb16 r7, r8, ror #8"]
    lines += ["sxtb16 r10, r9", "sxtb16 r11, r9, ror #8"]
    return [*lines, *_put("r6", "r7", "r10", "r11")]


def _put(even: str, odd: str, next_even: str, next_odd: str) -> list[str]:
    """Two neighbours of each of the four planes."""
    return [
        f"pkhbt r12, {even}, {next_even}, lsl #16",
        f"pkhtb {next_even}, {next_even}, {even}, asr #16",
        f"pkhbt lr, {odd}, {next_odd}, lsl #16",
        f"pkhtb {next_odd}, {next_odd}, {odd}, asr #16",
        "str r12, [r0], #4",
        "str lr, [r3], #4",
        f"str {next_even}, [r4], #4",
        f"str {next_odd}, [r5], #4",
    ]
