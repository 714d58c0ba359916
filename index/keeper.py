"""The thread that does a gallery's housekeeping (snapshots) aside from requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Keeper:
    """Calls `work` once `changes` changes have gathered, or `seconds` after the first of fewer."""

    def __init__(self, work: Callable[[], None], changes: int, seconds: float) -> None:
        self._work = work
        self._enough = changes
        self._seconds = seconds
        self._changed = threading.Condition()
        self._pending = 0
        self._since = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="gallery-keeper", daemon=True)
        self._thread.start()

    def note(self, changes: int) -> None:
        """Something changed."""
        with self._changed:
            if not self._pending:
                self._since = time.monotonic()
            self._pending += changes
            self._changed.notify()

    def stop(self) -> None:
        """End the thread after the work in hand."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait():
            try:
                self._work()
            except Exception:
                # Housekeeping saves time at the next start; nothing acknowledged depends on it.
                log.exception("the gallery's housekeeping failed and will be tried again")

    def _wait(self) -> bool:
        with self._changed:
            while not self._stopping:
                left = self._since + self._seconds - time.monotonic() if self._pending else None
                if self._pending >= self._enough or (left is not None and left <= 0):
                    self._pending = 0
                    return True
                self._changed.wait(left)
            return False
