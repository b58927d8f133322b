"""Folders of files written as a whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from budget.errors import UsageError

Undo = list[tuple[Path, Path | None]]
"""Files and folders in the order they came; where what they displaced is kept, None if nothing."""


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
    write_folders({folder: files})


@dataclass
class _Stage:
    """Files of one folder on their way.

    Attributes:
        folder: where to.
        files: relative path → content.
        made: the outermost folder that had to be made.
        temporary: where files wait, and what they displace is kept.
    """

    folder: Path
    files: Mapping[str, bytes]
    made: Path | None = None
    temporary: Path | None = None

    def prepare(self) -> None:
        """Writes everything into the temporary folder."""
        self.made = _make(self.folder)
        self.temporary = Path(tempfile.mkdtemp(dir=self.folder, prefix=".budget-"))
        for path, content in self.files.items():
            place = self.temporary / "new" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def keeps_displaced(self) -> bool:
        """Whether the temporary folder holds files that could not be put back."""
        place = self.temporary
        return place is not None and any(path.is_file() for path in (place / "old").rglob("*"))

    def clean(self) -> None:
        """Removes what was made, unless it holds what could not be put back."""
        if self.keeps_displaced():
            return
        for place in (self.temporary, self.made):
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)


def write_folders(contents: Mapping[Path, Mapping[str, bytes]]) -> None:
    """Puts files into several folders as `write_folder` does: into all of them or into none.

    Args:
        contents: folder → relative path → content.

    Raises:
        UsageError: a folder cannot be written, or the disk is full.
    """
    stages = [_Stage(folder, files) for folder, files in contents.items()]
    stage = stages[0]
    try:
        for stage in stages:
            if stage.folder.is_file():
                raise UsageError(
                    "is a file, not a folder", where=str(stage.folder), hint="choose another name"
                )
        for stage in stages:
            stage.prepare()
        undo: Undo = []
        try:
            for stage in stages:
                _move_all(stage, undo)
        except OSError:
            _move_back(undo)
            raise
        for stage in stages:
            if stage.temporary is not None:
                shutil.rmtree(stage.temporary)
    except OSError as error:
        hint = "nothing was changed; choose another place or make room"
        left = [str(item.temporary) for item in stages if item.keeps_displaced()]
        if left:
            hint = f"what could not be put back is in {' and '.join(left)}"
        for item in reversed(stages):
            item.clean()
        raise UsageError(
            f"cannot be written: {error.strerror or error}", where=str(stage.folder), hint=hint
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


def _move_all(stage: _Stage, undo: Undo) -> None:
    """Moves new files in and old ones out, noting how each goes back."""
    if stage.temporary is None:
        return
    for path in (*stage.files, *_left_behind(stage.folder, stage.files)):
        target, kept = stage.folder / path, stage.temporary / "old" / path
        _make_for(target, undo)
        if target.is_dir() and not target.is_symlink():
            raise IsADirectoryError(errno.EISDIR, f"{path} is a folder")
        if target.exists() or target.is_symlink():
            kept.parent.mkdir(parents=True, exist_ok=True)
            target.replace(kept)
            undo.append((target, kept))
        if path in stage.files:
            (stage.temporary / "new" / path).replace(target)
            undo.append((target, None))


def _move_back(undo: Undo) -> None:
    for target, kept_at in reversed(undo):
        if kept_at is not None:
            kept_at.replace(target)
        elif target.is_dir():
            target.rmdir()
        else:
            target.unlink()


def _make_for(target: Path, undo: Undo) -> None:
    """Makes the folders that a file needs, noting each so that it can be removed."""
    missing = [path for path in target.parents if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        undo.append((path, None))
