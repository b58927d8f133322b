"""A hook of MkDocs that writes the reference pages from the code: nothing in them is copied."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def on_config(config: Any) -> Any:
    """Gives pages that mkdocs.yml does not place a place at the end."""
    listed = str(config.nav)
    rest = [path.name for path in sorted(Path(config.docs_dir).glob("*.md"))]
    more = [name for name in rest if f"'{name}'" not in listed]
    if more:
        config.nav = [*config.nav, {"More": more}]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the generated pages to those of the folder."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}", content=text))
    return files


def pages() -> dict[str, str]:
    """Every generated page, by file name."""
    return {
        "commands.md": commands_page(),
        "operators.md": operators_page(),
        "profiles.md": profiles_page(),
        "errors.md": errors_page(),
    }


def commands_page() -> str:
    """Each command with arguments, options and examples."""
    import typer.main

    from budget.cli.app import application
    from budget.cli.examples import examples_of

    group: Any = typer.main.get_command(application())
    lines = ["# Commands", ""]
    for name, command in group.commands.items():
        lines += [f"## budget {name}", "", _text(command.help or ""), ""]
        rows = []
        for parameter in command.params:
            if getattr(parameter, "hidden", False):
                continue
            label = ", ".join(f"`{flag}`" for flag in parameter.opts)
            if parameter.param_type_name == "argument":
                label = f"`{parameter.make_metavar(command.context_class(command))}`"
            rows.append((label, parameter.help or ""))
        lines += [*_table(("option", "meaning"), rows), ""]
        lines += ["```", *examples_of(command.epilog), "```", ""]
    return "\n".join(lines)


def operators_page() -> str:
    """Each operator with what checks it."""
    from budget.api.operators import list_operators
    from budget.graph import DType

    types = (DType.FLOAT32, DType.INT8, DType.INT16)
    rows = []
    for entry in list_operators():
        witnesses = [entry.facets.witnesses.get(type) or "–" for type in types]
        emitted = "yes" if entry.can_emit else "–"
        rows.append((f"`{entry.facets.name}`", entry.facets.summary, *witnesses, emitted))
    head = ("operator", "what it does", *(type.value for type in types), "C")
    text = "Each column of an element type names the program that its results are compared with."
    return "\n".join(["# Operators", "", text, "", *_table(head, rows), ""])


def profiles_page() -> str:
    """Each profile with how many of its figures are from where, and the references."""
    from budget.api.profiles import KINDS, provenance
    from budget.hardware.figure import Kind

    lines = ["# Profiles", "", "Figures by how they came to be. `budget devices ID` and the like "]
    lines[-1] += "show a profile's figures, each with its source. Where a reference says that it "
    lines[-1] += "was seen, public material names that document or links to that address; the "
    lines[-1] += "other addresses were written down from memory and nobody opened them."
    for kind in KINDS:
        lines += ["", f"## {kind}", ""]
        rows, references = [], {}
        for part in provenance([kind]):
            counts = [str(part.counts.get(how, "")) for how in Kind]
            rows.append((f"`{part.profile.id}`", part.profile.name, *counts))
            for _, figure in part.profile.figures():
                if figure.reference is not None:
                    references[figure.reference.id] = figure.reference
        lines += _table(("id", "name", *(str(how) for how in Kind)), rows)
        lines += ["", "References:", ""]
        for reference in sorted(references.values(), key=lambda one: one.id):
            address = f" <{reference.url}>" if reference.url else ""
            seen = f"; seen {_cell(reference.checked)}" if reference.checked else ""
            lines.append(f"- {_cell(reference.title)}{address}{seen}")
    return "\n".join([*lines, ""])


def errors_page() -> str:
    """The kinds of error with their exit status, and every message that the code can raise."""
    from budget import errors

    kinds = {
        name: found
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, errors.BudgetError)
    }
    rows = [
        (f"`{name}`", str(kind.exit_code), (kind.__doc__ or "").split("\n")[0])
        for name, kind in kinds.items()
    ]
    lines = ["# Errors", "", *_table(("error", "exit status", "meaning"), rows)]
    lines += ["", "## Messages", "", "`…` stands for what the message fills in.", ""]
    messages = []
    for path in sorted((ROOT / "budget").rglob("*.py")):
        part = path.relative_to(ROOT / "budget").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            function = node.exc.func
            name = function.id if isinstance(function, ast.Name) else ""
            if name not in kinds or not node.exc.args:
                continue
            hint = next((k.value for k in node.exc.keywords if k.arg == "hint"), None)
            told = (_message(node.exc.args[0]), "" if hint is None else _message(hint))
            messages.append((part, f"`{name}`", *told))
    rows = [row for row in sorted(set(messages)) if row[2].strip("… ")]
    return "\n".join([*lines, *_table(("part", "error", "message", "hint"), rows), ""])


def _message(node: ast.expr) -> str:
    """The text of a message, with … for every part that is computed."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_message(value) for value in values)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _message(left) + _message(right)
    return "…"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def _cell(text: str) -> str:
    found = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return found.replace("[", "\\[") if not found.startswith("`") else found


def _text(text: str) -> str:
    return "\n".join(line.strip().replace("[", "\\[") for line in text.strip().splitlines())
