"""Which pictures train and which validate.

Knows the ways in which users keep a split (two teacher files, a column or folders named as splits, none at all) and
that a person must never be on both sides. Opens no picture.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.records.layout import ReadOptions
from common.records.record import EarRecord
from common.records.splits import split_of
from training.data.records import in_split, load
from training.errors import ConfigError, DataError

TRAIN_FILE, VAL_FILE = "train_teacher.npy", "val_teacher.npy"
LEAST_HELD_OUT = 5
"""People (pictures, where no subject is known) that are held out at least: fewer say nothing of anybody else."""
NO_SUBJECTS = (
    "no subjects are known, so pictures are held out one by one: people may be on both sides, and validation figures "
    "may flatter the model (give subjects: a folder a person, --subject-pattern, or a column 'subject')"
)


class Splits(NamedTuple):
    """Records for training and for validation."""

    train: list[EarRecord]
    val: list[EarRecord]
    how: str
    """In words, how they were told apart, and how many people and pictures validate."""
    refused: list[str]
    """One line for each entry that cannot be used (`--skip-unreadable`)."""
    notes: list[str]
    """What was read as what, and what a user should know of the split; one line each."""


def load_splits(
    data: Path,
    val: Path | None = None,
    val_fraction: float = 0.1,
    options: ReadOptions | None = None,
    skip_unreadable: bool = False,
) -> Splits:
    """Find the training and the validation pictures.

    Args:
        data: a folder with `train_teacher.npy` and `val_teacher.npy`; or any source that `common.records` reads.
        val: validation pictures, in any layout; None: `val_teacher.npy` beside the training file, else the rows whose
            split is val, else a share of the subjects.
        val_fraction: that share, in (0, 1).
        options: how the sources are read.
        skip_unreadable: leave out entries that cannot be used.

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
    loaded = load(source, options, skip_unreadable)
    trainable, notes = _trainable(loaded.records, str(source))
    refused, notes = loaded.refused, [loaded.summary, *notes]
    if val is not None:
        other = load(val, options, skip_unreadable)
        refused, notes = refused + other.refused, [*notes, other.summary]
        validating = in_split(other.records, "val", str(val)) if any(map(split_of, other.records)) else other.records
        how = f"{source.name} and {val.name}"
    elif validating := [record for record in loaded.records if split_of(record) == "val"]:
        how = "column 'split'" if _has_column(validating) else "folders named as splits"
    else:
        trainable, validating = hold_out(trainable, val_fraction)
        how = f"{val_fraction:.0%} held out{_why_so_few(trainable, validating)}"
    splits = Splits(trainable, validating, f"{how}: {_size(trainable, validating)}", refused, notes)
    if not all(record.subject for record in (*trainable, *validating)):
        notes.append(NO_SUBJECTS if not any(record.subject for record in trainable) else _SOME_SUBJECTS)
    _check_disjoint(splits)
    return splits


_SOME_SUBJECTS = "some pictures have no subject: the people in them may be on both sides"


def _has_column(records: Sequence[EarRecord]) -> bool:
    return any(record.split != record.name.split("/")[0] for record in records)


def _trainable(records: Sequence[EarRecord], source: str) -> tuple[list[EarRecord], list[str]]:
    """What may be trained on: everything where no row names a split, else the rows of train and no others."""
    counts = Counter(map(split_of, records))
    if set(counts) == {None}:
        return list(records), []
    others = [f"{counts['test']} of test"] if counts["test"] else []
    others += [f"{counts[None]} without a split"] if counts[None] else []
    notes = [f"not trained on: pictures {' and '.join(others)}"] if others else []
    return in_split(records, "train", source), notes


def _size(train: Sequence[EarRecord], val: Sequence[EarRecord]) -> str:
    people = len({record.subject for record in val if record.subject})
    total = len({record.subject for record in (*train, *val) if record.subject})
    who = f"{people} of {total} people, " if total else ""
    return f"{who}{len(val)} of {len(train) + len(val)} pictures validate"


def _why_so_few(train: Sequence[EarRecord], val: Sequence[EarRecord]) -> str:
    held, left = (len({_owner(record) for record in records}) for records in (val, train))
    if held >= LEAST_HELD_OUT:
        return ""
    what = "people" if any(record.subject for record in val) else "pictures"
    return f" (fewer than {LEAST_HELD_OUT} {what}, since only {held + left} are there and training needs half of them)"


def hold_out(records: Sequence[EarRecord], fraction: float) -> tuple[list[EarRecord], list[EarRecord]]:
    """Hold out about `fraction` of the subjects, at least `LEAST_HELD_OUT` but never more than half of a few.

    A subject is chosen by the hash of its name, so the same names give the same split, and pictures that are added
    move nobody. A picture of an unknown subject is taken for a subject of its own, by its name within the source.

    Raises:
        DataError: there are not two of them.
    """
    ranked = sorted({_owner(record) for record in records}, key=_rank)
    if len(ranked) < 2:
        raise DataError("a validation set needs a second subject (or picture): give one by --val")
    share = sum(_rank(owner) < fraction for owner in ranked)
    least = max(min(LEAST_HELD_OUT, len(ranked) // 2), 1)
    chosen = set(ranked[: min(max(share, least), len(ranked) - 1)])
    train = [record for record in records if _owner(record) not in chosen]
    return train, [record for record in records if _owner(record) in chosen]


def _owner(record: EarRecord) -> str:
    return record.subject if record.subject is not None else f"picture {record.name}"


def _rank(owner: str) -> float:
    """A fixed, evenly spread number in [0, 1) for a name."""
    digest = hashlib.sha256(owner.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _check_disjoint(splits: Splits) -> None:
    both = {r.subject for r in splits.train if r.subject} & {r.subject for r in splits.val if r.subject}
    if both:
        raise DataError(
            f"{len(both)} subjects are in training and in validation ({', '.join(sorted(both)[:3])}): figures would "
            "flatter the model. Split by subject, or give --val pictures of other people"
        )
