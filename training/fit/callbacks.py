"""What a run does beside learning: keeps to its time, says how it goes, and shows what it sees.

Knows the module and its validation results; changes no weight.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from bundle.image import to_png
from training.data.dataset import Batch, to_pixels, to_unit
from training.fit.module import EarModule

Say = Callable[[str], None]
GRID_PICTURES = 8
PROJECTED = 2000
"""Most validation pictures sent to TensorBoard's projector."""


class TimeLimit(lightning.Callback):
    """Stops after `minutes` of training, over all its sessions; the learning rate has come down by then."""

    def __init__(self, minutes: float | None) -> None:
        self._limit_s = None if minutes is None else minutes * 60
        self._before_s = 0.0
        self._since = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self._before_s + time.monotonic() - self._since

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._since = time.monotonic()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._limit_s is not None and isinstance(pl_module, EarModule):
            pl_module.progress = max(pl_module.progress, min(self.elapsed_s / self._limit_s, 1.0))

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._limit_s is not None and self.elapsed_s >= self._limit_s:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"elapsed_s": self.elapsed_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before_s = state_dict["elapsed_s"]


class StopAfter(lightning.Callback):
    """Ends the session after `epochs` epochs of it; `--resume` goes on from there."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._left -= 1
        if self._left == 0:
            trainer.should_stop = True


class Speed(lightning.Callback):
    """Logs pictures per second of each epoch's training steps, over all devices, and the learning rate."""

    def __init__(self) -> None:
        self._pictures = 0
        self._since = time.monotonic()
        self.pictures_per_s = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._pictures, self._since = 0, time.monotonic()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self._pictures += len(batch.images) * trainer.world_size
        self.pictures_per_s = self._pictures / max(time.monotonic() - self._since, 1e-9)
        pl_module.log("learning_rate", trainer.optimizers[0].param_groups[0]["lr"], on_step=True, on_epoch=False)
        if trainer.is_last_batch:
            pl_module.log("images_per_s", self.pictures_per_s, on_step=False, on_epoch=True)


class Progress(lightning.Callback):
    """One line an epoch, and one every few seconds within it, wherever the output goes."""

    def __init__(self, say: Say, clock: TimeLimit, speed: Speed, every_s: float = 10.0) -> None:
        self._say, self._clock, self._speed, self._every_s = say, clock, speed, every_s
        self._next_s = 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._clock.elapsed_s >= self._next_s and isinstance(pl_module, EarModule):
            self._next_s = self._clock.elapsed_s + self._every_s
            loss = float(outputs["loss"])  # waits for the device, a few times a minute
            self._say(
                f"  epoch {trainer.current_epoch + 1}, step {batch_idx + 1}/{trainer.num_training_batches}: "
                f"loss {loss:.3f}, {self._speed.pictures_per_s:.0f} pictures/s, {self._left(pl_module)}"
            )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        parts = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"]
        formats = {"val_loss": "loss {:.3f}", "val_psnr": "PSNR {:.2f} dB", "val_ssim": "SSIM {:.3f}"}
        formats |= {"val_rank1": "rank-1 {:.3f}", "val_eer": "EER {:.3f}"}
        parts += [text.format(found[name]) for name, text in formats.items() if name in found]
        if isinstance(pl_module, EarModule):
            parts.append(self._left(pl_module))
        self._say("validation, " + ", ".join(parts))

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, KeyboardInterrupt):
            last = Path(str(trainer.default_root_dir)) / "checkpoints" / "last.ckpt"
            advice = f"continue with --resume {last}" if last.is_file() else "no epoch was complete, nothing is kept"
            self._say(f"interrupted in epoch {trainer.current_epoch + 1}: {advice}")

    def _left(self, module: EarModule) -> str:
        done = module.progress
        return (
            f"{self._clock.elapsed_s * (1 - done) / max(done, 1e-6) / 60:.1f} min left" if done else "time left unknown"
        )


def averaging(decay: float) -> WeightAveraging:
    """Exponential moving average of the weights, which is what is validated and saved.

    The average is young at first: it forgets faster until about 10 / (1 - decay) steps, so a short run gains too.
    """

    def blend(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        number = torch.as_tensor(count, dtype=torch.float32, device=averaged.device)
        keep = ((1 + number) / (10 + number)).clamp(max=decay)
        return current + (averaged - current) * keep

    return WeightAveraging(avg_fn=blend)


class Pictures(lightning.Callback):
    """A grid of validation crops above their reconstructions, each epoch: a PNG file, and TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.is_global_zero or not isinstance(pl_module, EarModule):
            return
        images = validation_crops(trainer, GRID_PICTURES).to(pl_module.device)
        with torch.no_grad():
            reconstruction = pl_module.model(to_unit(images)).reconstruction
        rows = [torch.cat(list(row), dim=1) for row in (images, to_pixels(reconstruction))]
        grid = torch.cat(rows).cpu().numpy()
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"epoch_{trainer.current_epoch:03d}.png").write_bytes(to_png(grid))
        for logger in _tensorboards(trainer):
            logger.experiment.add_image("reconstructions", grid, trainer.global_step, dataformats="HWC")


class Projector(lightning.Callback):
    """The validation latents, with thumbnails, in TensorBoard's projector at the end of the run."""

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.is_global_zero or not isinstance(pl_module, EarModule) or pl_module.seen is None:
            return
        seen = pl_module.seen
        count = min(len(seen.mu), PROJECTED)
        images = to_unit(validation_crops(trainer, count))
        thumbnails = torch.nn.functional.interpolate(images, size=32, mode="area") / 2 + 0.5
        for logger in _tensorboards(trainer):
            logger.experiment.add_embedding(
                seen.mu[:count].cpu(),
                metadata=[str(label) for label in seen.labels[:count].tolist()],
                label_img=thumbnails,
                global_step=trainer.global_step,
                tag="latents",
            )


def validation_crops(trainer: lightning.Trainer, count: int) -> Tensor:
    """The first crops of the validation set, (N, S, S, 3) uint8."""
    loader: Any = trainer.val_dataloaders
    crops: Tensor = loader.dataset.images(0, count)
    return crops


def _tensorboards(trainer: lightning.Trainer) -> list[TensorBoardLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
