"""Latency from samples, and when a measurement may be believed. Knows no clock: callers bring the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from measure.errors import MeasureError


@dataclass(frozen=True)
class Latency:
    """Milliseconds. Percentiles are samples that occurred (nearest rank above), never interpolated below one."""

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    count: int

    @classmethod
    def of(cls, samples_s: ArrayLike) -> Latency:
        """From durations in SECONDS, as clocks give them. Raises MeasureError for none, or for negative ones."""
        samples = np.asarray(samples_s, dtype=np.float64).ravel() * 1000.0
        if samples.size == 0 or not np.isfinite(samples).all() or samples.min() < 0:
            raise MeasureError("latency needs at least one duration in seconds, finite and not negative")
        p50, p90, p95, p99 = (float(value) for value in np.percentile(samples, [50, 90, 95, 99], method="higher"))
        return cls(p50, p90, p95, p99, float(samples.mean()), int(samples.size))

    def to_dict(self) -> dict[str, float | int]:
        """As JSON in reports."""
        return asdict(self)


def stable(windows: Sequence[float], count: int = 3, tolerance: float = 0.10) -> bool:
    """Whether the last `count` windows lie within `tolerance` of their mean: perf_analyzer's rule.

    windows: one figure a window, in order (mean latency, or throughput; apply the rule to both).
    """
    last = np.asarray(windows[-count:], dtype=np.float64)
    if len(last) < count:
        return False
    mean = last.mean()
    return bool(np.isfinite(mean) and (np.abs(last - mean) <= tolerance * abs(mean)).all())
