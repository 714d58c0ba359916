"""One person's head, ready for pictures: vertices about the ear, normals, and how much of the light reaches each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.arrays import Bools, Floats, Ints
from synth.head.template import Template
from synth.people.person import Shape
from synth.people.shape import OTHER, Sculptor
from synth.render.lighting import light_frame, sphere
from synth.surface import depth_map, shadow, vertex_normals

DIRECTIONS = 44
MAP_SIDE = 200
"""Pixels of the depth map that a direction sees the head in."""
BIAS_DM = 0.014
TAPS = np.array([[0.0, 0.0], [1, 0], [0, 1], [-1, 0], [0, -1]])


@dataclass(frozen=True)
class Bust:
    """Head space: decimetres about the mean of the ear's landmarks."""

    template: Template
    side: str
    """Whose ear the mesh's left ear is; a right ear's picture is mirrored."""
    points: Floats
    normals: Floats
    """(n, 3) each."""
    landmarks: Ints
    """(17,) vertices of the near ear, which is the mesh's left one."""
    far_landmarks: Ints
    """(17,) vertices of the other ear; -1 in a close-up, which does not hold it."""
    height: float
    """Of the ear, dm."""
    seen: Bools
    """(n,): visibility was computed; the rest counts as half open."""
    directions: Floats
    """(d, 3)."""
    visibility: Floats
    """(seen, d) float32: cosine times openness, scaled so that an open surface sums to 1."""

    @property
    def openness(self) -> Floats:
        """(n,) float32: ambient occlusion, 1 open, 0 buried."""
        out: Floats = np.full(len(self.points), 0.5, np.float32)
        out[self.seen] = self.visibility.sum(1)
        return out

    def ambient(self, radiance: Floats) -> Floats:
        """Irradiance (n, 3) float32 from the surroundings' radiance (d, 3) along `directions`."""
        out: Floats = np.tile((0.5 * radiance.mean(0)).astype(np.float32), (len(self.points), 1))
        out[self.seen] = self.visibility @ radiance.astype(np.float32)
        return out


def make_bust(sculptor: Sculptor, shape: Shape, side: str, radius: float = 1.1) -> Bust:
    """Pose-free geometry of one ear of a person; visibility is found within `radius` dm of the ear."""
    template = sculptor.template
    points = sculptor.vertices(shape, side)
    landmarks = sculptor.landmarks(shape.ears[side])
    points = points - points[template.landmarks].mean(0)
    normals = vertex_normals(points, template.triangles)
    seen = np.linalg.norm(points, axis=1) < radius
    directions = sphere(DIRECTIONS)
    height = float(np.ptp(points[template.box_points, 1]))
    visibility = _visibility(points, normals, template.coarse, seen, directions, radius)
    far = template.opposite[sculptor.landmarks(shape.ears[OTHER[side]])]
    return Bust(template, side, points, normals, landmarks, far, height, seen, directions, visibility)


def _visibility(
    points: Floats, normals: Floats, triangles: Ints, seen: Bools, directions: Floats, radius: float
) -> Floats:
    near = np.linalg.norm(points, axis=1) < radius * 1.05
    blocking = triangles[near[triangles].all(1)]
    scale = MAP_SIDE / (2 * radius)
    lifted, facing = points[seen] + 0.010 * normals[seen], normals[seen]
    out = np.zeros((int(seen.sum()), len(directions)), np.float32)
    for k, direction in enumerate(directions):
        cosine = facing @ direction
        lit = cosine > 0
        frame = light_frame(direction) * np.array([[scale], [scale], [1.0]])
        centre = np.array([MAP_SIDE / 2, MAP_SIDE / 2, 0.0])
        depth = depth_map(points @ frame.T + centre, blocking, MAP_SIDE)
        free = shadow(depth, lifted[lit] @ frame.T + centre, BIAS_DM + 1.2 / scale, TAPS)[0]
        out[lit, k] = free * cosine[lit]
    return out * (4 / len(directions))
