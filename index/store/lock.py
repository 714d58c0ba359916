"""One process owns an embedded gallery. The kernel's file lock is the truth; a text beside it names the owner."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from index.errors import GalleryLocked


class FolderLock:
    """Held from creation to `release`, or to the end of the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._owner = folder / "owner.txt"  # apart from the lock: an attempt to lock empties the lock's own file
        self._lock = FileLock(folder / "gallery.lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise GalleryLocked(
                f"{folder} is in use by {self._read_owner()}: one process owns a gallery; "
                "stop that process, talk to it over HTTP, or give another folder"
            ) from None
        self._owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")

    def release(self) -> None:
        """Give the folder free."""
        self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _read_owner(self) -> str:
        try:
            return self._owner.read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"
