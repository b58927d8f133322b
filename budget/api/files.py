"""Folders of files written as a whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from budget.errors import UsageError


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Puts files into a folder so that a failure leaves what was there, and nothing else.

    Everything is written into a temporary folder beside the files' places first, then moved into
    place; what a move displaces is kept until the last has succeeded. Other files stay.

    Args:
        folder: made if it does not exist, with its parents.
        files: relative path → content.

    Raises:
        UsageError: the folder cannot be written, or the disk is full.
    """
    made: Path | None = None
    temporary: Path | None = None
    try:
        if folder.is_file():
            raise UsageError("is a file, not a folder", where=str(folder), hint="choose another -o")
        made = _make(folder)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".budget-"))
        for path, content in files.items():
            place = temporary / "new" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        _move_all(temporary, folder, list(files), _left_behind(folder, files))
        shutil.rmtree(temporary)
    except OSError as error:
        hint = "nothing was changed; choose another -o or make room"
        displaced = temporary is not None and any(
            path.is_file() for path in (temporary / "old").rglob("*")
        )
        if displaced:
            hint = f"what could not be put back is in {temporary}"
        elif temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        raise UsageError(
            f"cannot be written: {error.strerror or error}", where=str(folder), hint=hint
        ) from None


def _make(folder: Path) -> Path | None:
    """Makes a folder; the outermost one that did not exist before, None if all did."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[-1] if missing else None


def _left_behind(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Files of an earlier run, unchanged since, that this one does not write again."""
    found: list[str] = []
    for path in files:
        if "/" in path or not path.endswith(".json") or not (folder / path).is_file():
            continue
        try:
            values = json.loads((folder / path).read_bytes())
        except ValueError:
            continue
        known = values.get("files") if isinstance(values, dict) else None
        for name, digest in (known if isinstance(known, dict) else {}).items():
            if name in files or not _is_inside(folder, name):
                continue
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() == digest:
                found.append(name)
    return found


def _is_inside(folder: Path, name: str) -> bool:
    place = (folder / name).resolve()
    return place.is_relative_to(folder.resolve()) and place.is_file()


def _move_all(temporary: Path, folder: Path, new: list[str], old: list[str]) -> None:
    """Moves new files in and old ones out; on failure everything goes back."""
    undo: list[tuple[Path, Path | None]] = []
    try:
        for path in (*new, *old):
            target, kept = folder / path, temporary / "old" / path
            _make_for(target, undo)
            if target.is_dir() and not target.is_symlink():
                raise IsADirectoryError(errno.EISDIR, f"{path} is a folder")
            if target.exists() or target.is_symlink():
                kept.parent.mkdir(parents=True, exist_ok=True)
                target.replace(kept)
                undo.append((target, kept))
            if path in new:
                (temporary / "new" / path).replace(target)
                undo.append((target, None))
    except OSError:
        for target, kept_at in reversed(undo):
            if kept_at is not None:
                kept_at.replace(target)
            elif target.is_dir():
                target.rmdir()
            else:
                target.unlink()
        raise


def _make_for(target: Path, undo: list[tuple[Path, Path | None]]) -> None:
    """Makes the folders that a file needs, noting each so that it can be removed."""
    missing = [path for path in target.parents if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        undo.append((path, None))
