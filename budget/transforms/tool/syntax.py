"""The language in which transforms are listed: ``name(param=value, param="value") name …``.

A value without quotes holds letters, digits and ``_ . / -``; anything else needs double quotes, in
which a backslash makes the next character plain. Commas between parameters are optional, and a
parameter that is repeated adds to a list. Where users of the Graph Transform Tool tripped this
parser gives way: white space is free around brackets, commas and equals signs, commas may separate
transforms, and a backslash before a line break counts as white space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from budget.errors import UsageError

_SPACE = re.compile(r"(?:\s|\\(?=\r?\n|$))+")
_NAME = re.compile(r"[A-Za-z0-9_]+")
_PLAIN = re.compile(r"[A-Za-z0-9_./\-]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_STRAY = re.compile("[\"']*")


@dataclass(frozen=True, slots=True)
class Call:
    """One transform as it was asked for.

    Attributes:
        name: as written.
        parameters: name → values, in order of appearance.
    """

    name: str
    parameters: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        items = [(key, value) for key, values in self.parameters.items() for value in values]
        text = ", ".join(f"{key}={_written(value)}" for key, value in items)
        return f"{self.name}({text})" if text else self.name


def _written(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def parse(text: str) -> list[Call]:
    """The transforms that a text lists.

    Raises:
        UsageError: it breaks the grammar; the error shows where.
    """
    scanner = _Scanner(text)
    calls: list[Call] = []
    scanner.skip()
    while not scanner.at_end:
        name = scanner.take(_NAME, "the name of a transform")
        parameters: dict[str, tuple[str, ...]] = {}
        scanner.skip()
        if scanner.accept("("):
            scanner.skip()
            while not scanner.accept(")"):
                key, value = _parameter(scanner)
                parameters[key] = (*parameters.get(key, ()), value)
            scanner.skip()
        calls.append(Call(name, parameters))
        if calls and scanner.accept(","):
            scanner.skip()
    return calls


def _parameter(scanner: _Scanner) -> tuple[str, str]:
    key = scanner.take(_NAME, "the name of a parameter or ')'")
    scanner.skip()
    if not scanner.accept("="):
        raise scanner.error(f"'=' after {key!r}")
    scanner.skip()
    quoted = _QUOTED.match(scanner.text, scanner.position)
    if quoted:
        value = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
        scanner.position = quoted.end()
    else:
        value = scanner.take(_PLAIN, f"a value for {key!r}; others than A-Z a-z 0-9 _ . / - need "
                             "double quotes")  # fmt: skip
    scanner.take(_STRAY, "")
    scanner.skip()
    if scanner.accept(","):
        scanner.skip()
    return key, value


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.position)
        if found:
            self.position = found.end()

    def accept(self, character: str) -> bool:
        if self.text.startswith(character, self.position):
            self.position += 1
            return True
        return False

    def take(self, pattern: re.Pattern[str], wanted: str) -> str:
        found = pattern.match(self.text, self.position)
        if not found:
            raise self.error(wanted)
        self.position = found.end()
        return found[0]

    def error(self, wanted: str) -> UsageError:
        before = self.text[max(0, self.position - 30) : self.position]
        after = self.text[self.position : self.position + 20]
        return UsageError(
            f"expected {wanted} at character {self.position + 1}: {before}»{after}",
            where="transforms",
            hint='write them as: name name(parameter=value, parameter="1,224,224,3")',
        )
