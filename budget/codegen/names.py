"""Names and comments that stay harmless whatever the model file calls its layers."""

from __future__ import annotations

import re
import unicodedata

_KEYWORDS = frozenset(
    """
    alignas alignof asm auto bool break case char class const constexpr continue default delete do
    double else enum extern false float for friend goto if inline int long main namespace new
    operator private protected public register restrict return short signed sizeof static struct
    switch template this throw true try typedef typename union unsigned using virtual void
    volatile while
    """.split()  # noqa: SIM905
)
_LONGEST = 48


def identifier(text: str, fallback: str = "model") -> str:
    """A C (and C++) identifier that resembles ``text``; never empty, reserved or very long."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:_LONGEST].strip("_").lower()
    if not name:
        return fallback
    if name[0].isdigit() or name in _KEYWORDS:
        name = f"{fallback}_{name}"
    return name


def comment(text: str, longest: int = 96) -> str:
    """Text that may stand inside a C comment: one line, printable ASCII, no comment marks."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    # a backslash at a line's end would join lines, ??/ is a trigraph for one
    for mark in ("*/", "/*", "//", "\\", "??"):
        plain = plain.replace(mark, " ".join(mark) if len(mark) > 1 else "/ ")
    plain = plain.replace("* /", "* ").replace("/ *", "/ ")
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."
