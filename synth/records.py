"""The files of a set: metadata.csv and the two .npy lists that `ear-teacher train` reads.

Both are written when the pictures are there, the lists last, so that a list means a complete set.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synth.head.anatomy import LANDMARKS
from synth.pictures.picture import Ear, Picture

FACTS = (
    "yaw", "pitch", "roll", "light", "light_az", "light_el", "jpeg", "blur", "motion", "glasses", "jewellery"
)  # fmt: skip
MORE_FACTS = ("style", "taken_px")
"""After the landmarks: hair style, and the ear's height in pixels before the picture was enlarged."""


def columns() -> list[str]:
    """The header of metadata.csv; one row an ear, pictures without ears have one row with empty cells."""
    marks = [f"{name}_{part}" for name in LANDMARKS for part in ("x", "y", "vis")]
    start = ["split", "subject", "image", "path", "appearance", "side", "x1", "y1", "x2", "y2", "occluded", "hair_frac"]
    return [*start, *FACTS, *marks, *MORE_FACTS]


def rows(picture: Picture, folder: str, split: str) -> list[list[str]]:
    """A picture's rows, in the order of `columns`."""
    facts = picture.facts
    identity = [
        split,
        picture.subject,
        picture.image,
        f"{folder}/{picture.image}.jpg",
        str(facts.get("appearance", "")),
    ]
    conditions = [_cell(facts.get(name, "")) for name in FACTS]
    more = [_cell(facts.get(name, "")) for name in MORE_FACTS]
    if not picture.ears:
        return [identity + [""] * 7 + conditions + [""] * (3 * len(LANDMARKS)) + more]
    return [identity + _ear(ear) + conditions + _marks(ear) + more for ear in picture.ears]


def _ear(ear: Ear) -> list[str]:
    return [ear.side, *(f"{v:.1f}" for v in ear.box), str(int(ear.occluded)), f"{ear.hair:.3f}"]


def _marks(ear: Ear) -> list[str]:
    return [
        cell
        for (x, y), seen in zip(ear.landmarks, ear.visible, strict=True)
        for cell in (f"{x:.2f}", f"{y:.2f}", str(int(seen)))
    ]


def _cell(value: str | float | int) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def splits(subjects: Sequence[str], validation: float) -> dict[str, str]:
    """Subject -> train or val; the last of them, in their own order, are for validation."""
    ordered = sorted(set(subjects))
    kept = round(len(ordered) * validation)
    return {name: "val" if k >= len(ordered) - kept else "train" for k, name in enumerate(ordered)}


def write_metadata(path: Path, table: list[list[str]]) -> None:
    """metadata.csv."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns(), *table])


def write_lists(out: Path, table: list[list[str]]) -> None:
    """train_teacher.npy and val_teacher.npy: a dict of lists, one entry an ear."""
    at = {name: k for k, name in enumerate(columns())}
    x = [at[f"{name}_x"] for name in LANDMARKS]
    for split in ("train", "val"):
        ears = [row for row in table if row[at["split"]] == split and row[at["side"]]]
        lists = {
            "image_paths": [row[at["path"]] for row in ears],
            "bboxes": [[float(row[at[c]]) for c in ("x1", "y1", "x2", "y2")] for row in ears],
            "subjects": [row[at["subject"]] for row in ears],
            "sides": [row[at["side"]] for row in ears],
            "landmarks": [[[float(row[k]), float(row[k + 1])] for k in x] for row in ears],
            "visible": [[int(row[k + 2]) for k in x] for row in ears],
        }
        unfinished = out / f"{split}_teacher.partial.npy"
        np.save(unfinished, np.array(lists, dtype=object), allow_pickle=True)
        unfinished.replace(out / f"{split}_teacher.npy")
