"""Makes the demo ears out of the rendered-ears data set: fewer people, smaller pictures, the same columns.

    python -m demo.make_ears SOURCE [demo/ears]

SOURCE holds `metadata.csv` and `crops/`. The pictures are CC0 1.0 renders of 3-D heads, not photographs of people.
Splits stay as they are (by subject), so a model trained on the source's train split has never seen the demo's
validation subjects. Knows nothing of networks.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX = 144
JPEG_QUALITY = 75
PEOPLE = {"train": 168, "val": 40}
KEPT_COLUMNS = (
    "split",
    "subject",
    "path",
    "appearance",
    "side",
    "x1",
    "y1",
    "x2",
    "y2",
    "occluded",
    "yaw",
    "pitch",
    "roll",
    "light",
)

Row = dict[str, str]


def chosen_rows(rows: list[Row]) -> Iterator[Row]:
    """Every picture of the first people of each split, half with fixed and half with random appearance."""
    for split, people in PEOPLE.items():
        for appearance in ("fixed", "random"):
            here = [row for row in rows if row["split"] == split and row["appearance"] == appearance]
            subjects = set(list(dict.fromkeys(row["subject"] for row in here))[: people // 2])
            yield from (row for row in here if row["subject"] in subjects)


def landmark_names(row: Row) -> list[str]:
    """The landmarks that have a `<name>_x`, `<name>_y` and `<name>_vis` column, in the file's order."""
    return [key.removesuffix("_vis") for key in row if key.endswith("_vis")]


def scaled(row: Row, scale: float) -> Row:
    """A row with the kept columns, its box and landmarks in pixels of the smaller picture."""
    names = landmark_names(row)
    out = {key: row[key] for key in KEPT_COLUMNS}
    for key in [*("x1", "y1", "x2", "y2"), *(f"{name}_{axis}" for name in names for axis in "xy")]:
        out[key] = f"{float(row[key]) * scale:.1f}"
    return out | {f"{name}_vis": row[f"{name}_vis"] for name in names}


def teacher_file(rows: list[Row]) -> dict[str, object]:
    """The `*_teacher.npy` dict: paths, boxes (N x 4 px), subjects, sides, landmarks (N, 17, 2) px, visible (N, 17)."""
    names = landmark_names(rows[0])
    points = [[[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in names] for row in rows]
    return {
        "image_paths": [row["path"] for row in rows],
        "bboxes": [[float(row[key]) for key in ("x1", "y1", "x2", "y2")] for row in rows],
        "subjects": [row["subject"] for row in rows],
        "sides": [row["side"] for row in rows],
        "landmarks": np.asarray(points, np.float32),
        "visible": np.asarray([[row[f"{name}_vis"] == "1" for name in names] for row in rows]),
    }


def make(source: Path, target: Path) -> None:
    """Write `target`/crops, metadata.csv, train_teacher.npy and val_teacher.npy."""
    with (source / "metadata.csv").open(newline="") as file:
        rows = list(chosen_rows(list(csv.DictReader(file))))
    (target / "crops").mkdir(parents=True, exist_ok=True)
    small: list[Row] = []
    for row in rows:
        with Image.open(source / row["path"]) as picture:
            small.append(scaled(row, SIDE_PX / picture.width))
            shrunk = picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        shrunk.save(target / row["path"], "JPEG", quality=JPEG_QUALITY, optimize=True)
    with (target / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(small[0]))
        writer.writeheader()
        writer.writerows(small)
    for split in PEOPLE:
        record = np.array(teacher_file([row for row in small if row["split"] == split]), dtype=object)
        np.save(target / f"{split}_teacher.npy", record, allow_pickle=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "demo/ears"))
