"""Two files of one graph against each other, in one process and interleaved: is the second one faster here?

A busy machine slows both alike, so the median of paired ratios is believed, not two figures from two runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.session import Session

ROUNDS = 15
FEWEST_ROUNDS = 3
BUDGET_S = 20.0
"""Seconds that one batch size may cost, as far as the fewest rounds allow."""


@dataclass(frozen=True)
class Race:
    """One batch size."""

    batch: int
    first_ms: float
    second_ms: float
    ratio: float
    """Median, over rounds, of the second's time over the first's: below 1, the second is faster."""
    rounds: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def race(first: Session, second: Session, inputs: Mapping[str, NDArray[Any]], budget_s: float = BUDGET_S) -> Race:
    """Run both in turn on the same inputs; the first run of each does not count."""
    for session in (first, second):
        session.run(inputs)
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(pairs) < ROUNDS and (len(pairs) < FEWEST_ROUNDS or time.perf_counter() - start < budget_s):
        pairs.append((_seconds(first, inputs), _seconds(second, inputs)))
    times = np.asarray(pairs)
    first_ms, second_ms = (1000 * np.median(times, axis=0)).round(4).tolist()
    ratio = float(np.median(times[:, 1] / times[:, 0]))
    return Race(len(next(iter(inputs.values()))), first_ms, second_ms, ratio, len(pairs))


def _seconds(session: Session, inputs: Mapping[str, NDArray[Any]]) -> float:
    start = time.perf_counter()
    session.run(inputs)
    return time.perf_counter() - start
