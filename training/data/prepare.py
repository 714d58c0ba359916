"""From the flags to two data sets: read, split, survey every picture once, label.

What is wrong with the data is said here, before a network exists. Knows no trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bundle.framing import Framing
from common.machine import memory_bytes
from training.config import TrainConfig
from training.data.crops import Crops, DecodedCrops, Framer, HeldCrops, landmark_count, survey
from training.data.dataset import EarDataset
from training.data.order import identities
from training.data.records import EarRecord
from training.data.splits import load_splits
from training.errors import DataError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


class EarSet(NamedTuple):
    """One side of the split, ready to be fed."""

    records: list[EarRecord]
    dataset: EarDataset
    labels: NDArray[np.int64]
    """(N,): equal for pictures of one identity (training: `--identity`; validation: one subject)."""


class Prepared(NamedTuple):
    """Everything a run knows of its data."""

    train: EarSet
    val: EarSet
    split: str
    """In words, how the two were told apart."""
    landmarks: int
    held: bool
    """Whether crops stay in memory."""
    refused: list[str]
    """Pictures left out because they cannot be read (`--skip-unreadable`)."""
    sha256: str
    """Fingerprint of all pictures with their boxes, subjects and sides."""


def framing(image_size_px: int) -> Framing:
    """The framing rule of a model for crops of this size."""
    return Framing(size_px=image_size_px)


def prepare(config: TrainConfig, progress: Progress = lambda *_: None) -> Prepared:
    """Read and survey the data of a run.

    Raises:
        DataError: no usable data; or pictures that cannot be read, unless `--skip-unreadable`.
    """
    splits = load_splits(config.data, config.val, config.val_fraction)
    both = [*splits.train, *splits.val]
    count = landmark_count(both)
    framer = Framer(framing(config.model.image_size_px), config.crop == "box", count)
    held = _hold(config, len(both))
    views = config.views if config.losses.contrastive > 0 else 1
    sides = []
    refused: list[str] = []
    digests: list[str] = []
    for name, records, dice in (("train", splits.train, views), ("val", splits.val, 0)):
        total = len(records)

        def tell(done: int, name: str = name, total: int = total) -> None:
            progress(f"reading {name} pictures", done, total)

        found = survey(records, framer, hold=held, threads=max(config.num_workers, 2), progress=tell)
        refused += _judge(found.refused, total, config.skip_unreadable, name)
        digests.append(found.sha256)
        labels = label(found.kept, with_side=config.identity == "ear" and name == "train")
        crops: Crops = HeldCrops(found.items) if held else DecodedCrops(found.kept, framer)
        sides.append(EarSet(found.kept, EarDataset(crops, labels, config.seed, dice), labels))
    return Prepared(sides[0], sides[1], splits.how, count, held, refused, "-".join(digests))


def label(records: Sequence[EarRecord], with_side: bool) -> NDArray[np.int64]:
    """Identity labels (N,) of records: one for each (subject, side), or for each subject."""
    return identities(
        [record.subject for record in records], [record.side if with_side else None for record in records]
    )


def _judge(refused: list[str], total: int, skip: bool, name: str) -> list[str]:
    if len(refused) == total:
        raise DataError(f"none of the {total} {name} pictures can be used; the first: {refused[0]}")
    if refused and not skip:
        raise DataError(
            f"{len(refused)} of {total} {name} pictures cannot be used; mend them or give --skip-unreadable: "
            + "; ".join(refused[:3])
        )
    return refused


def _hold(config: TrainConfig, count: int) -> bool:
    if config.hold_crops != "auto":
        return config.hold_crops == "yes"
    return count * 3 * config.model.image_size_px**2 < memory_bytes() / 4
