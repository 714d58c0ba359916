"""Overlapping tiles of a photo at several scales, in which small ears are large enough for the detector.

Known as sliced inference (Akyon, Altinuc & Temizel 2022). Geometry alone: knows no detector and no queue.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bundle.framing import Box
from bundle.landmarks import LETTERBOX_PX
from bundle.photo import Part

TILED_PIXELS = 4096 * 4096
"""Of the copy that tiles are cut from, at most; so a photo has at most about 100 tiles."""
SCALE_STEP = 2.5
"""Between two scales, at most: an ear that is too large for the overlap of one fills 64 px or more of the one above."""
SHARED = 0.25
"""Of a tile's side, at least, that it shares with the next tile: an ear up to this size lies wholly in one of them."""
CUT_PX = 4.0
"""An ear that ends this near to a tile's edge, in pixels of the detector's square, goes on in the next tile."""


def tiles_of(photo: Part) -> Iterator[Part]:
    """Views of a whole photo's pixels, the coarsest scale first; none where the photo is no larger than one tile."""
    height, width = photo.pixels.shape[:2]
    for side in _sides(max(height, width)):
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield replace(
                    photo,
                    pixels=photo.pixels[top : top + side, left : left + side],
                    left=photo.left + left * photo.scale_x,
                    top=photo.top + top * photo.scale_y,
                )


def is_cut(box: Box, tile: Part) -> bool:
    """Whether an ear reaches an edge at which the photo goes on beyond the tile. box: in the photo's pixels."""
    x1, y1, x2, y2 = tile.place(box)
    high, wide = tile.pixels.shape[:2]
    near = CUT_PX * max(high, wide) / LETTERBOX_PX
    right, bottom = tile.left + wide * tile.scale_x, tile.top + high * tile.scale_y
    return (
        (x1 < near and tile.left >= 1)
        or (y1 < near and tile.top >= 1)
        or (x2 > wide - near and right <= tile.width - 1)
        or (y2 > high - near and bottom <= tile.height - 1)
    )


def _sides(longest: int) -> list[int]:
    """Of the tiles of each scale, in pixels of the photo's copy; the last scale is the copy's own."""
    ratio = longest / LETTERBOX_PX
    if ratio <= 1:
        return []
    count = max(math.ceil(math.log(ratio, SCALE_STEP) - 0.1), 1)  # 4096 px take no third scale
    return [round(longest / ratio ** (step / count)) for step in range(1, count + 1)]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along an axis, evenly."""
    if length <= side:
        return [0]
    count = math.ceil((length - side) / (side * (1 - SHARED))) + 1
    return [int(start) for start in np.linspace(0, length - side, count).round()]
