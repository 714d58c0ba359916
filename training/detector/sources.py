"""The detector's records: pictures with ears of known place, and what in them is certainly no ear.

Reads tables through `training.data.records`; opens pictures, but composes nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from bundle import image
from bundle.errors import BadBox
from bundle.framing import Box, check_box
from common.records.record import EarRecord, UnusableRow
from training.data.crops import landmark_count
from training.data.splits import load_splits
from training.errors import DataError

CLEARANCE = 0.35
"""Kept between an ear and what counts as free of ears, as a share of the box."""
CENTRE = "box_centre"
"""The one landmark of data that has boxes only."""
LEAST_PX = 24
"""Least side of an ear-free window."""


class Sources(NamedTuple):
    """Records of both splits."""

    train: list[EarRecord]
    val: list[EarRecord]
    landmark_names: tuple[str, ...]
    """`CENTRE` alone where no picture has landmarks."""
    unusable: list[UnusableRow] = []


def load_sources(paths: Sequence[Path], num_landmarks: int | None = None, val_fraction: float = 0.1) -> Sources:
    """Read several data sets as one; pictures that cannot be used are left out and listed.

    Args:
        paths: tables, teacher files or folders; each is split as `ear-teacher train` would split it.
        num_landmarks: how many there must be; None: as many as there are.
        val_fraction: share of the subjects held out where a data set has no split of its own.

    Raises:
        DataError: no picture can be used, other numbers of landmarks, or a subject on both sides.
    """
    splits = [load_splits(path, None, val_fraction) for path in paths]
    unusable: list[UnusableRow] = []
    train = _usable([record for split in splits for record in split.train], unusable)
    val = _usable([record for split in splits for record in split.val], unusable)
    for name, records in (("training", train), ("validation", val)):
        if not records:
            first = f"; the first: {unusable[0]}" if unusable else ""
            raise DataError(f"--data: no {name} picture has an ear box to learn from{first}")
    both = {r.subject for r in train if r.subject} & {r.subject for r in val if r.subject}
    if both:
        raise DataError(f"--data: subjects {sorted(both)[:3]} are in training and in validation")
    count = landmark_count([*train, *val])
    if num_landmarks is not None and count not in (0, num_landmarks):
        raise DataError(f"--data has {count} landmarks; the detector has {num_landmarks}")
    if count == 0 and num_landmarks in (None, 1):
        train, val = ([_with_centre(record) for record in records] for records in (train, val))
        return Sources(train, val, (CENTRE,), unusable)
    names = next((columns for path in paths if (columns := landmark_names(path))), ())
    if len(names) != count:
        names = tuple(f"landmark_{number}" for number in range(count))
    return Sources(train, val, names, unusable)


def load_free(paths: Sequence[Path], val_fraction: float = 0.1) -> tuple[list[EarRecord], list[EarRecord]]:
    """Pictures without any ear, for training and for validation, split as `load_sources` splits.

    Raises:
        DataError: a picture has an ear box, or cannot be read.
    """
    splits = [load_splits(path, None, val_fraction) for path in paths]
    for record in (record for split in splits for record in (*split.train, *split.val)):
        if record.box is not None:
            raise DataError(
                f"--negatives: {record.name} has an ear box; give pictures without ears, the others as --data"
            )
        if (problem := _header_problem(record)) is not None:
            raise DataError(f"--negatives: {record.name}: {problem}")
    return [r for split in splits for r in split.train], [r for split in splits for r in split.val]


def _with_centre(record: EarRecord) -> EarRecord:
    """The record with its box's centre in place of landmarks."""
    assert record.box is not None
    x1, y1, x2, y2 = record.box
    centre = np.array([[(x1 + x2) / 2, (y1 + y2) / 2]], np.float32)
    return replace(record, landmarks=centre, visible=np.array([True]))


def _usable(records: Sequence[EarRecord], unusable: list[UnusableRow]) -> list[EarRecord]:
    """The records whose picture and box can be used; the others are added to `unusable`."""
    usable = []
    for record in records:
        problem = _problem(record)
        if problem is None:
            usable.append(record)
        else:
            unusable.append(UnusableRow(record.name, problem))
    return usable


def _problem(record: EarRecord) -> str | None:
    """Why a picture cannot be used, in few words; opens the file's header only."""
    return "no ear box" if record.box is None else _header_problem(record)


def _header_problem(record: EarRecord) -> str | None:
    try:
        with Image.open(io.BytesIO(record.read())) as picture:
            width, height = picture.size
            if picture.getexif().get(ExifTags.Base.Orientation, 1) > 4:  # lying on its side
                width, height = height, width
        if record.box is not None:
            check_box(record.box, width, height)
    except BadBox:
        return "box outside the picture or too small"
    except (OSError, ValueError, Image.DecompressionBombError):
        return "cannot be read"
    return None


def landmark_names(path: Path) -> tuple[str, ...]:
    """Names of the columns `<name>_x`, `<name>_y` of a table, in order; empty for data without names."""
    table = path / "metadata.csv" if path.is_dir() else path
    if path.suffix == ".npy":
        table = path.parent / "metadata.csv"
    if table.suffix != ".csv" or not table.is_file():
        return ()
    with table.open(newline="", encoding="utf-8-sig") as stream:
        columns = next(csv.reader(stream), [])
    return tuple(name[:-2] for name in columns if name.endswith("_x") and f"{name[:-2]}_y" in columns)


def some_subjects(records: Sequence[EarRecord], share: float, seed: int) -> list[EarRecord]:
    """The records of a share of the subjects (of the pictures, where no subject is known), at least one."""
    owners = sorted({record.subject or record.name for record in records})
    generator = np.random.default_rng(seed)
    chosen = set(generator.permutation(owners)[: max(round(len(owners) * share), 1)].tolist())
    return [record for record in records if (record.subject or record.name) in chosen]


def read(record: EarRecord) -> tuple[NDArray[np.uint8], Box]:
    """The picture, (H, W, 3) uint8 RGB, and the box of its ear."""
    assert record.box is not None  # load_sources let no other in
    return image.decode(record.read()), record.box


def free_windows(box: Box, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The strips beside, above and below an ear, clear of it, as whole pixels x1, y1, x2, y2; may be empty."""
    x1, y1, x2, y2 = box
    wide, high = (x2 - x1) * CLEARANCE, (y2 - y1) * CLEARANCE
    left, right = int(x1 - wide), int(np.ceil(x2 + wide))
    top, bottom = int(y1 - high), int(np.ceil(y2 + high))
    strips = [(0, 0, left, height), (right, 0, width, height), (0, 0, width, top), (0, bottom, width, height)]
    return [strip for strip in strips if strip[2] - strip[0] >= LEAST_PX and strip[3] - strip[1] >= LEAST_PX]


def free_picture(record: EarRecord, generator: np.random.Generator) -> NDArray[np.uint8] | None:
    """A part of the picture without its ear, (h, w, 3) uint8; None where the ear fills the picture.

    All of the picture, where the record is of one without ears.
    """
    if record.box is None:
        return image.decode(record.read())
    picture, box = read(record)
    strips = free_windows(box, picture.shape[1], picture.shape[0])
    if not strips:
        return None
    areas = np.array([(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in strips], float)
    x1, y1, x2, y2 = strips[int(generator.choice(len(strips), p=areas / areas.sum()))]
    return np.ascontiguousarray(picture[y1:y2, x1:x2])
