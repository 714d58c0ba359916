"""Photos -> ears with boxes, landmarks and sides: letterbox, the landmark graph, and back to the photo's pixels.

The graph takes squares of 640 px; a photo is shrunk or enlarged into one, never stretched. Knows neither torch nor what
the graph computes inside, and no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle.framing import Box
from bundle.image import Picture, part_of, turn
from bundle.photo import Part
from bundle.session import Session

LETTERBOX_PX = 640
"""Side of the graph's input."""
GREY = 128
"""Fills what the photo leaves of the square."""
INPUT = "image"
OUTPUTS = ("boxes", "scores", "points", "visibilities", "sides")
MAX_OVERLAP = 0.45
"""Of two boxes that share more of their union, the less certain one is the same ear again."""
MAX_INSIDE = 0.7
"""Of a box that lies within another by more than this share: a part of that ear, seen in another look at the photo."""
THRESHOLD = 0.35
"""Least score of an ear, where the bundle states none."""

Arrays = Mapping[str, NDArray[Any]]


class Letterboxed(NamedTuple):
    """A photo in its square, and how it came there: square = photo * scale + (left, top), then turned."""

    picture: Picture
    """(640, 640, 3) uint8 RGB."""
    scale: float
    left: float
    top: float
    turns: int = 0
    """Quarter turns anticlockwise that the square was given, 0 to 3."""

    def turned(self, turns: int) -> Letterboxed:
        """The square turned by quarter turns anticlockwise; no pixel changes its value."""
        return self._replace(picture=turn(self.picture, turns), turns=(self.turns + turns) % 4)

    def without(self, boxes: Iterable[Box]) -> Letterboxed:
        """The square with boxes, in the photo's pixels, covered by grey."""
        picture = np.rot90(self.picture, -self.turns).copy()
        shift = (self.left, self.top) * 2
        for box in boxes:
            x1, y1, x2, y2 = (round(max(edge * self.scale + by, 0.0)) for edge, by in zip(box, shift, strict=True))
            picture[y1:y2, x1:x2] = GREY
        return self._replace(picture=turn(picture, self.turns))

    def undo(self, places: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., 2) x, y in pixels of the square -> pixels of the photo as it was before any turn."""
        for _ in range(self.turns):
            places = np.stack([self.picture.shape[0] - places[..., 1], places[..., 0]], -1)
        shift = np.array([self.left, self.top])
        return np.asarray((places - shift) / self.scale, np.float32)

    def undo_box(self, box: NDArray[np.float32]) -> Box:
        """x1, y1, x2, y2 in pixels of the square -> pixels of the photo."""
        corners = self.undo(box.reshape(2, 2))
        (x1, y1), (x2, y2) = corners.min(0).tolist(), corners.max(0).tolist()
        return x1, y1, x2, y2


@dataclass(frozen=True)
class FoundEar:
    """One ear in a photo; everything in the photo's pixels."""

    box: Box
    score: float
    """0 to 1: how certain it is that this is an ear."""
    side: Literal["left", "right"]
    side_probability: float
    """Of that side, 0.5 to 1."""
    landmarks: NDArray[np.float32]
    """(K, 2) x, y."""
    visibility: NDArray[np.float32]
    """(K,) probability that the landmark is seen rather than covered."""
    turns: int = 0
    """Quarter turns anticlockwise, 0 to 3, of the photo after which the ear was seen upright."""


def letterbox(photo: Picture | Part, size: int = LETTERBOX_PX) -> Letterboxed:
    """Fit a photo into the middle of a grey square of `size` px, sides in proportion, antialiased.

    photo: (H, W, 3) uint8 RGB, or all of a large one at reduced scale; places are undone to the whole photo's pixels.
    """
    part = part_of(photo)
    height, width = part.pixels.shape[:2]
    scale = size / max(height, width)
    wide, high = max(round(width * scale), 1), max(round(height * scale), 1)
    left, top = (size - wide) // 2, (size - high) // 2
    canvas = np.full((size, size, 3), GREY, np.uint8)
    resized = Image.fromarray(part.pixels).resize((wide, high), Image.Resampling.BILINEAR)
    canvas[top : top + high, left : left + wide] = np.asarray(resized)
    scale /= part.scale_x  # WebP's two scales differ by less than a pixel of the part over all of it
    return Letterboxed(canvas, scale, left - part.left * scale, top - part.top * scale)


class EarFinder:
    """The landmark graph behind pictures. Thread-safe as far as its session is.

    Args:
        session: of a graph with the contract of `OUTPUTS`.
        names: of the landmarks, in the graph's order; may be empty.
        threshold: least score of an ear.
    """

    def __init__(self, session: Session, names: Sequence[str] = (), threshold: float = THRESHOLD) -> None:
        self.session, self.names, self.threshold = session, tuple(names), threshold

    def find(self, squares: Sequence[Letterboxed], threshold: float | None = None) -> list[list[FoundEar]]:
        """The ears of each photo, the most certain first; a photo without an ear gets an empty list.

        Args:
            squares: `letterbox` of each photo.
            threshold: least score, 0 to 1; None: the bundle's.
        """
        outputs = self.session.run({INPUT: np.stack([square.picture for square in squares])})
        least = self.threshold if threshold is None else threshold
        return [ears_of({name: outputs[name][row] for name in OUTPUTS}, square, least)
                for row, square in enumerate(squares)]  # fmt: skip

    def close(self) -> None:
        """Free the session."""
        self.session.close()


def ears_of(candidates: Arrays, square: Letterboxed, threshold: float) -> list[FoundEar]:
    """Candidates of one square, (N, ...) each output -> the ears among them, in the photo's pixels."""
    ears = []
    for number in nms(candidates["boxes"], candidates["scores"], threshold):
        right = float(candidates["sides"][number])
        ears.append(
            FoundEar(
                box=square.undo_box(candidates["boxes"][number]),
                score=float(candidates["scores"][number]),
                side="right" if right > 0.5 else "left",
                side_probability=max(right, 1 - right),
                landmarks=square.undo(candidates["points"][number]),
                visibility=np.asarray(candidates["visibilities"][number], np.float32),
                turns=square.turns,
            )
        )
    return ears


def nms(boxes: NDArray[Any], scores: NDArray[Any], threshold: float) -> list[int]:
    """Greedy non-maximum suppression (NMS): (N, 4), (N,) -> numbers of the boxes that stay, the most certain first."""
    kept: list[int] = []
    for number in np.argsort(-scores, kind="stable"):
        if scores[number] < threshold:
            break
        if all(overlap(boxes[number], boxes[other]) <= MAX_OVERLAP for other in kept):
            kept.append(int(number))
    return kept


def distinct(boxes: Sequence[Box]) -> list[int]:
    """Numbers of the boxes of different ears: what overlaps an earlier one, or lies mostly within it, is left out."""
    kept: list[int] = []
    places = [np.array(box) for box in boxes]
    for number, box in enumerate(places):
        others = [places[other] for other in kept]
        if all(overlap(box, other) <= MAX_OVERLAP and inside(box, other) <= MAX_INSIDE for other in others):
            kept.append(number)
    return kept


def inside(a: NDArray[Any], b: NDArray[Any]) -> float:
    """How much of the smaller of two boxes lies within the other."""
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b)]
    return float(max(wide, 0) * max(high, 0)) / max(min(areas), 1e-9)


def overlap(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Intersection over union of two boxes x1, y1, x2, y2."""
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(max(wide, 0) * max(high, 0))
    areas = float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]))
    return shared / max(areas - shared, 1e-9)
