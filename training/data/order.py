"""In what order an epoch visits the pictures: a function of seed and epoch alone, shared out over devices.

Pictures of one ear are put near each other, so that a batch has partners for the contrastive term. Knows no pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class Key(NamedTuple):
    """Which item, and for which epoch's augmentation."""

    epoch: int
    item: int


def identity_order(labels: NDArray[np.int64], per_identity: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of all items in which `per_identity` items of one label follow each other, as far as there are any.

    Args:
        labels: (N,) int64, equal for pictures of one ear.
        per_identity: 1 shuffles freely.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    shuffled = generator.permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    ordered = labels[by_label]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    place = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
    group = np.cumsum((place % per_identity == 0).astype(np.int64)) - 1
    rank = generator.permutation(group[-1] + 1)
    return by_label[np.argsort(rank[group], kind="stable")]


class TrainOrder(Sampler[Key]):
    """Keys of one device's share of each epoch, whole batches only.

    Each step's items are `world` consecutive batches of the common order, so every device sees other items, and
    the step as a whole sees the same ones on any number of devices.
    """

    def __init__(
        self, labels: NDArray[np.int64], batch_size: int, per_identity: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self._labels, self._batch, self._per_identity, self._seed = labels, batch_size, per_identity, seed
        self._rank, self._world = rank, world
        self.epoch = 0
        self.steps = max(len(labels) // (batch_size * world), 1)

    def set_epoch(self, epoch: int) -> None:
        """The trainer calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps * self._batch

    def __iter__(self) -> Iterator[Key]:
        order = identity_order(self._labels, self._per_identity, self._seed, self.epoch)
        order = np.resize(order, self.steps * self._world * self._batch)  # repeats a set smaller than one step
        mine = order.reshape(self.steps, self._world, self._batch)[:, self._rank]
        return iter([Key(self.epoch, int(index)) for index in mine.ravel()])


class ValOrder(Sampler[Key]):
    """Every `world`-th item, padded by repetition: devices must run equally many batches. Who gathers drops repeats."""

    def __init__(self, count: int, rank: int = 0, world: int = 1) -> None:
        each = -(-count // world)
        self._mine = [(rank + step * world) % count for step in range(each)]

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[Key]:
        return iter([Key(0, index) for index in self._mine])


def identities(subjects: Sequence[str | None], sides: Sequence[str | None]) -> NDArray[np.int64]:
    """Labels (N,) int64: equal for pictures of one (subject, side), a label of its own where the subject is unknown."""
    names = [
        (subject, side) if subject is not None else number
        for number, (subject, side) in enumerate(zip(subjects, sides, strict=True))
    ]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
