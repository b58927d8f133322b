"""Examples of commands: written on one line each command, shown one below the other.

A command's epilog is ``Examples:  budget a  ·  budget b``; help, the manual pages and the tests
take it apart here.
"""

from __future__ import annotations

import re

import typer

_HEAD = re.compile(r"^Examples?:\s+")


def examples_of(epilog: str | None) -> list[str]:
    """The commands that an epilog names; those joined by ``&&`` or piped stay one line."""
    if not epilog:
        return []
    return [text.strip() for text in re.split(r"\s+·\s+|\n\n", _HEAD.sub("", epilog.strip()))]


def show_examples(app: typer.Typer) -> None:
    """Gives every command's examples a line each in its help."""
    for command in app.registered_commands:
        command.epilog = paragraphs(command.epilog)
    if isinstance(app.info.epilog, str):
        app.info.epilog = paragraphs(app.info.epilog)


def paragraphs(epilog: str | None) -> str | None:
    """``Examples:`` and, a paragraph each as the help's renderer wants them, the commands."""
    found = examples_of(epilog)
    return "\n\n".join(["Examples:", *found]) if found else epilog
