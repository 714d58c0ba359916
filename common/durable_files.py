"""Files that are whole or absent after a power cut: write beside, fsync, rename, fsync of the folder. And checksums.

Knows nothing of what the files hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`: what is written there replaces `path` durably if the block succeeds.

    The file keeps the mode it was created with. Where the block raises, `path` is left as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        sync(temporary)
        rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, mode: int = 0o666) -> None:
    """All of the file or none of it. `mode` is what a new file gets, less the umask: 0o600 for the owner alone."""
    with replacing(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def write_json(path: Path, value: Any) -> None:
    """All of a small JSON file or none of it."""
    write_atomically(path, (json.dumps(value, indent=1) + "\n").encode())


def rename(source: Path, target: Path) -> None:
    """Rename a file or folder, durably; a file at `target` is replaced."""
    os.replace(source, target)
    sync(target.parent)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: str | Path) -> str:
    """64 hex digits; the file is read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
