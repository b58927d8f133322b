"""Every command in the README prints what the README says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from readme import BLOCK, PAGES, ROOT, commands, output

BLOCKS = [
    pytest.param(
        name,
        match.group(1),
        match.group(2),
        id=commands(match.group(2))[0][:60],
        marks=[pytest.mark.slow] if "slow" in match.group(1) else [],
    )
    for name in PAGES
    for match in BLOCK.finditer((ROOT / name).read_text())
]


@pytest.mark.parametrize(("page", "needs", "block"), BLOCKS)
def test_output_is_real(page: str, needs: str, block: str, request: pytest.FixtureRequest) -> None:
    if "models" in needs:
        request.getfixturevalue("models")
    if "arm" in needs and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no arm-none-eabi-gcc")
    expected = "\n\n".join(f"$ {command}\n{output(command)}" for command in commands(block))
    assert block.rstrip("\n") == expected, f"run: python tests/readme.py --update ({page})"


def test_setup_commands_are_those_of_ci() -> None:
    readme = (ROOT / "README.md").read_text()
    ci = Path(ROOT / ".ci" / "run").read_text()
    assert "python -m pytest -n 2\n" in readme
    assert "python -m pytest -n 2 --cov" in ci
    assert ".venv/bin/pip install -q -e '.[test]'" in readme
    assert ".venv/bin/pip install -q -e '.[test]'" in ci
