"""Crops, labels and augmentation parameters as tensors, one item at a time.

Leaves pixels as bytes and augments nothing: both are cheaper on the whole batch, on the device that trains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.data.augment import draw
from training.data.crops import Crops
from training.data.order import Key


class Batch(NamedTuple):
    """What a step gets; `EarDataset` gives the same without the leading B."""

    images: Tensor
    """(B, S, S, 3) uint8 RGB, left orientation."""
    labels: Tensor
    """(B,) int64: equal for pictures of one ear."""
    indexes: Tensor
    """(B,) int64: the item's number in its data set."""
    landmarks: Tensor
    """(B, K, 2) float32, shares of the crop's side."""
    weights: Tensor
    """(B, K) float32: how much each landmark counts, 0 where it is not known."""
    augment_params: Tensor
    """(B, V, UNIFORMS) float32 in [0, 1): for each of V views."""


class EarDataset(Dataset[Batch]):
    """Items by `Key`.

    Args:
        crops: framed ears.
        labels: (N,) int64.
        seed, views: what the augmentation parameters depend on, and for how many views; 0 views for validation.
    """

    def __init__(self, crops: Crops, labels: NDArray[np.int64], seed: int = 0, views: int = 0) -> None:
        self._crops, self.labels, self._seed, self._views = crops, labels, seed, views

    def __len__(self) -> int:
        return len(self._crops)

    def images(self, start: int, stop: int) -> Tensor:
        """Crops `start` to `stop - 1` as they are, (N, S, S, 3) uint8."""
        return torch.from_numpy(np.stack([self._crops[item].crop for item in range(start, min(stop, len(self)))]))

    def __getitem__(self, key: Key) -> Batch:
        framed = self._crops[key.item]
        augment_params = [draw(self._seed, key.epoch, key.item, view) for view in range(self._views)]
        return Batch(
            images=torch.from_numpy(framed.crop),
            labels=torch.tensor(self.labels[key.item]),
            indexes=torch.tensor(key.item),
            landmarks=torch.from_numpy(framed.landmarks),
            weights=torch.from_numpy(framed.weights),
            augment_params=torch.from_numpy(np.array(augment_params, dtype=np.float32)),
        )


def to_unit(images: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float32 in [-1, 1], as the exported graph does it."""
    return images.float().permute(0, 3, 1, 2).contiguous() / 127.5 - 1


def to_pixels(images: Tensor) -> Tensor:
    """(B, 3, S, S) float32 in [-1, 1] -> (B, S, S, 3) uint8, rounded, as the exported graph does it."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)
