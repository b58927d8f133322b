"""Manual pages for man(1), made of what the commands say of themselves.

``python -m budget.cli.manual FOLDER`` writes budget.1 and budget-COMMAND.1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer.main

from budget import __version__
from budget.cli.app import application
from budget.cli.examples import examples_of

STATUS = (
    (0, "fits, or done"),
    (1, "does not fit"),
    (2, "the command line makes no sense"),
    (3, "the model cannot be used"),
    (4, "a profile cannot be used"),
    (5, "a tool or an extra is missing"),
    (6, "too close to call"),
)


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    group: Any = typer.main.get_command(application())
    found = {"budget.1": _page("budget", group, list(group.commands.values()))}
    for name, command in group.commands.items():
        found[f"budget-{name}.1"] = _page(f"budget {name}", command, [])
    return found


def write_pages(folder: Path) -> list[Path]:
    """Writes the pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def _page(name: str, command: Any, commands: list[Any]) -> str:
    help_text = (command.help or "").strip()
    summary, _, rest = help_text.partition("\n\n")
    title = name.replace(" ", "-").upper()
    lines = [f'.TH {title} 1 "" "budget {__version__}" "budget"']
    lines += [".SH NAME", f"{_plain(name.replace(' ', '-'))} \\- {_plain(_joined(summary))}"]
    lines += [".SH SYNOPSIS", f".B {_plain(name)}", _plain(_synopsis(command))]
    if rest:
        lines.append(".SH DESCRIPTION")
        for paragraph in rest.split("\n\n"):
            lines += [".PP", _plain(_joined(paragraph))]
    if commands:
        lines.append(".SH COMMANDS")
        for one in commands:
            first = (one.help or "").strip().partition("\n\n")[0]
            lines += [".TP", f".B {_plain(one.name)}", _plain(_joined(first))]
    lines += _parameters(command)
    lines.append(".SH EXIT STATUS")
    for code, meaning in STATUS:
        lines += [".TP", f".B {code}", meaning]
    lines.append(".SH EXAMPLES")
    for example in examples_of(command.epilog):
        lines += [".PP", ".nf", _plain(example), ".fi"]
    return "\n".join(lines) + "\n"


def _synopsis(command: Any) -> str:
    arguments = [p.make_metavar(_context(command)) for p in _shown(command, "argument")]
    has_commands = " COMMAND [ARGUMENTS]…" if hasattr(command, "commands") else ""
    return " ".join(["[OPTIONS]", *arguments]) + has_commands


def _parameters(command: Any) -> list[str]:
    lines = []
    for heading, kind in (("ARGUMENTS", "argument"), ("OPTIONS", "option")):
        shown = _shown(command, kind)
        if shown:
            lines.append(f".SH {heading}")
        for parameter in shown:
            label = parameter.make_metavar(_context(command))
            if kind == "option":
                flags = ", ".join((*parameter.opts, *parameter.secondary_opts))
                label = flags if parameter.is_flag else f"{flags} {label}"
            lines += [".TP", f".B {_plain(label)}", _plain(_joined(parameter.help or "")) or "\\&"]
    return lines


def _shown(command: Any, kind: str) -> list[Any]:
    return [
        parameter
        for parameter in command.params
        if parameter.param_type_name == kind and not getattr(parameter, "hidden", False)
    ]


def _context(command: Any) -> Any:
    return command.context_class(command, info_name=command.name)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Text in which nothing is a request or an escape to the formatter."""
    found = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{found}" if found.startswith((".", "'")) else found


if __name__ == "__main__":
    write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "man"))
