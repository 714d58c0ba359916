"""The records of a run's data: `common.records` with this room's errors, and what is not there told before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from common.records.layout import ReadOptions
from common.records.reader import read_records
from common.records.record import EarRecord, RecordsError
from common.records.splits import Split, check_splits, split_of
from training.data.trained_on import TrainedOn, picture_digest
from training.errors import DataError


class Loaded(NamedTuple):
    """The records whose pictures exist, and one line for each entry that cannot be used."""

    records: list[EarRecord]
    refused: list[str]
    summary: str
    """One line: which layout was taken, how many pictures and people."""


def load(path: str | Path, options: ReadOptions | None = None, skip_unreadable: bool = False) -> Loaded:
    """Read a source of pictures.

    Raises:
        DataError: nothing there; a split of no known name; or entries that cannot be used or pictures that do not
            exist, unless `skip_unreadable`.
    """
    try:
        found = read_records(path, options)
        check_splits(found.records, str(path))
    except RecordsError as error:
        raise DataError(f"--data {error}") from None
    missing = [record for record in found.records if not record.place.exists()]
    refused = [*map(str, found.unusable), *(f"{record.path}: does not exist" for record in missing)]
    if refused and not skip_unreadable:
        what = [f"{len(missing)} of {len(found.records)} pictures do not exist"] if missing else []
        what += [f"{len(found.unusable)} entries cannot be used"] if found.unusable else []
        raise DataError(f"{path}: {', '.join(what)}; mend them or give --skip-unreadable: " + "; ".join(refused[:3]))
    gone = set(map(id, missing))
    records = [record for record in found.records if id(record) not in gone]
    if not records:
        raise DataError(f"{path}: no pictures" + (f" that can be used; the first: {refused[0]}" if refused else ""))
    return Loaded(records, refused, str(found))


def load_records(path: str | Path, split: Split | None = None, options: ReadOptions | None = None) -> list[EarRecord]:
    """`load`, strictly; with `split`, only the rows of that split. Raises DataError."""
    records = load(path, options).records
    return records if split is None else in_split(records, split, str(path))


def declared(sources: Sequence[Path]) -> TrainedOn:
    """The record of a model that says nothing itself and was trained on these sources: rows of split train, or all of a
    source without splits; rows of split val validated. Raises DataError."""
    train, val = [], []
    for source in sources:
        for record in load(source).records:
            if (split := split_of(record)) in (None, "train"):
                train.append(record)
            elif split == "val":
                val.append(record)
    of_train, of_val = (TrainedOn.of(part, (picture_digest(r.read()) for r in part)) for part in (train, val))
    return replace(of_train, val=of_val.train)


def in_split(records: Sequence[EarRecord], split: Split, source: str) -> list[EarRecord]:
    """The rows of one split. Raises DataError where there are none."""
    chosen = [record for record in records if split_of(record) == split]
    if not chosen:
        there = sorted({name for record in records if (name := split_of(record)) is not None})
        raise DataError(f"{source}: no pictures in split {split!r}; there are: {', '.join(there) or 'no splits'}")
    return chosen
