"""Every `raise` in the package is reached by a test: compares the source with a coverage report.

    pytest --cov=budget --cov-report=json && python tests/every_raise.py coverage.json

Exit status 1 if a `raise` was never executed, 0 otherwise.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Abstract methods of `Operator`: a registered operator overrides them, and the contract test
# shows it; the base's own body exists for the reader.
EXEMPT = {"budget/ops/operator.py"}


def raises_in(path: Path) -> list[int]:
    """Lines of the raise statements of a file."""
    return [n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Raise)]


def unreached(report: dict[str, object], root: Path = ROOT) -> list[str]:
    """``file:line`` of every raise that the coverage report does not list as executed."""
    files = report["files"]
    assert isinstance(files, dict)
    missing = []
    for path in sorted((root / "budget").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name in EXEMPT:
            continue
        executed = set(files.get(name, {}).get("executed_lines", ()))
        missing += [f"{name}:{line}" for line in raises_in(path) if line not in executed]
    return missing


if __name__ == "__main__":
    lines = unreached(json.loads(Path(sys.argv[1]).read_text()))
    for line in lines:
        print(f"{line}: this raise is reached by no test")
    total = sum(len(raises_in(p)) for p in (ROOT / "budget").rglob("*.py"))
    print(f"{total - len(lines)} of {total} raise statements are reached by a test")
    sys.exit(1 if lines else 0)
