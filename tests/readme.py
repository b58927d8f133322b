"""Runs the commands in the documentation and compares, or rewrites, what they print.

    python tests/readme.py                   compare; exit status 1 and a diff where they part
    python tests/readme.py --update          write what the commands print now
    python tests/readme.py --update --slow   the slow ones too

A block fenced as ``console`` holds commands behind ``$ `` and, below each, its standard output
at 80 columns without colour. Words behind ``console`` say what a block needs: ``slow`` (minutes),
``models`` (the real models, which do not ship), ``arm`` (arm-none-eabi-gcc). A block fenced as
``sh`` is not run (set-up commands).
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/over_time.md", "docs/scenarios.md")
BLOCK = re.compile(r"```console([a-z ]*)\n(.*?)```", re.DOTALL)


def commands(block: str) -> list[str]:
    """The command lines of a block, continuation lines joined as the shell joins them."""
    found: list[str] = []
    lines = iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command = f"{command}\n{next(lines)}"
            found.append(command)
    return found


def output(command: str) -> str:
    """What a shell prints for a command, with this interpreter's scripts first on the path."""
    scripts = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
    }
    result = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, env=environment
    )
    return "\n".join(line.rstrip() for line in result.stdout.splitlines()).strip("\n")


def refreshed(text: str, *, slow: bool = False) -> str:
    """The page with every command's present output; slow blocks stay unless asked for."""

    def again(match: re.Match[str]) -> str:
        needs, block = match.groups()
        if "slow" in needs and not slow:
            return match.group(0)
        parts = [f"$ {command}\n{output(command)}" for command in commands(block)]
        return f"```console{needs}\n" + "\n\n".join(parts) + "\n```"

    return BLOCK.sub(again, text)


def main(update: bool, slow: bool) -> int:
    """Compares or rewrites all pages; the exit status."""
    status = 0
    for name in PAGES:
        page = ROOT / name
        old = page.read_text()
        new = refreshed(old, slow=slow)
        if update:
            page.write_text(new)
        elif new != old:
            status = 1
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, "now", "", "", 1)
            print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main("--update" in sys.argv[1:], "--slow" in sys.argv[1:]))
