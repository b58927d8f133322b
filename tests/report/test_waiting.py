"""The line that says what takes so long."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time

import pytest

from budget.report.waiting import Waiting, stage_of


def _inside(module: str, body: str, **names: object) -> dict:
    """Runs code as if it stood in a module of the program."""
    scope = {"__name__": module, "sys": sys, "time": time, **names}
    exec(body, scope)
    return scope


def test_it_names_the_part_of_the_program_and_goes_away() -> None:
    stream = io.StringIO()
    waiting = Waiting(stream, after_s=0.0, every_s=0.01)
    waiting.start()
    loop = "while 'planning' not in stream.getvalue(): time.sleep(0.001)"
    _inside("budget.plan.planner", loop, stream=stream)
    waiting.stop()
    waiting.stop()
    text = stream.getvalue()
    assert "planning … " in text
    assert text.endswith("\r\x1b[K")
    assert text.count("\r\x1b[K") == 1


def test_nothing_is_shown_of_what_is_quick() -> None:
    stream = io.StringIO()
    waiting = Waiting(stream, after_s=60.0)
    waiting.start()
    waiting.stop()
    assert stream.getvalue() == ""


def test_the_outermost_part_counts() -> None:
    frame = _inside("budget.ops.registry", "frame = sys._getframe()")["frame"]
    assert stage_of(frame) == "working"
    frame = _inside("budget.transforms.lower", "frame = sys._getframe()")["frame"]
    assert stage_of(frame) == "lowering"
    assert stage_of(None) == "working"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_only_a_terminal_sees_it() -> None:
    program = (
        "import sys, time, budget.report.waiting as w; w.AFTER_S = 0.0\n"
        "w.Waiting.__init__.__defaults__ = (0.0, 0.01)\n"
        "from budget.report.console import out_console\n"
        "w.begin_waiting(); time.sleep(0.5); out_console().print('table')"
    )
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb") as terminal:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE,
                              stderr=theirs, check=True)  # fmt: skip
        os.close(theirs)
        assert done.stdout == b"table\n"
        assert b"working" in os.read(ours, 1 << 16)
        assert terminal.readable()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stderr == b""
