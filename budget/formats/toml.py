"""TOML, in time that grows with the length of the text."""

from __future__ import annotations

import tomllib
from typing import Any

_MOST_STEPS = 50_000_000


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Args:
        text: of the file.

    Raises:
        ValueError: it is no TOML (`tomllib.TOMLDecodeError`), holds an integer too long for
            Python, or a key of thousands of parts, which the parser would take minutes for.
        RecursionError: it is nested too deeply.
    """
    # the parser walks from the top for each part of a dotted key
    if sum(line.count(".") ** 2 for line in text.splitlines()) > _MOST_STEPS:
        raise ValueError("too many dots in a line")
    return tomllib.loads(text)
