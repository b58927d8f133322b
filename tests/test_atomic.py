"""A file is whole or what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from budget.atomic import write_atomically
from budget.errors import UsageError


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    write_atomically(path, lambda file: file.write(b"whole"))
    assert path.read_bytes() == b"whole" and [p.name for p in path.parent.iterdir()] == ["a.bin"]
    assert path.stat().st_mode & 0o400 and path.stat().st_mode & 0o044

    def fail(file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fail)
    assert path.read_bytes() == b"whole" and len(list(path.parent.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "a.bin", lambda file: file.write(b""))

    def full(file) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="No space left"):
        write_atomically(tmp_path / "a.bin", full)
    assert not (tmp_path / "a.bin").exists()
