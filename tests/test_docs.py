"""The documentation builds without a warning, and its tables are the code's."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from budget import errors
from budget.api.operators import list_operators
from budget.api.profiles import KINDS, provenance

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_cells(page: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", page, re.M)


def test_operators(reference: ModuleType) -> None:
    found = first_cells(reference.operators_page())
    assert found == [entry.facets.name for entry in list_operators()]


def test_profiles_and_their_counts(reference: ModuleType) -> None:
    page = reference.profiles_page()
    parts = provenance()
    assert sorted(first_cells(page)) == sorted(part.profile.id for part in parts)
    row = next(line for line in page.splitlines() if line.startswith("| `stm32l4r5` |"))
    numbers = [int(cell) for cell in row.split("|")[3:-1] if cell.strip()]
    part = next(part for part in parts if part.profile.id == "stm32l4r5")
    assert numbers == list(part.counts.values())
    assert page.count("\n## ") == len(KINDS)


def test_errors(reference: ModuleType) -> None:
    page = reference.errors_page()
    names = [name for name in first_cells(page) if name in vars(errors)]
    assert {"BudgetError", "UsageError", "ModelError", "ProfileError"} <= set(names)
    assert "| `MissingToolError` | 5 |" in page
    assert "no specification of a front end lies beside the model" in page
    messages = [line for line in page.splitlines() if re.match(r"\| \w+ \| `\w+Error` \|", line)]
    assert len(messages) > 200


def test_commands(reference: ModuleType) -> None:
    page = reference.commands_page()
    assert "## budget check" in page
    assert "| `--against` |" in page
    assert "budget hear zoo:hotword clip.wav" in page


def test_every_page_is_in_the_navigation(reference: ModuleType, tmp_path: Path) -> None:
    class Config:
        nav: ClassVar[list] = [{"Home": "index.md"}, {"Guides": [{"A gate": "gate.md"}]}]
        docs_dir = str(tmp_path)

    for name in ("index", "gate", "new"):
        (tmp_path / f"{name}.md").touch()
    assert reference.on_config(Config()).nav[2:] == [{"More": ["new.md"]}]
    for page in re.findall(r": ([a-z_]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M):
        assert (ROOT / "docs" / page).is_file()


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index.html", "gate/index.html", "reference/operators/index.html"):
        assert (tmp_path / "site" / page).stat().st_size > 2000
    operators = (tmp_path / "site" / "reference" / "operators" / "index.html").read_text()
    assert operators.count("<tr>") == len(list_operators()) + 1
