"""Every refusal in the package is reached by a test: compares the source with a coverage report.

    pytest --cov=budget --cov-report=json && python tests/every_raise.py coverage.json

A refusal is a `raise`, a call of a function that only raises (it says `NoReturn`), and each of the
errors that a function returns for its caller to raise, so that no helper hides several behind one
`raise`. Exit status 1 if one was never executed, 0 otherwise.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def never_returning(root: Path = ROOT) -> set[str]:
    """Names of the functions that say `NoReturn`."""
    return {
        node.name
        for path in (root / "budget").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and _returned(node) in {"NoReturn", "Never"}
    }


def raises_in(path: Path, raising: set[str]) -> list[int]:
    """Lines of the refusals of a file.

    Args:
        path: of the file.
        raising: names of the functions that only raise.
    """
    lines = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise):
            lines.append(node.lineno)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = ast.unparse(node.value.func).rpartition(".")[2]
            lines += [node.lineno] * (name in raising)
        elif isinstance(node, ast.FunctionDef) and _returned(node).endswith(("Error", "Exception")):
            returns = [item for item in ast.walk(node) if isinstance(item, ast.Return)]
            lines += [item.lineno for item in returns] * (len(returns) > 1)
    return lines


def _returned(function: ast.FunctionDef) -> str:
    return ast.unparse(function.returns) if function.returns else ""


def unreached(report: dict[str, object], root: Path = ROOT) -> list[str]:
    """``file:line`` of every refusal that the coverage report does not list as executed."""
    files = report["files"]
    assert isinstance(files, dict)
    missing = []
    raising = never_returning(root)
    for path in sorted((root / "budget").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        executed = set(files.get(name, {}).get("executed_lines", ()))
        missing += [f"{name}:{line}" for line in raises_in(path, raising) if line not in executed]
    return missing


if __name__ == "__main__":
    lines = unreached(json.loads(Path(sys.argv[1]).read_text()))
    for line in lines:
        print(f"{line}: this refusal is reached by no test")
    names = never_returning()
    total = sum(len(raises_in(p, names)) for p in (ROOT / "budget").rglob("*.py"))
    print(f"{total - len(lines)} of {total} refusals are reached by a test")
    sys.exit(1 if lines else 0)
