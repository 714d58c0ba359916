"""How a latency is measured so that it can be repeated: warm-up, windows, and perf_analyzer's rule of stability.

Knows clocks and windows, not what is run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from measure.latency import Latency, stable

WINDOWS = 3
"""Windows that must agree."""
TOLERANCE = 0.10
"""Largest deviation, a share of their mean."""


@dataclass(frozen=True)
class Timing:
    """Latency over the last windows, and whether these agreed."""

    latency: Latency
    stable: bool
    windows_ms: tuple[float, ...]
    """Mean latency of every window that was run, in order, ms."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**self.latency.to_dict(), "stable": self.stable, "windows_ms": list(self.windows_ms)}


def measure_until_stable(
    run: Callable[[], Any],
    window_s: float,
    most_windows: int = 8,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time `run` in windows of about `window_s` seconds (one run at least) until three in a row agree within 10 %.

    The first run is not counted. Throughput of a loop that waits for each answer is one over its latency, so the rule
    on latency is the rule on both.
    """
    run()
    windows: list[list[float]] = []
    means: list[float] = []
    while len(windows) < most_windows and not stable(means, WINDOWS, TOLERANCE):
        windows.append(_window(run, window_s, clock))
        means.append(sum(windows[-1]) / len(windows[-1]))
    samples = [sample for window in windows[-WINDOWS:] for sample in window]
    agreed = stable(means, WINDOWS, TOLERANCE)
    return Timing(Latency.of(samples), agreed, tuple(round(mean * 1000, 4) for mean in means))


def _window(run: Callable[[], Any], window_s: float, clock: Callable[[], float]) -> list[float]:
    samples: list[float] = []
    start = now = clock()
    while not samples or now - start < window_s:
        run()
        before, now = now, clock()
        samples.append(now - before)
    return samples
