"""The learning rate over a run: linear warm-up, then a cosine to one hundredth (Loshchilov & Hutter 2017)."""

from __future__ import annotations

import math

FLOOR = 0.01


def learning_rate_factor(progress: float, warmup: float) -> float:
    """What the learning rate is multiplied by.

    Args:
        progress: share of the run that is done, 0 to 1.
        warmup: share of the run over which the rate rises, 0 to below 1.
    """
    if progress < warmup:
        return max(progress / warmup, FLOOR)
    through = min((progress - warmup) / (1 - warmup), 1.0)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * through))
