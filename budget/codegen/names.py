"""Names, comments and strings that stay harmless whatever the model file calls its layers."""

from __future__ import annotations

import re
import unicodedata

from budget.errors import UsageError

_KEYWORDS = frozenset(
    """
    alignas alignof asm auto bool break case char class const constexpr continue default delete do
    double else enum extern false float for friend goto if inline int long main namespace new
    operator private protected public register restrict return short signed sizeof static struct
    switch template this throw true try typedef typename union unsigned using virtual void
    volatile while
    """.split()  # noqa: SIM905
)
# NAME.h would be found in the place of the standard header, or cannot exist on Windows
_FILES = frozenset(
    """
    assert complex ctype errno fenv float inttypes iso646 limits locale math memory new process
    setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string
    strings tgmath threads time uchar unistd wchar wctype arduino aux con nul prn
    com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9
    """.split()  # noqa: SIM905
)
_LONGEST = 48
_ROOT = re.compile(r"(functional|model|sequential|StatefulPartitionedCall)[_0-9]*")
_PREFIX = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{_LONGEST - 1}}}")
_FORMAT_LONGEST = 96


def identifier(text: str, fallback: str = "model") -> str:
    """A C (and C++) identifier that resembles ``text``; never empty, reserved or very long."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:_LONGEST].strip("_").lower()
    if not name:
        return fallback
    if name[0].isdigit() or _is_taken(name):
        name = f"{fallback}_{name}"[:_LONGEST].strip("_")
    return name


def require_prefix(name: str) -> str:
    """A name that the user wants in front of every symbol and file.

    Raises:
        UsageError: it cannot be one.
    """
    if not _PREFIX.fullmatch(name) or _is_taken(name.lower()):
        raise UsageError(
            f"{comment(name)!r} cannot be the prefix of files and C symbols",
            where="--name",
            hint=f"letters, digits and underscores, such as {identifier(name)}",
        )
    return name


def _is_taken(name: str) -> bool:
    return name in _KEYWORDS or name in _FILES


def comment(text: str, longest: int = _FORMAT_LONGEST) -> str:
    """Text that may stand inside a C comment: one line, printable ASCII, no comment marks."""
    plain = printable(text)
    # a backslash at a line's end would join lines, ??/ is a trigraph for one
    for mark in ("*", "/"):
        other = "/" if mark == "*" else "*"
        plain = re.sub(rf"\{mark}(?=\{other})", f"{mark} ", plain)
    plain = plain.replace("//", "/ /").replace("//", "/ /").replace("\\", "|")
    plain = plain.replace("??", "? ?").replace("??", "? ?")
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."


def layer_label(name: str) -> str:
    """The layers that a converter's name stands for: ``re_lu_1; conv2d_1``.

    Converters join the names of everything they fuse with semicolons, each a path whose first
    parts name the model and whose last name operations.
    """
    layers: dict[str, None] = {}
    for part in name.split(";"):
        pieces = [piece for piece in part.split("/") if piece]
        while len(pieces) > 1 and _ROOT.fullmatch(pieces[0]):
            pieces = pieces[1:]
        layers[pieces[0] if pieces else part] = None
    return "; ".join(layers)


def string(text: str, longest: int = _FORMAT_LONGEST) -> str:
    """A C string literal of printable ASCII, with quotes."""
    plain = printable(text)
    if len(plain) > longest:
        plain = plain[: longest - 3] + "..."
    # \? so that no two question marks stand together: ??/ and its like are trigraphs
    return '"' + re.sub(r'(["\\?])', r"\\\1", plain) + '"'


def printable(text: str) -> str:
    """One line of printable ASCII; whatever else there was is a question mark."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
