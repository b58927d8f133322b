"""Long names in narrow columns: what tells them apart stays, and words stay whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from budget.errors import shorten

_LEAST = 8
# behind a separator or white space, a dot or hyphen before a word, and before its capital
_BREAK = re.compile(r"(?<=[_/(,:=;\]\s])|(?<=[.-])(?=[A-Za-z])|(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class OneLine:
    """A name on one line that gives up its middle: layers differ at their ends.

    Attributes:
        name: plain text.
    """

    name: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shorten(self.name, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(_LEAST, len(self.name)), len(self.name))


@dataclass(frozen=True)
class Parts:
    """A name on as many lines as it needs, broken between its parts, not inside a word.

    Attributes:
        name: plain text.
    """

    name: str

    def lines(self, width: int) -> list[str]:
        """The parts, as many on each line as a width holds; a part wider than that is cut."""
        found = [""]
        for part in _BREAK.split(self.name):
            rest = part
            if found[-1] and len((found[-1] + rest).rstrip()) > width:
                found.append("")
            while len(rest.rstrip()) > width:
                found[-1], rest = rest[:width], rest[width:]
                found.append("")
            found[-1] += rest
        return [line.rstrip() for line in found if line.strip()]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n".join(self.lines(max(1, options.max_width))), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(len(part.rstrip()) for part in _BREAK.split(self.name))
        return Measurement(longest, len(self.name))
