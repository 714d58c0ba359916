"""The learning rate over a run: linear warm-up, then a cosine to one hundredth (Loshchilov & Hutter 2017).

It follows the run's progress, by steps or by time, so there is nothing of it to save and to restore wrongly.
"""

from __future__ import annotations

import math
from typing import Any

import lightning

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


class ScheduledModule(lightning.LightningModule):
    """A module whose optimiser follows the progress of the run; groups hold their peak rate as `initial_lr`."""

    def __init__(self, warmup: float) -> None:
        super().__init__()
        self.warmup = warmup
        self.progress = 0.0
        """Share of the run that is done, 0 to 1; a time limit counts as well (`training/fit/callbacks.py`)."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate."""
        done = self.global_step / float(self.trainer.estimated_stepping_batches)
        self.progress = min(max(self.progress, done), 1.0)
        factor = learning_rate_factor(self.progress, self.warmup)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * factor
