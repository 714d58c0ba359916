"""Every batch size run before any traffic: no request pays for a first run, and what each costs is known.

Knows batch sizes and a function that runs one; neither queue nor model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from serve.inference.batch_size import BatchSize

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarmUp:
    """How far to go."""

    budget_s: float
    """Larger sizes are left for later once the smaller ones took so long together."""
    longest_s: float | None = None
    """Sizes that take longer are not used. Where this is set all sizes are measured, up to the first that does."""
    measure: bool = False
    """Run each size once more and learn what it costs."""


def warm_up(size: BatchSize, run: Callable[[int], Any], name: str, limits: WarmUp, clock: Callable[[], float]) -> None:
    """Run the sizes, smallest first; the first run of a shape is slow (allocation, autotuning) and never counts.

    A size that fails where a smaller one ran is not used either: most likely the GPU's memory. Raises what the smallest
    size raises.
    """
    started = clock()
    for count in size.buckets:
        if clock() - started > limits.budget_s and limits.longest_s is None:
            return
        try:
            run(count)
            if not limits.measure and limits.longest_s is None:
                continue
            before = clock()
            run(count)
            seconds = clock() - before
        except Exception as error:
            if count == size.buckets[0]:
                raise
            return _stop_before(size, count, name, str(error))
        size.observe(count, seconds)
        if limits.longest_s is not None and seconds > limits.longest_s:
            return _stop_before(size, count, name, f"{count} took {seconds * 1e3:.0f} ms")


def _stop_before(size: BatchSize, count: int, name: str, why: str) -> None:
    size.stop_before(count)
    log.warning("the %s runs at most %d at once: %s", name, size.largest, why)
