"""A folder is written as a whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from budget.api.files import write_folder, write_folders
from budget.errors import UsageError

FILES = {"a.c": b"new a", "sub/deep/b.h": b"new b", "c.txt": b"new c"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, and every folder as None's stand-in, below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"(folder)"
        for path in folder.rglob("*")
    }


def test_writes_replaces_and_leaves_other_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    write_folder(folder, FILES)
    (folder / "mine.txt").write_text("mine")
    write_folder(folder, {**FILES, "a.c": b"newer a"})
    found = contents(folder)
    assert found.pop("mine.txt") == b"mine"
    assert {k: v for k, v in found.items() if v != b"(folder)"} == {**FILES, "a.c": b"newer a"}


def test_removes_what_an_earlier_run_left_and_nobody_changed(tmp_path: Path) -> None:
    old = {"m.c": b"c", "old.c": b"old", "kept.c": b"kept"}
    digests = {name: sha256(data).hexdigest() for name, data in old.items()}
    outside = tmp_path / "outside.c"
    outside.write_bytes(b"old")
    digests["../outside.c"] = sha256(b"old").hexdigest()
    write_folder(tmp_path / "out", {**old, "m.json": json.dumps({"files": digests}).encode()})
    (tmp_path / "out" / "kept.c").write_bytes(b"changed by hand")
    write_folder(tmp_path / "out", {"m.c": b"c2", "m.json": b"{}"})
    assert contents(tmp_path / "out") == {
        "m.c": b"c2",
        "m.json": b"{}",
        "kept.c": b"changed by hand",
    }
    assert outside.exists()


@pytest.mark.parametrize("manifest", [b"", b"[1]", b'{"files": 3}', b'{"files": {"x": 1}}'])
def test_a_damaged_manifest_does_not_matter(tmp_path: Path, manifest: bytes) -> None:
    (tmp_path / "m.json").write_bytes(manifest)
    write_folder(tmp_path, {"m.json": b"{}"})
    assert contents(tmp_path) == {"m.json": b"{}"}


def fill_disk(monkeypatch: pytest.MonkeyPatch, failing_call: int) -> None:
    """Lets one of the calls that move a file fail, by number."""
    calls = 0
    replace = Path.replace

    def fail_once(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing_call + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_once)


@pytest.mark.parametrize("failing_call", range(6))
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_while_moving_restores_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int, exists: bool
) -> None:
    folder = tmp_path / "out"
    if exists:
        (folder / "sub" / "deep").mkdir(parents=True)
        for name in FILES:
            (folder / name).write_bytes(b"old " + name.encode())
    before = contents(tmp_path)
    fill_disk(monkeypatch, failing_call)
    if not exists and failing_call >= len(FILES):
        write_folder(folder, FILES)
        return
    with pytest.raises(UsageError, match="No space left on device") as caught:
        write_folder(folder, FILES)
    assert caught.value.where == str(folder)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("failing_call", range(4))
def test_a_failure_in_one_folder_restores_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    both = {tmp_path / "one": {"a.c": b"a"}, tmp_path / "new" / "two": {"b.c": b"b"}}
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.c").write_bytes(b"old")
    before, names = contents(tmp_path), sorted(tmp_path.iterdir())
    fill_disk(monkeypatch, failing_call)
    if failing_call == 3:  # one to keep what is there, and two to come
        write_folders(both)
        assert (tmp_path / "one" / "a.c").read_bytes() == b"a"
        assert (tmp_path / "new" / "two" / "b.c").read_bytes() == b"b"
        return
    with pytest.raises(UsageError, match="No space left on device") as caught:
        write_folders(both)
    assert caught.value.where == str(tmp_path / ("new/two" if failing_call == 2 else "one"))
    assert contents(tmp_path) == before
    assert sorted(tmp_path.iterdir()) == names


def test_what_cannot_be_put_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.c").write_bytes(b"old")
    calls = 0
    replace = Path.replace

    def fail_after_one(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_after_one)
    with pytest.raises(UsageError) as caught:
        write_folder(tmp_path, FILES)
    kept = Path(caught.value.hint.rpartition(" ")[2])
    assert (kept / "old" / "a.c").read_bytes() == b"old"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("precious")
    with pytest.raises(UsageError, match="is a file"):
        write_folder(tmp_path / "out", FILES)
    with pytest.raises(UsageError, match="is a file"):
        write_folders({tmp_path / "other": FILES, tmp_path / "out": FILES})
    assert contents(tmp_path) == {"out": b"precious"}


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.txt").mkdir()
    (tmp_path / "c.txt" / "precious").write_text("x")
    before = contents(tmp_path)
    with pytest.raises(UsageError):
        write_folder(tmp_path, FILES)
    assert contents(tmp_path) == before


def test_a_read_only_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.c").write_bytes(b"old")
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # permissions do not bind root
    try:
        with pytest.raises(UsageError, match="Permission denied"):
            write_folder(folder, FILES)
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
    assert contents(folder) == {"a.c": b"old"}


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.argv = ["budget", "emit", "zoo:hotword", "-o", sys.argv[1], "--name", "hot"]
from budget.cli import main
main()
"""


@pytest.mark.parametrize("exists", [False, True])
def test_a_disk_that_fills_leaves_nothing(tmp_path: Path, exists: bool) -> None:
    """A limit on the size of files stands for a disk that is full in the middle of one."""
    folder = tmp_path / "deep" / "out"
    if exists:
        folder.mkdir(parents=True)
        (folder / "hot.c").write_text("old")
    before = contents(tmp_path)
    command = [sys.executable, "-c", LIMITED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert "nothing was changed" in done.stderr
    assert contents(tmp_path) == before
