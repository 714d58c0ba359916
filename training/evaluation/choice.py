"""Which pictures a model is judged on, which ones baselines learn from, and by what columns figures are sliced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from common.records.layout import ReadOptions
from common.records.record import EarRecord
from common.records.splits import Split, split_of
from training.config import LossWeights
from training.data.facts import MOST_VALUES
from training.data.records import in_split, load
from training.data.splits import TRAIN_FILE, VAL_FILE
from training.errors import ConfigError

SPLIT_CHOICES = ("train", "val", "test", "all")
_NO_SLICES = ("split",)


@dataclass(frozen=True)
class StudyConfig:
    """What to judge, on what, and how."""

    data: Path
    train: Path | None = None
    """What PCA, BSIF and the reader of sides learn from; None: the training part beside `data`, where there is one."""
    split: str | None = None
    """One of `SPLIT_CHOICES`; None: val where there is one, else test, else all pictures."""
    slices: tuple[str, ...] = ()
    """Columns to slice by; none: every column with few values."""
    gallery: int = 2
    """Pictures of a person in the gallery."""
    options: ReadOptions = field(default_factory=ReadOptions)
    crop: str = "box"
    baselines: bool = True
    samples: int = 200
    """Bootstrap resamplings behind each interval."""
    calibrated_on: str | None = None
    """What the pictures are, in a few words; None: the name of `data`."""
    losses: LossWeights = field(default_factory=lambda: LossWeights(perceptual=0.0))

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ConfigError(f"--samples {self.samples}: must be at least 2")
        if self.gallery < 1:
            raise ConfigError(f"--gallery {self.gallery}: must be at least 1")
        if self.split is not None and self.split not in SPLIT_CHOICES:
            raise ConfigError(f"--split {self.split!r}: must be one of {', '.join(SPLIT_CHOICES)}")

    @property
    def name(self) -> str:
        """What a calibration on these pictures says that it was made on."""
        return self.calibrated_on or self.data.resolve().name


class Chosen(NamedTuple):
    """The pictures of an evaluation."""

    judged: list[EarRecord]
    learned: list[EarRecord] | None
    """What baselines learn from."""
    refused: list[str]
    """One line for each entry of the source that cannot be used."""
    split: str
    """In words, which part of the data is judged."""


def pictures(config: StudyConfig) -> Chosen:
    """The pictures to judge the model on, and those that baselines learn from. Raises DataError."""
    source, train = config.data, config.train
    if (source / VAL_FILE).is_file() and config.split in (None, "val"):
        source = source / VAL_FILE
    if train is None and source.name == VAL_FILE and (source.parent / TRAIN_FILE).is_file():
        train = source.parent / TRAIN_FILE
    loaded = load(source, config.options, skip_unreadable=True)
    parts = {split_of(record) for record in loaded.records}
    judged, split = _judged(loaded.records, parts, config.split, source)
    if train is not None:
        return Chosen(judged, load(train, config.options, skip_unreadable=True).records, loaded.refused, split)
    learned = [] if split in ("train", "all") else [r for r in loaded.records if split_of(r) == "train"]
    return Chosen(judged, learned or None, loaded.refused, split)


def _judged(
    records: list[EarRecord], parts: set[Split | None], asked: str | None, source: Path
) -> tuple[list[EarRecord], str]:
    if asked is not None and asked != "all" and parts != {None}:
        return in_split(records, asked, str(source)), asked  # type: ignore[arg-type]
    if asked in ("train", "test"):
        in_split(records, asked, str(source))  # type: ignore[arg-type]  # raises: there are no splits
    if asked is None:
        name: Split
        for name in ("val", "test"):
            if name in parts:
                return in_split(records, name, str(source)), name
    return records, "all"


def slice_columns(records: Sequence[EarRecord], asked: Sequence[str] = ()) -> dict[str, list[str | None]]:
    """Column -> its value for each record: side, every attribute with few values, and how far the head is turned.

    Args:
        records: the judged pictures.
        asked: these columns and no others, however many values they have.

    Raises:
        ConfigError: a column that is not there.
    """
    names = sorted({name for record in records for name in record.attributes} - set(_NO_SLICES))
    columns: dict[str, list[str | None]] = {"side": [record.side for record in records]}
    columns |= {name: [record.attributes.get(name) for record in records] for name in names}
    pose = [_pose(record) for record in records]
    columns |= {"pose": pose} if any(pose) else {}
    if unknown := [name for name in asked if name not in columns]:
        raise ConfigError(f"--slice {unknown[0]}: the data has no such column; it has {', '.join(sorted(columns))}")
    if asked:
        return {name: columns[name] for name in asked}
    counts = {name: len({value for value in values if value is not None}) for name, values in columns.items()}
    return {name: values for name, values in columns.items() if 1 < counts[name] <= MOST_VALUES}


def _pose(record: EarRecord) -> str | None:
    """How far the head is turned, of data with `yaw` and `pitch` in degrees: the larger of the two."""
    try:
        angle = max(abs(float(record.attributes[name])) for name in ("yaw", "pitch"))
    except (KeyError, ValueError):
        return None
    return "under 8 degrees" if angle < 8 else "8 to 16 degrees" if angle < 16 else "over 16 degrees"
