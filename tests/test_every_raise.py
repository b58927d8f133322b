"""The check that every refusal is reached sees those that helpers hide."""

from __future__ import annotations

from pathlib import Path

from every_raise import never_returning, unreached

SOURCE = """\
def fail(what) -> NoReturn:
    raise ValueError(what)

def told(error) -> UsageError:
    if error:
        return UsageError("one")
    return UsageError("other")

def alone(error) -> UsageError:
    return UsageError("only")

def work(file):
    file.fail("early")
    raise told(file)
"""


def test_refusals_behind_helpers_are_counted(tmp_path: Path) -> None:
    (tmp_path / "budget").mkdir()
    (tmp_path / "budget" / "a.py").write_text(SOURCE)
    assert never_returning(tmp_path) == {"fail"}
    missing = unreached({"files": {"budget/a.py": {"executed_lines": [2, 7]}}}, tmp_path)
    assert sorted(missing) == ["budget/a.py:13", "budget/a.py:14", "budget/a.py:6"]
    assert len(unreached({"files": {}}, tmp_path)) == 5
