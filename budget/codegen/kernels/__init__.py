"""The kernels as real C files; each includes the ones it needs, as C files do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources

_INCLUDE = re.compile(r'^#include "([a-z0-9_]+\.h)"\n', re.MULTILINE)


def text_of(name: str) -> str:
    """The C text of a kernel file."""
    return (resources.files(__name__) / name).read_text(encoding="utf-8")


def in_order(names: Iterable[str]) -> list[str]:
    """The files and everything they need, each after what it needs, in a stable order."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in found:
            return
        for needed in _INCLUDE.findall(text_of(name)):
            visit(needed)
        found[name] = None

    for name in sorted(set(names)):
        visit(name)
    return list(found)


def bundle(names: Iterable[str]) -> str:
    """One text of all of them, without their includes of each other."""
    return "\n".join(_INCLUDE.sub("", text_of(name)).strip() + "\n" for name in in_order(names))
