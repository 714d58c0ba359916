"""Rendered close-ups of ears with 17 landmarks, and the photo-like grey crops that the branch is learned on.

Reading, decoding and mirroring are those of training. Knows no networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.framing import Framing
from common.records.splits import split_of
from training.data.crops import Framer, HeldCrops, examine_all, landmark_count
from training.data.records import in_split, load
from training.data.trained_on import TrainedOn
from training.embedding.landmark_net import LANDMARKS
from training.embedding.photo_like import PhotoLike, photo_like
from training.errors import DataError

SIDE_PX = 176
"""Whole pictures are brought to this side, so that a batch has one size."""
BATCH = 128


class PhotoLikeCrops(NamedTuple):
    """What the branch is learned on."""

    grey: Tensor
    """(M, 1, 128, 128) uint8."""
    landmarks: Tensor
    """(M, 17, 2) float32 x, y as shares of the crop's side."""
    people: list[str]
    """M subjects; "" where unknown."""

    def rgb(self) -> NDArray[np.uint8]:
        """(M, 128, 128, 3) uint8 with three equal channels: a view, not a copy."""
        return np.broadcast_to(self.grey.numpy()[:, 0, :, :, None], (*self.grey.shape[:1], *self.grey.shape[2:], 3))


@dataclass(frozen=True)
class Rendered:
    """Rendered ears in left orientation, in memory: 93 kB a picture."""

    images: Tensor
    """(N, 176, 176, 3) uint8 RGB, with room around the ear."""
    landmarks: Tensor
    """(N, 17, 2) float32 x, y, pixels of `images`."""
    people: list[str]
    trained_on: TrainedOn
    """The record of a branch that learns from them."""

    @classmethod
    def read(cls, sources: Sequence[Path], limit: int | None = None) -> Self:
        """The pictures to train on of all `sources`: rows of split `train`, or all rows where there are no splits.

        Args:
            sources: whatever `ear-teacher train --data` takes, with 17 landmarks for every picture.
            limit: most pictures of each source.

        Raises:
            DataError: nothing to read, or pictures without 17 landmarks.
        """
        records = []
        for source in sources:
            rows = load(source, skip_unreadable=True).records
            if any(split_of(row) is not None for row in rows):
                rows = in_split(rows, "train", str(source))
            records += rows[:limit]
        if (count := landmark_count(records)) != LANDMARKS:
            raise DataError(f"the pictures have {count} landmarks; the aligned embedding is learned on {LANDMARKS}")
        framer = Framer(Framing(size_px=SIDE_PX), use_boxes=False, landmarks=LANDMARKS)
        examined = examine_all(records, framer, "rendered ears")
        held = HeldCrops(examined.items)
        if lacking := [row.name for row, weights in zip(examined.kept, held.weights, strict=True) if not weights.all()]:
            raise DataError(f"{len(lacking)} pictures lack landmarks (first: {lacking[0]}); all {LANDMARKS} are needed")
        people = [record.subject or "" for record in examined.kept]
        record = TrainedOn.of(examined.kept, examined.digests)
        return cls(torch.from_numpy(held.crops), torch.from_numpy(held.landmarks * SIDE_PX), people, record)

    def crops(self, rounds: int, seed: int) -> PhotoLikeCrops:
        """`rounds` photo-like crops of each picture."""
        random = torch.Generator().manual_seed(seed)
        grey, landmarks = [], []
        for _ in range(rounds):
            for start in range(0, len(self.people), BATCH):
                rows = slice(start, start + BATCH)
                made = photo_like(self.images[rows], self.landmarks[rows], PhotoLike(), random)
                grey.append((made.grey * 255).round().to(torch.uint8))
                landmarks.append(made.landmarks)
        return PhotoLikeCrops(torch.cat(grey), torch.cat(landmarks), self.people * rounds)
