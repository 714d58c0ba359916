"""What a run does beside learning: keeps to its time, averages its weights, and draws its validation pictures.

Changes no weight that learns; what it says of its progress is `training/fit/progress.py`'s business.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from bundle.image import to_png
from training.data.dataset import to_pixels, to_unit
from training.fit.module import EarModule
from training.fit.schedule import ScheduledModule

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
        if self._limit_s is not None and isinstance(pl_module, ScheduledModule):
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


class KeptCheckpoints(ModelCheckpoint):
    """Lightning's, but a run that was moved or copied finds its files in their new place."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        folder = Path(str(self.dirpath))

        def here(path: str) -> str:
            place = folder / Path(path).name
            return str(place) if path and place.is_file() else ""

        best = {here(path): score for path, score in state_dict["best_k_models"].items() if here(path)}
        worst = max(best, key=lambda path: float(best[path])) if best else ""
        moved: dict[str, Any] = {name: here(state_dict[name]) for name in ("best_model_path", "last_model_path")}
        moved |= {"dirpath": self.dirpath, "best_k_models": best, "kth_best_model_path": worst}
        if worst:
            moved["kth_value"] = best[worst]
        super().load_state_dict({**state_dict, **moved})


def last_checkpoint(folder: Path) -> ModelCheckpoint:
    """Keeps `last.ckpt`, the last epoch, in `folder`."""
    last = KeptCheckpoints(folder, filename="last", monitor=None, save_on_train_epoch_end=True)
    last.CHECKPOINT_NAME_LAST = "last"
    last._enable_version_counter = False
    return last


def best_checkpoints(folder: Path) -> ModelCheckpoint:
    """Keeps the best three by validation loss. The metric has no slash: it is part of a file name."""
    return KeptCheckpoints(
        folder, filename="{epoch:03d}-{val_loss:.4f}", monitor="val_loss", save_top_k=3, save_on_train_epoch_end=True
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
        if not trainer.is_global_zero or not isinstance(pl_module, EarModule) or pl_module.validated is None:
            return
        validated = pl_module.validated
        count = min(len(validated.mu), PROJECTED)
        images = to_unit(validation_crops(trainer, count))
        thumbnails = torch.nn.functional.interpolate(images, size=32, mode="area") / 2 + 0.5
        for logger in _tensorboards(trainer):
            logger.experiment.add_embedding(
                validated.mu[:count].cpu(),
                metadata=[str(label) for label in validated.labels[:count].tolist()],
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
