"""Photographs of ears to measure on, in the layouts in which they are distributed; and photographs without ears.

AMI (Gonzalez, Alvarez & Mazorra 2012, Universidad de Las Palmas): `PPP_view_ear.jpg` in one folder, a whole side of the
head. EarVN1.0 (Hoang 2019): `001.Name/001 (1).jpg`, tight crops of unknown side. Both are free for research and not for
commercial use: they stay outside the repository, and no shipped model is trained on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

EARVN_PER_PERSON = 8
AMI_NAME = re.compile(r"(?P<subject>\d+)_\w+_ear\.jpg", re.IGNORECASE)
EAR_FREE = {
    "skimage": "brick.png chelsea.png chessboard_RGB.png clock_motion.png coffee.png coins.png color.png grass.png "
    "gravel.png horse.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png page.png retina.jpg rocket.jpg "
    "text.png",
    "sklearn": "china.jpg flower.jpg",
}
"""Pictures that packages ship and that show no ear of a person (the cat's are not meant to be reported)."""


@dataclass(frozen=True)
class Photo:
    """One photograph and whom it shows. `whole`: the head is seen, so the ear has to be detected in it."""

    path: Path
    subject: str
    whole: bool


def ami(folder: Path) -> list[Photo]:
    """Every picture of AMI in the order of the names. Raises ValueError where the folder holds none."""
    matches = [(path, AMI_NAME.fullmatch(path.name)) for path in sorted(folder.iterdir())]
    photos = [Photo(path, match["subject"], True) for path, match in matches if match]
    if not photos:
        raise ValueError(f"{folder} holds no picture named like 000_front_ear.jpg, as AMI's are")
    return photos


def earvn(folder: Path) -> list[Photo]:
    """`EARVN_PER_PERSON` pictures a person of EarVN1.0, spread evenly over the folder in numeric order.

    Raises ValueError where the folder holds no folder of pictures.
    """
    photos = []
    for person in sorted(path for path in folder.iterdir() if path.is_dir()):
        pictures = sorted(person.glob("*.jpg"), key=_numbers)
        rows = np.unique(np.linspace(0, len(pictures) - 1, min(EARVN_PER_PERSON, len(pictures))).round().astype(int))
        photos += [Photo(pictures[row], person.name, False) for row in rows]
    if not photos:
        raise ValueError(f"{folder} holds no folders of jpg files, one for each person, as EarVN1.0's Images/ does")
    return photos


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", path.stem))


def ear_free() -> list[Path]:
    """The installed packages' pictures without ears."""
    folders = {"skimage": files("skimage") / "data", "sklearn": files("sklearn") / "datasets" / "images"}
    return [Path(str(folders[package] / name)) for package, names in EAR_FREE.items() for name in names.split()]
