"""Remake `bundle/golden_crops.npz`: `python -m tests.bundle.make_golden_crops FOLDER_OF_RENDERED_EARS`.

The folder holds `metadata.csv` and the renders that it names (3-D renders of the MakeHuman/MPFB2 head, CC0 1.0; no real
person's ear). Six were chosen by eye to differ in skin, light, pose, hair, jewellery and side; each is framed by
`bundle.image` with its box, and right ears are mirrored.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from bundle.golden import SHIPPED_CROPS
from bundle.image import Picture, frame, mirror, read

CHOSEN = ("s101_0126_01", "s101_0139_02", "s101_0141_00", "s101_0146_02", "s102_0149_04", "s103_0131_06")


def crop(folder: Path, row: dict[str, str]) -> Picture:
    box = (float(row["x1"]), float(row["y1"]), float(row["x2"]), float(row["y2"]))
    framed = frame(read(folder / row["path"]), box)
    return mirror(framed) if row["side"] == "right" else framed


def main(folder: Path) -> None:
    with open(folder / "metadata.csv", newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file) if row["image"] in CHOSEN}
    np.savez_compressed(SHIPPED_CROPS, crops=np.stack([crop(folder, rows[name]) for name in CHOSEN]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
