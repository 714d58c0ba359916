"""Which pictures train and which validate.

Knows the three ways users keep a split (two teacher files, a `split` column, none at all) and that a subject must never
be on both sides. Opens no picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from training.data.records import EarRecord, load_records
from training.errors import ConfigError, DataError

TRAIN_FILE, VAL_FILE = "train_teacher.npy", "val_teacher.npy"


class Splits(NamedTuple):
    """Records for training and for validation, and in words how they were told apart."""

    train: list[EarRecord]
    val: list[EarRecord]
    how: str


def load_splits(data: Path, val: Path | None = None, val_fraction: float = 0.1) -> Splits:
    """Find the training and the validation pictures.

    Args:
        data: a folder with `train_teacher.npy` and `val_teacher.npy`; or a table, a teacher file, a folder of pictures.
        val: validation pictures in any format; None: `val_teacher.npy` beside the training file, else the rows whose
            column `split` is `val`, else a share of the subjects.
        val_fraction: that share, in (0, 1).

    Raises:
        ConfigError: `val_fraction` is no share.
        DataError: nothing there, or a subject is on both sides.
    """
    if not 0 < val_fraction < 1:
        raise ConfigError(f"--val-fraction {val_fraction}: must be between 0 and 1")
    source = data / TRAIN_FILE if (data / TRAIN_FILE).is_file() else data
    beside = source.parent / VAL_FILE
    if val is None and source.name == TRAIN_FILE and beside.is_file():
        val = beside
    if val is not None:
        splits = Splits(load_records(source), load_records(val), f"{source.name} and {val.name}")
    else:
        splits = _divide(load_records(source), val_fraction)
    _check_disjoint(splits)
    return splits


def _divide(records: Sequence[EarRecord], val_fraction: float) -> Splits:
    named = {record.attributes.get("split") for record in records}
    if {"train", "val"} <= named:
        train, val = ([r for r in records if r.attributes.get("split") == name] for name in ("train", "val"))
        return Splits(train, val, "column 'split'")
    train, val = hold_out(records, val_fraction)
    return Splits(
        train, val, f"{val_fraction:.0%} of the subjects held out (of the pictures, where no subject is known)"
    )


def hold_out(records: Sequence[EarRecord], fraction: float) -> tuple[list[EarRecord], list[EarRecord]]:
    """Hold out about `fraction` of the subjects, always the same ones for the same names.

    A subject is chosen by the hash of its name, so that adding pictures moves nobody to the other side. A picture of an
    unknown subject is taken for a subject of its own.
    """
    train: list[EarRecord] = []
    val: list[EarRecord] = []
    ranked = sorted({_owner(record) for record in records}, key=_rank)
    if len(ranked) < 2:
        raise DataError("a validation set needs a second subject (or picture): give one by --val")
    chosen = {owner for owner in ranked if _rank(owner) < fraction} or {ranked[0]}
    if len(chosen) == len(ranked):
        chosen.remove(ranked[-1])
    for record in records:
        (val if _owner(record) in chosen else train).append(record)
    return train, val


def _owner(record: EarRecord) -> str:
    return record.subject if record.subject is not None else f"picture {record.path.name}"


def _rank(owner: str) -> float:
    """A fixed, evenly spread number in [0, 1) for a name."""
    return int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8], "big") / 2**64


def _check_disjoint(splits: Splits) -> None:
    both = {r.subject for r in splits.train if r.subject} & {r.subject for r in splits.val if r.subject}
    if both:
        raise DataError(
            f"{len(both)} subjects are in training and in validation ({', '.join(sorted(both)[:3])}): figures would "
            "flatter the model. Split by subject, or give --val pictures of other people"
        )
