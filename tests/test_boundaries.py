"""Imports point down only: every import of every module, inside functions too, is checked."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the top down. Parts on one line never import each other; `api` joins them.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("report",),
    ("api",),
    ("shrinking", "tuning"),
    ("codegen", "core"),
    ("verdict",),
    ("scenario",),
    ("estimate",),
    ("plan",),
    ("hardware", "transforms"),
    ("analysis",),
    ("readers", "writers", "zoo"),
    ("features",),
    ("tf", "formats", "ops"),
    ("graph",),
    ("units", "records", "atomic"),
    ("errors",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
# The package's front door may name anything: it imports on first use of a public name.
ANYWHERE = {"__init__", "__main__"}
# Data folders without code.
NO_CODE = {"hardware_profiles", "scenarios"}
FILES = sorted((ROOT / "budget").rglob("*.py"))


def part_of(path: Path) -> str:
    """``budget/ops/softmax.py`` → ``ops``; ``budget/units.py`` → ``units``."""
    return path.relative_to(ROOT / "budget").with_suffix("").parts[0]


def imported_parts(path: Path) -> list[tuple[int, str]]:
    """Line and part of every import of this package, wherever in the file it stands."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            # `from budget import x` names a part; `from budget.x import y` is inside one
            names = [f"{module}.{a.name}" for a in node.names] if module == "budget" else [module]
        else:
            continue
        found += [
            (node.lineno, name.split(".")[1])
            for name in names
            if name.startswith("budget.") and not name.split(".")[1].startswith("__")
        ]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    if part in ANYWHERE | NO_CODE:
        return
    assert part in RANK, f"{path}: part {part!r} has no place in the layers"
    for line, other in imported_parts(path):
        if other == part:
            continue
        assert other in RANK, f"{path}:{line}: imports {other!r}, which has no place in the layers"
        assert RANK[other] > RANK[part], (
            f"{path}:{line}: {part} imports {other}, which is not below"
        )


def test_every_part_exists() -> None:
    present = {part_of(path) for path in FILES} - ANYWHERE - NO_CODE
    assert present == set(RANK), "the list of layers and the package disagree"


def test_rich_is_imported_by_report_and_cli_only() -> None:
    for path in FILES:
        if part_of(path) in {"report", "cli"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not any(name.split(".")[0] in {"rich", "typer"} for name in names), path


def test_tensorflow_is_imported_in_one_place() -> None:
    allowed = {"tf"}
    for path in FILES:
        if part_of(path) in allowed or "training" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any(
                    a.name.split(".")[0] in {"tensorflow", "keras"} for a in node.names
                ), path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in {"tensorflow", "keras"}, path
