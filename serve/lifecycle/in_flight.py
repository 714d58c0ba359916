"""Which requests use the models now, so that one that leaves can outlast those that may still hold it."""

from __future__ import annotations

import threading
import time

from serve.observability.request_context import Trace


class InFlight:
    """Told by the service when a request takes a model, by the envelope (as an observer) when the request has ended."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._present: set[int] = set()

    def began(self, trace: Trace) -> None:
        """A request has taken a model."""
        with self._changed:
            self._present.add(id(trace))

    def finished(self, trace: Trace, route: str, method: str, status: int) -> None:
        """A request has ended."""
        with self._changed:
            self._present.discard(id(trace))
            self._changed.notify_all()

    def outlast(self, limit_s: float) -> None:
        """Wait until every request that is here now has ended, for at most `limit_s` seconds."""
        end = time.monotonic() + limit_s
        with self._changed:
            left = set(self._present)
            while left and (wait_s := end - time.monotonic()) > 0:
                self._changed.wait(wait_s)
                left &= self._present
