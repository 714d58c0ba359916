"""The detector's data: whole steps by number, each a function of seed and step alone, and validation letterboxes.

Devices see different steps of one sequence, so a run is the same on any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bundle.landmarks import LETTERBOX_PX, letterbox
from common.records.record import EarRecord
from training.data.augment import draw
from training.detector.config import DetectorConfig, DetectorRun
from training.detector.ear_crops import CropMaker, FramedCrop
from training.detector.scenes import Scene, SceneMaker
from training.detector.sources import read

MOST_EARS = 2
"""In a composed scene."""


class StepBatch(NamedTuple):
    """What one step gets."""

    scenes: Tensor
    """(P, S, S, 3) uint8 RGB."""
    boxes: Tensor
    """(P, 2, 4) float32, pixels of the letterbox."""
    right: Tensor
    """(P, 2) float32: 1 right, 0 left, 0.5 not known."""
    present: Tensor
    """(P, 2) float32: 1 where there is a box."""
    crops: Tensor
    """(M, C, C, 3) uint8 RGB."""
    points: Tensor
    """(M, K + 4, 2) float32, shares of the side: landmarks, then the middles of the box's edges."""
    weights: Tensor
    """(M, K) float32."""
    visible: Tensor
    """(M, K) float32."""
    labels: Tensor
    """(M, 3) float32: mirrored, is an ear, whether `mirrored` is known."""
    augment_params: Tensor
    """(M, UNIFORMS) float32 in [0, 1)."""


class ValBatch(NamedTuple):
    """Letterboxed photos and what is in them."""

    pictures: Tensor
    """(B, 640, 640, 3) uint8."""
    boxes: Tensor
    """(B, 4) float32."""
    points: Tensor
    """(B, K, 2) float32; zeros where not known."""
    weights: Tensor
    """(B, K) float32: 1 for a landmark that is known."""


class Steps(Dataset[StepBatch]):
    """Steps of a run by number. free: pictures without ears."""

    def __init__(
        self, records: Sequence[EarRecord], config: DetectorConfig, run: DetectorRun, free: Sequence[EarRecord] = ()
    ) -> None:
        self._scenes = SceneMaker(records, min(config.coarse_px, LETTERBOX_PX), free)
        self._crops = CropMaker(records, config.model.image_size_px, config.num_landmarks, config.context, free)
        self._records, self._run = records, run

    def __len__(self) -> int:
        return max(len(self._records) // self._run.crops_per_step, 1)

    def __getitem__(self, step: int) -> StepBatch:
        run = self._run
        generator = np.random.Generator(np.random.Philox(key=[run.seed, step]))
        scenes = [self._scenes(generator) for _ in range(run.scenes)]
        numbers = order(len(self._records), run.seed, step, run.crops_per_step)
        crops = [self._crops(int(number), generator) for number in numbers]
        augment_params = [draw(run.seed, step, place, 0) for place in range(run.crops_per_step)]
        return StepBatch(*_scenes(scenes), *_crops(crops), torch.from_numpy(np.stack(augment_params)))


def order(count: int, seed: int, step: int, size: int) -> NDArray[np.int64]:
    """Which records a step takes: each once in `count // size` steps, in an order of that round's own."""
    rounds = max(count // size, 1)
    shuffled = np.random.Generator(np.random.Philox(key=[seed, 1 << 40 | step // rounds])).permutation(count)
    start = step % rounds * size
    return np.resize(shuffled, max(count, size))[start : start + size]


def _scenes(scenes: Sequence[Scene]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    boxes, right = np.zeros((len(scenes), MOST_EARS, 4), np.float32), np.zeros((len(scenes), MOST_EARS), np.float32)
    present = np.zeros_like(right)
    for row, scene in enumerate(scenes):
        count = len(scene.boxes)
        boxes[row, :count], right[row, :count], present[row, :count] = scene.boxes, scene.right, 1
    pictures = torch.from_numpy(np.stack([scene.picture for scene in scenes]))
    return pictures, torch.from_numpy(boxes), torch.from_numpy(right), torch.from_numpy(present)


def _crops(crops: Sequence[FramedCrop]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    labels = np.array([(crop.mirrored, crop.ear, crop.oriented) for crop in crops], np.float32)
    columns = [np.stack([getattr(crop, name) for crop in crops]) for name in ("crop", "points", "weights", "visible")]
    pictures, points, weights, visible = map(torch.from_numpy, columns)
    return pictures, points, weights, visible, torch.from_numpy(labels)


class Photos(Dataset[ValBatch]):
    """Records as letterboxed photos, one each."""

    def __init__(self, records: Sequence[EarRecord], landmarks: int) -> None:
        self._records, self._landmarks = records, landmarks

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> ValBatch:
        record = self._records[number]
        picture, box = read(record)
        square = letterbox(picture)
        shift = np.array([square.left, square.top])
        points, weights = np.zeros((self._landmarks, 2)), np.zeros(self._landmarks)
        if record.landmarks is not None:
            weights = np.isfinite(record.landmarks).all(axis=1).astype(float)
            points = np.nan_to_num(record.landmarks * square.scale + shift)
        corners = (np.reshape(box, (2, 2)) * square.scale + shift).ravel()
        values = (torch.from_numpy(array.astype(np.float32)) for array in (corners, points, weights))
        return ValBatch(torch.from_numpy(square.picture), *values)


class DetectorData(lightning.LightningDataModule):
    """Loaders over steps and validation photos.

    Args:
        steps: of an epoch and beyond, by number.
        val: the photos of validation.
        landmarks: K.
        workers: processes that compose pictures; 0: none.
    """

    def __init__(self, steps: Steps, val: Sequence[EarRecord], landmarks: int, workers: int) -> None:
        super().__init__()
        self._steps, self._val, self._landmarks, self._workers = steps, val, landmarks, workers

    def train_dataloader(self) -> DataLoader[StepBatch]:
        """The steps of the current epoch that are this device's."""
        epoch, rank, world = self._place()
        each = max(len(self._steps) // world, 1)
        numbers = [(epoch * each + step) * world + rank for step in range(each)]
        return DataLoader(self._steps, batch_size=None, sampler=numbers, num_workers=self._workers)

    def val_dataloader(self) -> DataLoader[ValBatch]:
        """Photos without augmentation, shared out over devices."""
        _, rank, world = self._place()
        numbers = list(range(rank, len(self._val), world))
        return DataLoader(Photos(self._val, self._landmarks), batch_size=4, sampler=numbers)

    def _place(self) -> tuple[int, int, int]:
        if self.trainer is None:
            return 0, 0, 1
        return self.trainer.current_epoch, self.trainer.global_rank, self.trainer.world_size
