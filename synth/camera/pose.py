"""Where the camera stands: head space (decimetres) to pixels and back to depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth.arrays import Floats

SIDE_VIEW = np.array([[0.0, 0, -1], [0, -1, 0], [-1, 0, 0]])
"""Head space seen from the left ear: image x is backwards, image y is down, depth is into the head."""


@dataclass(frozen=True)
class Camera:
    """A perspective camera that looks at the origin of head space."""

    turn: Floats
    """(3, 3): rows are image x, image y and depth."""
    distance: float
    """dm."""
    scale: float
    """Pixels per dm at the origin's depth."""
    centre: Floats
    """(2,) px: where the origin appears."""

    @property
    def position(self) -> Floats:
        """(3,) in head space."""
        at: Floats = -self.turn.T @ np.array([0.0, 0.0, self.distance])
        return at

    def project(self, points: Floats) -> Floats:
        """Points (..., 3) -> (x px, y px, depth dm)."""
        seen = points @ self.turn.T
        depth = seen[..., 2] + self.distance
        by = self.scale * self.distance / depth
        out: Floats = np.stack([seen[..., 0] * by + self.centre[0], seen[..., 1] * by + self.centre[1], depth], -1)
        return out


def make_camera(yaw: float, pitch: float, roll: float, distance: float, scale: float, centre: Floats) -> Camera:
    """Angles in degrees: yaw turns towards the face, pitch looks down, roll turns the picture."""
    y, p, q = np.radians([yaw, pitch, roll])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn_z = np.array([[np.cos(q), -np.sin(q), 0], [np.sin(q), np.cos(q), 0], [0, 0, 1]])
    return Camera(turn_z @ turn_x @ SIDE_VIEW @ turn_y, distance, scale, np.asarray(centre, float))
