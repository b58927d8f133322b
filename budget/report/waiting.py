"""A line on the terminal that says what takes so long, until there is something to print."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType
from typing import TextIO

AFTER_S = 2.0
EVERY_S = 0.25
_STAGES = {
    "readers": "reading",
    "zoo": "building",
    "transforms": "lowering",
    "analysis": "counting",
    "plan": "planning",
    "estimate": "pricing",
    "scenario": "simulating",
    "codegen": "writing C",
    "core": "running on the virtual core",
    "tuning": "measuring",
    "shrinking": "shrinking",
    "tf": "running TensorFlow",
}


class Waiting:
    """Shows, from two seconds on, which part of the program the main thread is in.

    Nothing has to report its progress: a second thread looks at the main thread's stack. The line
    is taken away by `stop`, which whatever prints calls first.
    """

    def __init__(self, stream: TextIO, after_s: float = AFTER_S, every_s: float = EVERY_S) -> None:
        self._stream = stream
        self._after_s = after_s
        self._every_s = every_s
        self._watched = threading.get_ident()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._shown = False
        self._thread = threading.Thread(target=self._show, daemon=True)

    def start(self) -> None:
        """Begins to watch the thread that made this object."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it and clears the line; called again, it does nothing."""
        self._done.set()
        with self._lock:
            if self._shown:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
                self._shown = False

    def _show(self) -> None:
        begun_s = time.monotonic()
        wait_s = self._after_s
        while not self._done.wait(wait_s):
            wait_s = self._every_s
            what = stage_of(sys._current_frames().get(self._watched))
            with self._lock:
                if self._done.is_set():
                    return
                text = f"{what} … {time.monotonic() - begun_s:.0f} s"
                self._stream.write(f"\r{text}\x1b[K")
                self._stream.flush()
                self._shown = True


def stage_of(frame: FrameType | None) -> str:
    """What a thread does: the outermost part of the program on its stack that has a name for it."""
    found = "working"
    while frame is not None:
        parts = str(frame.f_globals.get("__name__", "")).split(".")
        if parts[0] == "budget" and len(parts) > 1:
            found = _STAGES.get(parts[1], found)
        frame = frame.f_back
    return found


_current: Waiting | None = None


def begin_waiting() -> None:
    """Starts a line on standard error if that is a terminal."""
    global _current
    if sys.stderr.isatty():
        _current = Waiting(sys.stderr)
        _current.start()


def end_waiting() -> None:
    """Takes the line away, if there is one."""
    global _current
    if _current is not None:
        _current.stop()
        _current = None
