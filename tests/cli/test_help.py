"""Help with examples that parse, completion scripts, the version, manual pages."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from budget import __version__
from budget.cli.app import application
from budget.cli.examples import examples_of, paragraphs
from budget.cli.manual import pages, write_pages

GROUP: Any = typer.main.get_command(application())
COMMANDS = sorted(GROUP.commands)


def commands_of(example: str) -> list[list[str]]:
    """The words of each `budget` command on a line of shell."""
    lexer = shlex.shlex(example, posix=True, punctuation_chars="&|><")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if set(word) <= set("&|"):
            found.append([])
        elif set(word) <= set("><"):
            next(words)
        else:
            found[-1].append(word)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_that_parse(name: str) -> None:
    done = CliRunner().invoke(application([name]), [name, "--help"])
    assert done.exit_code == 0
    assert "Examples:" in done.output
    examples = examples_of(GROUP.commands[name].epilog)
    assert examples
    assert any(f"budget {name}" in example for example in examples)
    for example in examples:
        for program, command, *words in commands_of(example):
            assert program == "budget", example
            # raises where an option is unknown, a value is of the wrong type or one is missing
            GROUP.commands[command].make_context(command, list(words))


def test_the_whole_has_examples_too() -> None:
    done = CliRunner().invoke(application(), ["--help"])
    assert "Examples:" in done.output
    for name in COMMANDS:
        assert f" {name} " in done.output
    for example in examples_of(GROUP.epilog):
        for program, command, *words in commands_of(example):
            assert program == "budget"
            GROUP.commands[command].make_context(command, list(words))


def test_examples_are_taken_apart() -> None:
    text = "Examples:  budget a -x  ·  budget b && budget c"
    assert examples_of(text) == ["budget a -x", "budget b && budget c"]
    assert paragraphs(text) == "Examples:\n\nbudget a -x\n\nbudget b && budget c"
    assert paragraphs(None) is None
    assert paragraphs("") == ""


def test_version() -> None:
    done = CliRunner().invoke(application(), ["--version"])
    assert (done.exit_code, done.output) == (0, f"budget {__version__}\n")


def complete(shell: str, **variables: str) -> str:
    program = Path(sys.executable).parent / "budget"
    if not program.exists():
        pytest.skip("the program is not installed")
    environment = {**os.environ, **variables}
    done = subprocess.run([program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("shell", "expected", "check"),
    [
        ("bash", "complete -o default -F _budget_completion budget", ["-n"]),
        ("zsh", "#compdef budget", ["-n"]),
        ("fish", "complete --command budget", ["--no-execute"]),
    ],
)
def test_completion_scripts(tmp_path: Path, shell: str, expected: str, check: list[str]) -> None:
    script = complete(shell, _BUDGET_COMPLETE=f"source_{shell}")
    assert expected in script
    if shutil.which(shell):
        file = tmp_path / "script"
        file.write_text(script)
        subprocess.run([shell, *check, str(file)], check=True)


def test_completion_of_commands_and_ids() -> None:
    def words(line: str) -> set[str]:
        count = str(len(line.split(" ")) - 1)
        variables = {"COMP_WORDS": line, "COMP_CWORD": count, "_BUDGET_COMPLETE": "complete_bash"}
        return set(complete("bash", **variables).split())

    assert {"check", "compare"} <= words("budget c")
    assert "--device" in words("budget check --de")
    assert words("budget check --device stm32l4") == {"stm32l476", "stm32l4r5"}
    assert words("budget check zoo:hotword-l") == {"zoo:hotword-large"}
    assert "bq25570" in words("budget check --converter bq")


def test_manual_pages(tmp_path: Path) -> None:
    texts = pages()
    assert set(texts) == {"budget.1", *(f"budget-{name}.1" for name in COMMANDS)}
    written = write_pages(tmp_path / "man")
    for path in written:
        text = path.read_text()
        for heading in ("NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "EXAMPLES"):
            assert f".SH {heading}\n" in text, path.name
    check = texts["budget-check.1"]
    assert ".B \\-\\-device, \\-d" in check
    assert "budget check zoo:hotword \\-\\-device efm32pg12" in check
    tool = shutil.which("mandoc")
    if tool is None:
        return
    done = subprocess.run([tool, "-T", "lint", "-W", "error", *map(str, written)], text=True)
    assert done.returncode == 0
