"""Checksums of everything that ships in the models folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

NAME = "manifest.json"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest itself, by name, in alphabetical order."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != NAME)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_manifest(folder: Path) -> None:
    """Writes the checksums as JSON."""
    text = json.dumps(checksums(folder), indent=2) + "\n"
    (folder / NAME).write_text(text, encoding="utf-8")
