"""Counts and nanoseconds by model, as the protocol's statistics extension shows them: every key is always there."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from serve.observability.request_context import Trace


@dataclass
class Duration:
    """How often, and how long in all."""

    count: int = 0
    ns: int = 0

    def add(self, ms: float) -> None:
        """One more, of so many milliseconds."""
        self.count += 1
        self.ns += round(ms * 1e6)

    def shown(self) -> dict[str, int]:
        """As JSON."""
        return {"count": self.count, "ns": self.ns}


STAGES = {"queue": "queue", "compute_input": "decode", "compute_infer": "compute", "compute_output": "serialise"}
"""The protocol's names -> the stages of a trace."""


@dataclass
class ModelStatistics:
    """One model's figures since the service started."""

    inferences: int = 0
    executions: int = 0
    last_inference_ms: int = 0
    durations: dict[str, Duration] = field(default_factory=lambda: defaultdict(Duration))
    batches: dict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))

    def succeeded(self, trace: Trace, pictures: int) -> None:
        """A request of so many pictures was answered."""
        self.inferences += pictures
        self.executions += 1
        self.last_inference_ms = round(time.time() * 1e3)
        self.durations["success"].add(trace.elapsed_ms)
        for name, stage in STAGES.items():
            self.durations[name].add(trace.stages_ms.get(stage, 0.0))
        self.batches[pictures].add(trace.stages_ms.get("compute", 0.0))

    def failed(self, trace: Trace) -> None:
        """A request could not be answered."""
        self.durations["fail"].add(trace.elapsed_ms)

    def shown(self, name: str, version: str) -> dict[str, Any]:
        """As an element of `model_stats`."""
        names = ("success", "fail", *STAGES, "cache_hit", "cache_miss")
        zero = Duration().shown()
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_inference_ms,
            "inference_count": self.inferences,
            "execution_count": self.executions,
            "inference_stats": {key: self.durations[key].shown() for key in names},
            "batch_stats": [
                {"batch_size": size, "compute_input": zero, "compute_infer": spent.shown(), "compute_output": zero}
                for size, spent in sorted(self.batches.items())
            ],
            "memory_usage": [],
        }
