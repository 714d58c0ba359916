"""How many waiting items to run at once, learned from what each size has cost so far.

A CPU session is often no faster per item at 32 than at 4; an engine with fixed batch buckets pays for the padding.
Both show in the measured cost, so the size is chosen from that alone. Knows no queue, no model, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

SMOOTHING = 0.2
"""Weight of a new measurement in the running mean."""
INDIFFERENCE = 1.02
"""A smaller batch must be this much cheaper per item than a larger one to be preferred."""
EXPLORE_EVERY = 64
"""Every so many choices a size that was ruled out is tried again: one slow or full moment must not last for ever."""


class BatchSize:
    """Chooses batch sizes up to `max_batch`.

    buckets: sizes that the runtime pads up to (an engine's profiles); None = it takes any size as it is.
    """

    def __init__(self, max_batch: int, buckets: Sequence[int] | None = None) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch is {max_batch}; it must be at least 1")
        self.padded = buckets is not None
        self._all = tuple(sorted({min(size, max_batch) for size in buckets or _powers(max_batch)}))
        self.buckets = self._all
        self._seconds: dict[int, float] = {}
        self._choices = 0

    @property
    def largest(self) -> int:
        """The largest batch that is ever run."""
        return self.buckets[-1]

    def choose(self, waiting: int, slack_s: float = math.inf) -> int:
        """Items to take now, of `waiting` (>= 1). slack_s: time until the most urgent of them is worthless."""
        self._choices += 1
        if self._choices % EXPLORE_EVERY == 0:
            self.buckets = self._all[: len(self.buckets) + 1]
        sizes = sorted({min(bucket, waiting) for bucket in self.buckets}, reverse=True)
        if self._choices % EXPLORE_EVERY == 0:
            return sizes[0]
        in_time = [size for size in sizes if self.expected_s(size) <= slack_s] or [sizes[-1]]
        best = in_time[0]
        for size in in_time[1:]:
            if self.expected_s(size) / size * INDIFFERENCE < self.expected_s(best) / best:
                best = size
        return best

    def observe(self, size: int, seconds: float) -> None:
        """Learn that a batch of `size` items took `seconds`."""
        bucket = self._bucket(size)
        cost = seconds if self.padded else seconds * bucket / size
        earlier = self._seconds.get(bucket)
        self._seconds[bucket] = cost if earlier is None else earlier + SMOOTHING * (cost - earlier)

    def stop_before(self, size: int) -> None:
        """Never run as many as `size` again, unless it is the smallest there is."""
        self._all = tuple(bucket for bucket in self._all if bucket < size) or self._all[:1]
        self.buckets = self._all

    def shrink(self, size: int) -> None:
        """A batch of `size` did not fit into memory: nothing as large is tried for a while."""
        smaller = tuple(bucket for bucket in self.buckets if bucket < size)
        self.buckets = smaller or self.buckets[:1]

    def expected_s(self, size: int) -> float:
        """Seconds that a batch of `size` is expected to take; 0 before anything was measured."""
        bucket = self._bucket(size)
        if not self._seconds:
            return 0.0
        measured = bucket if bucket in self._seconds else min(self._seconds, key=lambda size: abs(size - bucket))
        seconds = self._seconds[measured] * bucket / measured  # unmeasured: taken as linear, so it gets tried
        return seconds if self.padded else seconds * size / bucket

    def _bucket(self, size: int) -> int:
        return next((bucket for bucket in self.buckets if bucket >= size), self.buckets[-1])


def _powers(limit: int) -> list[int]:
    return [*(2**power for power in range(limit.bit_length()) if 2**power < limit), limit]
