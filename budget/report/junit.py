"""A gate as JUnit XML, the form that continuous integration shows as tests."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from budget.api.gate import Gate, Outcome
from budget.atomic import write_atomically
from budget.report.gate import reasons_of, remedies_of
from budget.verdict import Status

# what XML 1.0 has no way to write
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(gate: Gate) -> str:
    """One test suite; a test case for each entry on each device."""
    outcomes = gate.outcomes
    errors = sum(outcome.error is not None for outcome in outcomes)
    failures = sum(outcome.exit_code != 0 for outcome in outcomes) - errors
    counts = {"tests": str(len(outcomes)), "failures": str(failures), "errors": str(errors)}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(gate.file), **counts})
    for outcome in outcomes:
        suite.append(_case(outcome, gate.file))
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def write_junit(gate: Gate, path: Path) -> None:
    """Writes the file.

    Raises:
        UsageError: it cannot be written.
    """
    content = junit_text(gate).encode()
    write_atomically(path, lambda file: file.write(content))


def _case(outcome: Outcome, file: str) -> ElementTree.Element:
    name = _clean(outcome.plan.name)
    case = ElementTree.Element("testcase", {"classname": "budget", "name": name})
    case.set("file", _clean(file))
    case.set("line", str(outcome.plan.line))
    why = "\n".join([*reasons_of(outcome), *remedies_of(outcome)])
    if outcome.error is not None:
        found = ElementTree.SubElement(case, "error", {"type": type(outcome.error).__name__})
        found.set("message", _clean(outcome.error.what))
        found.text = _clean(why)
    elif outcome.exit_code != 0 and outcome.verdict is not None:
        found = ElementTree.SubElement(case, "failure", {"type": outcome.verdict.value})
        found.set("message", _clean("; ".join(reasons_of(outcome))))
        found.text = _clean(why)
    lines = [
        f"{c.name}: {c.status.value}" + (f" ({c.note})" if c.note else "")
        for c in outcome.constraints
        if c.status is not Status.NOT_JUDGED
    ]
    if lines:
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join(lines))
    return case


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
