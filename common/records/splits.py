"""What a source calls its splits: training, validation and test by their usual names, in any case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from common.records.record import EarRecord, RecordsError

Split = Literal["train", "val", "test"]
SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_of(record: EarRecord) -> Split | None:
    """train, val or test; None where the source says nothing.

    Raises:
        RecordsError: it says something else.
    """
    if record.split is None:
        return None
    if record.split.lower() not in SPLITS:
        raise RecordsError(f"{record.name}: split is {record.split!r}; {_allowed()}")
    return SPLITS[record.split.lower()]


def check_splits(records: Iterable[EarRecord], source: str) -> None:
    """Raise RecordsError where the column `split` holds words that are no split, naming each."""
    counts = Counter(r.split for r in records if r.split is not None and r.split.lower() not in SPLITS)
    if counts:
        words = ", ".join(f"{word!r} ({count} rows)" for word, count in sorted(counts.items())[:5])
        raise RecordsError(f"{source}: column 'split' has {words}; {_allowed()}")


def _allowed() -> str:
    return f"allowed are {', '.join(SPLITS)}, in any case, and nothing"
