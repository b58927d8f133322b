"""The kernels as real C files; each includes the ones it needs, as C files do.

Where the kernel for 16-bit numbers differs from the one for 8 bits in nothing but its types, there
is one file, NAME_s8.h, and NAME_s16.h is made of it by writing the other types in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

SHARED_WITH_8_BITS = frozenset({"add_s16.h", "mul_s16.h", "pool_s16.h", "reduce_s16.h"})
_INCLUDE = re.compile(r'^#include "([a-z0-9_]+\.h)"\n', re.MULTILINE)
_WIDER = (("int8_t", "int16_t"), ("_s8", "_s16"), ("INT8_", "INT16_"), ("int8", "int16"))


@cache
def text_of(name: str) -> str:
    """The C text of a kernel file."""
    folder = Path(__file__).parent
    if name in SHARED_WITH_8_BITS:
        text = (folder / name.replace("_s16", "_s8")).read_text(encoding="utf-8")
        for narrow, wide in _WIDER:
            text = text.replace(narrow, wide)
        return text
    return (folder / name).read_text(encoding="utf-8")


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
