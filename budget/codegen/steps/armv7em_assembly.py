"""Assembly as C text, and the pieces that several Armv7E-M kernels share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LONGEST_LITERAL = 3800  # C99 promises 4095 characters


@dataclass(frozen=True, slots=True)
class Ending:
    """What happens to a finished sum.

    Attributes:
        zero_out: added after scaling.
        low: smallest result.
        high: largest result.
        once: round the 64-bit product once (fully connected layers on the host), not twice.
    """

    zero_out: int
    low: int
    high: int
    once: bool = False

    @property
    def name(self) -> str:
        """Part of a function's name that tells it from others."""
        numbers = [self.zero_out, self.low, self.high]
        text = "_".join(f"m{-n}" if n < 0 else str(n) for n in numbers)
        return text + ("_once" if self.once else "")

    @property
    def arguments(self) -> str:
        """The same as the last arguments of the plain C."""
        return f"{self.zero_out}, {self.low}, {self.high}"

    def high_words(self, sums: Iterable[str], twice: str) -> list[str]:
        """Sum · q / 2^31, rounded (or not, before a single rounding).

        ``twice`` holds 2 q - 2^32; adding the sum itself to the high word makes up for the 2^32.
        """
        instruction = "smmla" if self.once else "smmlar"
        return [f"{instruction} {r}, {r}, {twice}, {r}" for r in sums]

    def round_away(self, sums: Iterable[str]) -> list[str]:
        """Ties of negative numbers go away from zero in the second rounding.

        Not needed where results below the zero point are cut off anyway.
        """
        if self.once or self.low >= self.zero_out:
            return []
        return [f"add {r}, {r}, {r}, asr #31" for r in sums]

    def shift(self, sums: Iterable[str], power: str, zero: str) -> list[str]:
        """Sum / 2^shift, rounded, plus the zero point."""
        return [f"smmlar {r}, {r}, {power}, {zero}" for r in sums]

    def clamp(self, sums: Iterable[str]) -> list[str]:
        """Cuts off what lies outside of the bounds."""
        lines = []
        for r in sums:
            lines.append(f"ssat {r}, #8, {r}")
            if self.low > -128:
                lines += [f"cmp {r}, #{self.low}", "it lt", f"movlt {r}, #{self.low}"]
            if self.high < 127:
                lines += [f"cmp {r}, #{self.high}", "it gt", f"movgt {r}, #{self.high}"]
        return lines


def naked_function(name: str, parameters: Sequence[str], lines: Sequence[str]) -> str:
    """A C function whose body is assembly alone.

    Args:
        name: of the function.
        parameters: such as ``int8_t *y``; the first four are in r0 to r3.
        lines: instructions and labels.
    """
    declared = ", ".join(f"{parameter} ARMV7EM_UNUSED" for parameter in parameters)
    text = [f"static ARMV7EM_FUNCTION void {name}({declared})", "{"]
    block: list[str] = []
    size = 0
    for line in lines:
        # an IT and what depends on it stay together
        if size + len(line) + 2 > _LONGEST_LITERAL and not block[-1].startswith("it "):
            text += _statement(block)
            block, size = [], 0
        block.append(line)
        size += len(line) + 2
    return "\n".join([*text, *_statement(block), "}"])


def with_plain_c(assembly: str, plain: str) -> str:
    """Both forms of a function."""
    return f"#if ARMV7EM_ASSEMBLY\n{assembly}\n#else\n{plain}\n#endif"


def _statement(lines: Sequence[str]) -> list[str]:
    quoted = [f'        "{line}\\n"' for line in lines]
    return ["    __asm__ volatile(", *quoted[:-1], quoted[-1] + ");"]
