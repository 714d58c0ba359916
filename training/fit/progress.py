"""How a run goes, while it goes: a progress bar on a terminal, lines of log elsewhere, and how to go on after its end.

Lines are INFO records of this module's logger; `common/progress.py` shows them.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities.exceptions import SIGTERMException

from training.fit.callbacks import TimeLimit
from training.fit.schedule import ScheduledModule

log = logging.getLogger(__name__)

Summary = Callable[[dict[str, float]], str]
"""Metrics of a validation in words."""


class Speed(lightning.Callback):
    """Logs pictures per second of each epoch's training steps, over all devices, and the learning rate."""

    def __init__(self) -> None:
        self._pictures = 0
        self._since = time.monotonic()
        self.pictures_per_s = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._pictures, self._since = 0, time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        count = len(batch[0])
        self._pictures += count * trainer.world_size
        self.pictures_per_s = self._pictures / max(time.monotonic() - self._since, 1e-9)
        pl_module.log("learning_rate", trainer.optimizers[0].param_groups[0]["lr"], on_step=True, on_epoch=False)
        if trainer.is_last_batch:
            pl_module.log("images_per_s", self.pictures_per_s, on_step=False, on_epoch=True, batch_size=count)


class Progress(lightning.Callback):
    """A line an epoch; where no bar shows it, one every few seconds within an epoch; and how to go on when stopped.

    Args:
        clock, speed: what the run takes.
        summary: a validation in words.
        every_s: seconds between two lines within an epoch; None: none.
    """

    def __init__(self, clock: TimeLimit, speed: Speed, summary: Summary, every_s: float | None = 10.0) -> None:
        self._clock, self._speed, self._summary, self._every_s = clock, speed, summary, every_s
        self._next_s = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.global_step:
            log.info("resumed at epoch %d, step %d", trainer.current_epoch + 1, trainer.global_step)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._every_s is None or self._clock.elapsed_s < self._next_s:
            return
        self._next_s = self._clock.elapsed_s + self._every_s
        loss = float(outputs["loss"])  # waits for the device, a few times a minute
        log.info(
            "  epoch %d, step %d/%s: loss %.3f, %.0f pictures/s, %s", trainer.current_epoch + 1, batch_idx + 1,
            trainer.num_training_batches, loss, self._speed.pictures_per_s, self._left(pl_module),
        )  # fmt: skip

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        parts = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", self._summary(metrics)]
        log.info("validation, %s", ", ".join(part for part in (*parts, self._left(pl_module)) if part))

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        if not isinstance(exception, (KeyboardInterrupt, SIGTERMException)):
            return
        last = Path(str(trainer.default_root_dir)) / "checkpoints" / "last.ckpt"
        advice = f"continue with --resume {last}" if last.is_file() else "no epoch was complete, nothing is kept"
        word = "interrupted" if isinstance(exception, KeyboardInterrupt) else "ended by SIGTERM"
        log.info("%s in epoch %d: %s", word, trainer.current_epoch + 1, advice)

    def _left(self, module: lightning.LightningModule) -> str:
        done = module.progress if isinstance(module, ScheduledModule) else 0.0
        if not done:
            return "time left unknown"
        return f"{self._clock.elapsed_s * (1 - done) / max(done, 1e-6) / 60:.1f} min left"


def progress_callbacks(clock: TimeLimit, summary: Summary) -> list[lightning.Callback]:
    """Speed, lines and, on a terminal, a bar."""
    speed, bar = Speed(), on_terminal()
    lines = Progress(clock, speed, summary, every_s=None if bar else 10.0)
    return [speed, lines, *([RichProgressBar(leave=False)] if bar else [])]


def on_terminal() -> bool:
    """Whether somebody watches: a bar needs both streams, or it would be cut by lines."""
    return sys.stdout.isatty() and sys.stderr.isatty()
