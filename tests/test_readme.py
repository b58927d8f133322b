"""Every command in the README prints what the README says."""

from __future__ import annotations

from pathlib import Path

import pytest
from readme import BLOCK, PAGES, ROOT, commands, output

BLOCKS = [
    (name, match.group(1))
    for name in PAGES
    for match in BLOCK.finditer((ROOT / name).read_text())
]


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[commands(b)[0][:60] for _, b in BLOCKS])
def test_output_is_real(page: str, block: str) -> None:
    expected = "\n\n".join(f"$ {command}\n{output(command)}" for command in commands(block))
    assert block.rstrip("\n") == expected, f"run: python tests/readme.py --update ({page})"


def test_setup_commands_are_those_of_ci() -> None:
    readme = (ROOT / "README.md").read_text()
    ci = Path(ROOT / ".ci" / "run").read_text()
    assert "-m pytest" in readme
    assert ".venv/bin/pip install -q -e '.[test]'" in readme
    assert ".venv/bin/pip install -q -e '.[test]'" in ci
