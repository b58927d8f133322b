"""Where output goes: tables and JSON to standard output, notes and progress to standard error."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from typing import Any

from rich.console import Console

from budget.report.waiting import end_waiting


@cache
def out_console() -> Console:
    """Standard output; colour and width follow the terminal, NO_COLOR and COLUMNS."""
    end_waiting()
    return Console(highlight=False)


@cache
def err_console() -> Console:
    """Standard error."""
    end_waiting()
    return Console(stderr=True, highlight=False)


def print_json(document: dict[str, Any]) -> None:
    """One JSON document, as plain text, never wrapped or coloured."""
    # piece by piece: the document of a large model is larger than the model
    pieces = json.JSONEncoder(indent=2, allow_nan=False).iterencode(document)
    file = out_console().file
    while batch := "".join(islice(pieces, 10_000)):
        file.write(batch)
    file.write("\n")


def print_notes(notes: tuple[str, ...]) -> None:
    """Assumptions the user must know, on standard error."""
    from rich.markup import escape

    for note in notes:
        err_console().print(f"[dim]note:[/] {escape(note)}", soft_wrap=True)
