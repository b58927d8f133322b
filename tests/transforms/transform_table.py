"""Writes the table of transforms into docs/transforms.md anew.

python tests/transforms/transform_table.py
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

from budget.transforms.tool.registry import ALIASES, PRESETS, TRANSFORMS, find
from budget.transforms.tool.transform import GraphTransform

PAGE = Path(__file__).resolve().parents[2] / "docs" / "transforms.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"


def table() -> str:
    """Markdown: a row for each transform with its parameters and the first line about it."""
    lines = ["| transform | parameters | what it does |", "|---|---|---|"]
    for name in sorted(TRANSFORMS):
        (kind,) = find(name)
        given = []
        for item in fields(kind):
            default = "" if item.default in (MISSING, None, "", ()) else f"={item.default}"
            given.append(f"`{item.name}{default}`")
        text = " ".join((kind.__doc__ or "").partition("\n\n")[0].split()).replace("|", "\\|")
        mark = " †" if issubclass(kind, GraphTransform) else ""
        lines.append(f"| `{name}`{mark} | {', '.join(given)} | {text} |")
    lines += ["", "† works on models of every format, quantised ones included.", ""]
    lines += [f"`{name}` stands for {', '.join(f'`{item}`' for item in found)}."
              for name, found in ALIASES.items()]  # fmt: skip
    lines += ["", "| preset | transforms |", "|---|---|"]
    lines += [f"| `{name}` | `{text}` |" for name, text in PRESETS.items()]
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    return re.sub(
        re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: BEGIN + table() + END, page, flags=re.S
    )


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
