"""Files that are whole or absent after a power cut: fsync of files and folders, checksums, atomic replacement."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write and fsync a small JSON file."""
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    sync(path)


def rename(source: Path, target: Path) -> None:
    """Rename within one folder, durably."""
    os.rename(source, target)
    sync(target.parent)
