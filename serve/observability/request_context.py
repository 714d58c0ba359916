"""What one request has been through: its id, who asked, which model answered, milliseconds by stage.

Made by the envelope around every request, filled in by whoever does the work, read by answers, metrics and logs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

SCOPE_KEY = "ear_teacher.trace"
CURRENT: ContextVar[Trace | None] = ContextVar("ear_teacher.trace", default=None)
"""The trace of the request that this task answers, for what is handed no request."""


@dataclass(slots=True)
class Trace:
    """One request. Stages add up over its pictures; what goes on side by side counts once."""

    request_id: str
    deadline: float
    """On the `time.monotonic` clock; work that has not begun by then is dropped."""
    started: float = field(default_factory=time.perf_counter)
    caller: str = "anonymous"
    turn: str = "anonymous"
    """Whose turn it uses where callers are served in turn: the key, or the address where there are no keys."""
    pixels: int = 0
    """Of its larger pictures together."""
    root_path: str = ""
    """The path prefix under which a proxy shows the service."""
    traceparent: str = ""
    """The caller's own trace (W3C Trace Context), where it sent one."""
    space_id: str | None = None
    bundle_id: str | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    _running: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Stage -> how many of its waits go on now, and since when any did."""

    def add(self, stage: str, ms: float) -> None:
        """Add milliseconds to a stage: decode, queue, compute, index or serialise."""
        self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + ms

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the body takes to a stage. Of bodies that overlap, the time they share counts once."""
        waits, since = self._running.get(stage, (0, 0.0))
        self._running[stage] = (waits + 1, since if waits else time.perf_counter())
        try:
            yield
        finally:
            waits, since = self._running[stage]
            self._running[stage] = (waits - 1, since)
            if waits == 1:
                self.add(stage, (time.perf_counter() - since) * 1e3)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request's headers arrived."""
        return (time.perf_counter() - self.started) * 1e3

    def timing_ms(self, *extra: str) -> dict[str, float]:
        """`timing_ms` of an answer: decode, queue, compute, what is named besides, and total."""
        shown = {stage: round(self.stages_ms.get(stage, 0.0), 3) for stage in ("decode", "queue", "compute", *extra)}
        return {**shown, "total": round(self.elapsed_ms, 3)}


def prefixed(path: str) -> str:
    """A path of the service as the caller of the request that is being answered reaches it, behind a proxy too."""
    trace = CURRENT.get()
    return (trace.root_path if trace is not None else "") + path


def trace_of(request: HTTPConnection) -> Trace:
    """The trace of the request that is being answered."""
    trace: Trace = request.scope[SCOPE_KEY]
    return trace
