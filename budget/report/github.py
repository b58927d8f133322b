"""A gate as the workflow commands that GitHub Actions shows beside the file.

The commands and how their values are escaped:
https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
from pathlib import Path

from budget.api.gate import Gate
from budget.report.gate import reasons_of, remedies_of


def github_lines(gate: Gate) -> list[str]:
    """An error for each entry that fails, a warning for one that passes though unsure."""
    lines = []
    file = _shown(gate.file)
    for outcome in gate.outcomes:
        why = reasons_of(outcome)
        if outcome.exit_code == 0 and not why:
            continue
        level = "warning" if outcome.exit_code == 0 else "error"
        place = ""
        if gate.file.endswith(".toml"):
            place = f"file={_property(file)},line={outcome.plan.line},"
        message = "\n".join([*why, *remedies_of(outcome)])
        lines.append(f"::{level} {place}title={_property(outcome.plan.name)}::{_data(message)}")
    return lines


def print_github(gate: Gate, *, json: bool = False) -> None:
    """Prints them where the runner reads them; beside a JSON document to standard error."""
    from budget.report.console import err_console, out_console

    file = (err_console() if json else out_console()).file
    for line in github_lines(gate):
        file.write(line + "\n")


def _shown(file: str) -> str:
    """The path from the top of the repository, as annotations want it."""
    top = os.environ.get("GITHUB_WORKSPACE", "")
    path = Path(file).resolve()
    if top and path.is_relative_to(top):
        return path.relative_to(top).as_posix()
    return Path(file).as_posix()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
