"""The thread that does a gallery's housekeeping aside from requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

ENOUGH_CHANGES = 1000  # changes at which it looks at once
PERIOD_S = 10.0  # otherwise it looks this often while anything changes


class MaintenanceThread:
    """Calls `work(stop)` now and then; `stop()` turns true when the gallery is closing."""

    def __init__(self, work: Callable[[Callable[[], bool]], None]) -> None:
        self._work = work
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._pending = 0
        self._thread = threading.Thread(target=self._run, name="gallery-maintenance", daemon=True)
        self._thread.start()

    def note(self, changes: int) -> None:
        """Something changed."""
        self._pending += changes
        if self._pending >= ENOUGH_CHANGES:
            self._woken.set()

    def stop(self) -> None:
        """End the thread; work in hand is asked to end early."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._woken.wait(PERIOD_S)
            if self._stopping.is_set():
                return
            self._woken.clear()
            self._pending = 0
            try:
                self._work(self._stopping.is_set)
            except Exception:
                # Housekeeping makes searches and restarts fast; nothing acknowledged depends on it.
                log.exception("the gallery's housekeeping failed and will be tried again")
