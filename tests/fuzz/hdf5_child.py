"""Damaged HDF5 files, many in one child process where the reader would start one for each.

The reader's own child is a new interpreter, a third of a second for each file. This one is forked
and reads on until the HDF5 library kills it or has no end; then the input is refused, as the reader
would, and another child is forked. After some hundreds of inputs it is replaced anyway, so that
what a damaged file left in the library does not stay. Where the whole process may be lost (`run.py`
forks one for some hundreds of inputs) it reads them itself, under the same limit.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import seeds

INPUTS_EACH = 500
CPU_SECONDS = 2
MORE_BYTES = 512 << 20


@dataclass
class _Child:
    process: int
    to: int
    back: int
    inputs: int = 0


_children: list[_Child] = []
_may_be_lost = False


def lose_this_process() -> None:
    """From now on a file that the library cannot stand ends this process."""
    global _may_be_lost
    _may_be_lost = True
    _die_plainly()


@contextlib.contextmanager
def in_place_of_the_probe() -> Iterator[None]:
    """Lets the reader ask the child that stays."""
    from budget.readers import keras_files

    original, keras_files.probe = keras_files.probe, _probe
    try:
        yield
    finally:
        keras_files.probe = original


def end() -> None:
    """Ends the child, if there is one."""
    while _children:
        child = _children.pop()
        os.close(child.to)
        os.close(child.back)
        os.waitpid(child.process, 0)


def _probe(data: bytes, where: str) -> None:
    from budget.errors import CorruptModelError

    if data in seeds.sound_weights():
        return
    if _may_be_lost:
        if not _reads(data):
            raise CorruptModelError("what it holds has no list", where=where)
        return
    if _children and _children[0].inputs >= INPUTS_EACH:
        end()
    if not _children:
        _children.append(_started())
    child = _children[0]
    child.inputs += 1
    with contextlib.suppress(BrokenPipeError):
        _send(child.to, len(data).to_bytes(8, "little") + data)
        if answer := os.read(child.back, 1):
            if answer == b"?":
                raise CorruptModelError("what it holds has no list", where=where)
            return
    _children.clear()
    os.close(child.to)
    os.close(child.back)
    _, status = os.waitpid(child.process, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"the child ended with status {os.waitstatus_to_exitcode(status)}")
    raise CorruptModelError("reading it makes the HDF5 library fail", where=where)


def _started() -> _Child:
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()
    process = os.fork()
    if process:
        os.close(to_read)
        os.close(back_write)
        return _Child(process, to_write, back_read)
    os.close(to_write)
    os.close(back_read)
    _die_plainly()
    status = 1
    try:
        _serve(to_read, back_write)
        status = 0
    finally:
        os._exit(status)


def _die_plainly() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)


def _serve(source: int, answers: int) -> None:
    while head := _received(source, 8):
        sound = _reads(_received(source, int.from_bytes(head, "little")))
        os.write(answers, b"." if sound else b"?")


def _reads(data: bytes) -> bool:
    """Reads everything there is, as the reader's own child does; False if the reader would not."""
    from budget.readers import keras_probe

    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    keras_probe.limit_data(MORE_BYTES)
    status = keras_probe.read(data)
    resource.setrlimit(resource.RLIMIT_DATA, before)
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return status == 0


def _send(place: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(place, rest) :]


def _received(place: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := os.read(place, size - len(data))):
        data += piece
    return data
