"""Framed ears for the fine stage, framed as carelessly as the coarse stage frames them, and things that are no ear.

Pixels come from `bundle.image.frame`, as everywhere. A crop is a function of its generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle import image
from bundle.errors import BadBox
from bundle.framing import Box, Framing
from common.records.record import EarRecord
from training.data.crops import HIDDEN
from training.detector.scenes import any_free
from training.detector.sources import free_picture, read

NO_EAR = 1 / 6
WRONG_SIDE = 0.15
"""Share of crops of an ear that is not in left orientation: the coarse stage's side is not always right."""
SHIFT, SCALE = 0.12, 0.25
"""How far the square may be off: its centre as a share of the box's longer side, its side as a natural log."""
DETAIL_PX = (36.0, 200.0)
"""How many pixels the square has in the photo: an ear may be small."""
AXES = 4
"""Points that follow the box through augmentation: the middles of its left, right, top and bottom edges."""


class FramedCrop(NamedTuple):
    """One framed something."""

    crop: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    points: NDArray[np.float32]
    """(K + 4, 2) shares of the side: landmarks, then `AXES`."""
    weights: NDArray[np.float32]
    """(K,) how much each landmark counts; all 0 where there is no ear."""
    visible: NDArray[np.float32]
    """(K,) 1 seen, 0 covered."""
    mirrored: float
    """1: a right ear as it is, or a left ear swapped."""
    ear: float
    oriented: float
    """Whether `mirrored` is known."""


class CropMaker:
    """Makes crops out of records.

    Args:
        side: S, pixels.
        landmarks: K.
        context: as in the detector's configuration.
        free: pictures without ears.
    """

    def __init__(
        self, records: Sequence[EarRecord], side: int, landmarks: int, context: float, free: Sequence[EarRecord] = ()
    ) -> None:
        self._free = free
        self._records, self._landmarks, self._context = records, landmarks, context
        self._framing = Framing(size_px=side, margin=0.0)

    def __call__(self, number: int, generator: np.random.Generator) -> FramedCrop:
        """Record `number`'s ear, or now and then a part of a picture without one."""
        record = self._records[number]
        if generator.random() < NO_EAR:
            pixels = free_picture(any_free(self._free, generator) or record, generator)
            if pixels is not None:
                return self._nothing(pixels, generator)
        return self._ear(record, generator)

    def _ear(self, record: EarRecord, generator: np.random.Generator) -> FramedCrop:
        picture, box = read(record)
        square = self._square(box, generator)
        crop = self._framed(picture, square)
        points = np.full((self._landmarks, 2), np.nan)
        visible = np.zeros(self._landmarks)
        if record.landmarks is not None and record.visible is not None:
            points, visible = np.array(record.landmarks, float), record.visible.astype(float)
        x1, y1, x2, y2 = box
        axes = np.array([[x1, (y1 + y2) / 2], [x2, (y1 + y2) / 2], [(x1 + x2) / 2, y1], [(x1 + x2) / 2, y2]])
        places = (np.concatenate([points, axes]) - square[:2]) / (square[2] - square[0])
        mirrored = record.side == "right"
        swapped = mirrored != bool(generator.random() < WRONG_SIDE)
        crop = coarser(crop, generator)
        if swapped:
            crop = image.mirror(crop)
            places = places * (-1, 1) + (1, 0)
        weights = np.where(np.isfinite(points).all(axis=1), np.where(visible > 0, 1.0, HIDDEN), 0.0)
        return FramedCrop(
            crop, np.nan_to_num(places).astype(np.float32), weights.astype(np.float32), visible.astype(np.float32),
            float(mirrored != swapped), 1.0, float(record.side is not None),
        )  # fmt: skip

    def _framed(self, picture: image.Picture, square: Box) -> image.Picture:
        """The square, edge pixels repeated outside the picture, however little of it is inside: crops may be tight."""
        try:
            return image.frame(picture, square, self._framing)
        except BadBox:
            height, width = picture.shape[:2]
            left, top = max(math.ceil(-square[0]), 0), max(math.ceil(-square[1]), 0)
            right, bottom = max(math.ceil(square[2] - width), 0), max(math.ceil(square[3] - height), 0)
            padded = np.pad(picture, ((top, bottom), (left, right), (0, 0)), mode="edge")
            x1, y1, x2, y2 = square
            return image.frame(padded, (x1 + left, y1 + top, x2 + left, y2 + top), self._framing)

    def _nothing(self, pixels: NDArray[np.uint8], generator: np.random.Generator) -> FramedCrop:
        height, width = pixels.shape[:2]
        side = generator.uniform(0.3, 1.0) * min(height, width)
        x, y = generator.uniform(0, width - side), generator.uniform(0, height - side)
        crop = coarser(image.frame(pixels, (x, y, x + side, y + side), self._framing), generator)
        nothing = np.zeros(self._landmarks, np.float32)
        return FramedCrop(crop, np.zeros((self._landmarks + AXES, 2), np.float32), nothing, nothing, 0.0, 0.0, 0.0)

    def _square(self, box: Box, generator: np.random.Generator) -> Box:
        x1, y1, x2, y2 = box
        longer = max(x2 - x1, y2 - y1)
        centre_x, centre_y, half = (x1 + x2) / 2, (y1 + y2) / 2, longer * (0.5 + self._context)
        centre_x, centre_y = np.array([centre_x, centre_y]) + generator.uniform(-SHIFT, SHIFT, 2) * longer
        half *= math.exp(generator.uniform(-SCALE, SCALE))
        return (float(centre_x - half), float(centre_y - half), float(centre_x + half), float(centre_y + half))


def coarser(crop: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """The crop as it would be had the ear been smaller in its photo; (S, S, 3) uint8."""
    side = crop.shape[0]
    detail = round(math.exp(generator.uniform(*np.log(DETAIL_PX))))
    if detail >= side:
        return crop
    small = Image.fromarray(crop).resize((detail, detail), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))
