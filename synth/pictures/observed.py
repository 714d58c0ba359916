"""What a picture shows of an ear: its box, its landmarks, and what hides them."""

from __future__ import annotations

import numpy as np

from synth.arrays import Bools, Floats, Ints
from synth.camera.pose import Camera
from synth.people.shape import OTHER
from synth.pictures.picture import Ear
from synth.render.bust import Bust
from synth.render.shading import Rendered

DEPTH_SLACK_DM = 0.03


def near_ear(bust: Bust, camera: Camera, seen: Rendered, s: int) -> Ear:
    """The ear that the camera looks at; `s` rendered pixels a pixel of the finished picture."""
    return _observe(bust, camera, seen, s, bust.template.box_points, bust.landmarks, bust.side)


def far_ear(bust: Bust, camera: Camera, seen: Rendered, s: int) -> Ear:
    """The ear on the other side of a whole head."""
    box = bust.template.opposite[bust.template.box_points]
    return _observe(bust, camera, seen, s, box[box >= 0], bust.far_landmarks, OTHER[bust.side])


def _observe(bust: Bust, camera: Camera, seen: Rendered, s: int, box: Ints, landmarks: Ints, side: str) -> Ear:
    height, width = (length // s for length in seen.solid.shape)
    outline = camera.project(bust.points[box])[:, :2] / s
    marks = camera.project(bust.points[landmarks])
    points = marks[:, :2] / s
    (x1, y1), (x2, y2) = outline.min(0), outline.max(0)
    hair = _covered(seen.cover, (x1 * s, y1 * s, x2 * s, y2 * s))
    if bust.side == "right":  # the picture is mirrored
        points[:, 0], (x1, x2) = width - points[:, 0], (width - x2, width - x1)
    left, right = (float(np.clip(x, 0, width)) for x in (x1, x2))
    top, bottom = (float(np.clip(y, 0, height)) for y in (y1, y2))
    return Ear(side, (left, top, right, bottom), points, _visible(marks, seen).astype(int), hair)


def _visible(marks: Floats, seen: Rendered) -> Bools:
    """Landmarks (17,) that are inside the picture and behind neither head nor hair."""
    height, width = seen.solid.shape
    inside = (marks[:, 0] >= 0) & (marks[:, 0] < width) & (marks[:, 1] >= 0) & (marks[:, 1] < height)
    x = np.clip(marks[:, 0].astype(int), 0, width - 1)
    y = np.clip(marks[:, 1].astype(int), 0, height - 1)
    bare: Bools = inside & (marks[:, 2] < seen.depth[y, x] + DEPTH_SLACK_DM) & (seen.cover[y, x] < 0.5)
    return bare


def _covered(cover: Floats, box: tuple[float, float, float, float]) -> float:
    """Mean hair cover of the ellipse in a box."""
    x1, y1, x2, y2 = (max(int(v), 0) for v in box)
    part = cover[y1:y2, x1:x2]
    if part.size == 0:
        return 0.0
    y, x = np.mgrid[-1 : 1 : part.shape[0] * 1j, -1 : 1 : part.shape[1] * 1j]
    inside = x**2 + y**2 < 0.8
    return float(part[inside].mean()) if inside.any() else 0.0
