"""The run's data as the trainer wants it: loaders that know which device they feed."""

from __future__ import annotations

import lightning
import torch
from torch.utils.data import DataLoader

from training.data.dataset import Batch
from training.data.order import TrainOrder, ValOrder
from training.data.prepare import Prepared


class EarDataModule(lightning.LightningDataModule):
    """Loaders over a prepared data set.

    The orders share items out over devices themselves, so the trainer must not (`use_distributed_sampler=False`).
    """

    def __init__(self, prepared: Prepared, batch_size: int, per_identity: int, seed: int, num_workers: int) -> None:
        super().__init__()
        self.prepared = prepared
        self.batch_size = batch_size
        self._per_identity, self._seed, self._workers = per_identity, seed, num_workers

    def train_dataloader(self) -> DataLoader[Batch]:
        """Whole batches in the order of the epoch."""
        rank, world = self._place()
        train = self.prepared.train
        order = TrainOrder(train.labels, self.batch_size, self._per_identity, self._seed, rank, world)
        return self._loader(train.dataset, order)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Every picture once, in order, without augmentation."""
        rank, world = self._place()
        val = self.prepared.val
        return self._loader(val.dataset, ValOrder(len(val.records), rank, world))

    def _loader(self, dataset: object, order: TrainOrder | ValOrder) -> DataLoader[Batch]:
        return DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=self.batch_size,
            sampler=order,
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
