"""From the flags to two data sets: read, split, examine every picture once, label.

What is wrong with the data is said here, before a network exists. Knows no trainer.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bundle.framing import Framing
from common.machine import memory_bytes
from common.records.layout import ReadOptions
from common.records.record import EarRecord
from training.config import TrainConfig
from training.data.crops import Crops, DecodedCrops, Examined, Framer, HeldCrops, examine, landmark_count
from training.data.dataset import EarDataset
from training.data.order import identities
from training.data.splits import load_splits
from training.data.trained_on import Digest, Digests, TrainedOn, check_disjoint
from training.errors import DataError

log = logging.getLogger(__name__)
SPLIT_FILE = "split.csv"


class EarSet(NamedTuple):
    """One side of the split, ready to be fed."""

    records: list[EarRecord]
    dataset: EarDataset
    labels: NDArray[np.int64]
    """(N,): equal for pictures of one identity (training: `--identity`; validation: one subject)."""
    digests: list[Digest]
    """Of the picture files."""


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
    trained_on: TrainedOn
    """The people and pictures of both sides, for the checkpoint."""


def framing(image_size_px: int) -> Framing:
    """The framing rule of a model for crops of this size."""
    return Framing(size_px=image_size_px)


def prepare(config: TrainConfig) -> Prepared:
    """Read, split and examine the data of a run; what was read as what, and how it was split, is logged.

    Raises:
        DataError: no usable data; a person or a picture on both sides; or entries that cannot be used, unless
            `--skip-unreadable`.
    """
    options = read_options(config)
    splits = load_splits(config.data, config.val, config.val_fraction, options, config.skip_unreadable)
    for note in splits.notes:
        log.info("%s", note)
    both = [*splits.train, *splits.val]
    count = landmark_count(both)
    framer = Framer(framing(config.model.image_size_px), config.crop == "box", count)
    held = _hold(config, len(both))
    train, val = (
        examine(records, framer, f"{name} pictures", hold=held, threads=max(config.num_workers, 2))
        for name, records in (("train", splits.train), ("val", splits.val))
    )
    for name, examined in (("train", train), ("val", val)):
        _judge(examined, config.skip_unreadable, name)
    check_disjoint(_by_digest(train), _by_digest(val))
    views = config.views if config.losses.contrastive > 0 else 1
    return Prepared(
        train=_ear_set(train, framer, held, config.identity == "ear", config.seed, views),
        val=_ear_set(val, framer, held, False, config.seed, 0),
        split=splits.how,
        landmarks=count,
        held=held,
        refused=[*splits.refused, *train.refused, *val.refused],
        sha256=f"{train.sha256}-{val.sha256}",
        trained_on=TrainedOn(
            Digests.of(train.kept, train.digests),
            Digests.of(val.kept, val.digests),
            nameless=any(record.subject is None for record in train.kept),
        ),
    )


def read_options(config: TrainConfig) -> ReadOptions:
    """How the sources of a run are read."""
    return ReadOptions(config.layout, config.subject_pattern)


def _ear_set(examined: Examined, framer: Framer, held: bool, with_side: bool, seed: int, views: int) -> EarSet:
    labels = label(examined.kept, with_side)
    crops: Crops = HeldCrops(examined.items) if held else DecodedCrops(examined.kept, framer)
    return EarSet(examined.kept, EarDataset(crops, labels, seed, views), labels, examined.digests)


def _by_digest(examined: Examined) -> dict[Digest, str]:
    return {digest: str(record.path) for digest, record in zip(examined.digests, examined.kept, strict=True)}


def label(records: Sequence[EarRecord], with_side: bool) -> NDArray[np.int64]:
    """Identity labels (N,) of records: one for each (subject, side), or for each subject."""
    return identities(
        [record.subject for record in records], [record.side if with_side else None for record in records]
    )


def _judge(examined: Examined, skip: bool, name: str) -> None:
    refused, total = examined.refused, len(examined.refused) + len(examined.kept)
    if not examined.kept:
        raise DataError(f"none of the {total} {name} pictures can be used; the first: {refused[0]}")
    if refused and not skip:
        raise DataError(
            f"{len(refused)} of {total} {name} pictures cannot be used; mend them or give --skip-unreadable: "
            + "; ".join(refused[:3])
        )


def write_split(out: Path, prepared: Prepared) -> None:
    """`out`/split.csv: split, subject, side and relative path of every picture of the run."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / SPLIT_FILE).open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        table = csv.writer(stream)
        table.writerow(("split", "subject", "side", "path"))
        for split, part in (("train", prepared.train), ("val", prepared.val)):
            table.writerows((split, record.subject, record.side, record.name) for record in part.records)


def _hold(config: TrainConfig, count: int) -> bool:
    if config.hold_crops != "auto":
        return config.hold_crops == "yes"
    return count * 3 * config.model.image_size_px**2 < memory_bytes() / 4
