"""What one request has been through: its id, who asked, which model answered, milliseconds by stage.

Made by the envelope around every request, filled in by whoever does the work, read by answers, metrics and logs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

SCOPE_KEY = "ear_teacher.trace"


@dataclass(slots=True)
class Trace:
    """One request. Stages add up over its pictures; waiting side by side counts once (the longest)."""

    request_id: str
    deadline: float
    """On the `time.monotonic` clock; work that has not begun by then is dropped."""
    started: float = field(default_factory=time.perf_counter)
    caller: str = "anonymous"
    traceparent: str = ""
    """The caller's own trace (W3C Trace Context), where it sent one."""
    space_id: str | None = None
    bundle_id: str | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, ms: float) -> None:
        """Add milliseconds to a stage: decode, queue, compute, index or serialise."""
        self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + ms

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request's headers arrived."""
        return (time.perf_counter() - self.started) * 1e3

    def timing_ms(self, *extra: str) -> dict[str, float]:
        """`timing_ms` of an answer: decode, queue, compute, what is named besides, and total."""
        shown = {stage: round(self.stages_ms.get(stage, 0.0), 3) for stage in ("decode", "queue", "compute", *extra)}
        return {**shown, "total": round(self.elapsed_ms, 3)}


def trace_of(request: HTTPConnection) -> Trace:
    """The trace of the request that is being answered."""
    trace: Trace = request.scope[SCOPE_KEY]
    return trace
