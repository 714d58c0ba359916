"""Where the parts of the ear lie on the MPFB2 head: landmarks, outlines, distances to them.

The indices count the vertices of the head after two Catmull-Clark steps (head/template.py); they were picked by hand on
renders. Outlines are side views, (z, y) in decimetres about EAR_CENTRE.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synth.arrays import Bools, Floats

LANDMARKS = {
    "helix_root": 14837,
    "helix_anterior": 71640,
    "helix_anterosuperior": 39363,
    "helix_superior": 59931,
    "darwin_point": 20142,
    "helix_posterior": 39382,
    "helix_posteroinferior": 39511,
    "helix_tail": 76773,
    "lobe_posterior": 71648,
    "lobe_bottom": 66484,
    "lobe_attachment": 40527,
    "intertragic_notch": 76997,
    "tragus": 60242,
    "antitragus": 71748,
    "antihelix_mid": 60770,
    "antihelix_bifurcation": 60314,
    "concha_centre": 15062,
}
"""The 17 landmarks of a left ear, in the order of every file that this room writes."""

MORE_POINTS = {
    "triangular_fossa": 4859,
    "superior_crus_end": 60845,
    "inferior_crus_end": 15017,
    "lobe_centre": 39473,
    "scapha_upper": 40216,
    "scapha_middle": 40281,
    "canal": 14820,
}
"""Further points that shape and jewellery refer to; they are not written to files."""

EAR_CENTRE = np.array([0.6996, 7.1643, 0.4835])
"""The middle of the average head's left ear, decimetres."""

AURICLE = [
    (0.072, 0.15), (0.015, 0.225), (-0.06, 0.245), (-0.15, 0.19), (-0.205, 0.06), (-0.19, -0.06), (-0.13, -0.16),
    (-0.07, -0.25), (0.02, -0.285), (0.10, -0.275), (0.095, -0.2), (0.075, -0.12), (0.075, 0.0), (0.075, 0.07),
]  # fmt: skip
SCALP = [
    (0.86, 0.80), (0.64, 0.64), (0.50, 0.52), (0.42, 0.32), (0.31, 0.24), (0.27, -0.12), (0.15, -0.12), (0.13, 0.12),
    (0.115, 0.24), (0.02, 0.29), (-0.12, 0.275), (-0.22, 0.17), (-0.25, -0.05), (-0.25, -0.3), (-0.35, -0.52),
    (-1.4, -0.60), (-1.4, 1.8), (0.86, 1.8),
]  # fmt: skip


def inside_distance(points: Floats, outline: Sequence[tuple[float, float]]) -> Floats:
    """Signed distance of points (n, 2) to a closed outline, positive inside."""
    corners = np.asarray(outline, float)
    inside: Bools = np.zeros(len(points), bool)
    for a, b in zip(corners, np.roll(corners, -1, 0), strict=True):
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        if a[1] != b[1]:
            inside ^= crosses & (points[:, 0] < (b[0] - a[0]) * (points[:, 1] - a[1]) / (b[1] - a[1]) + a[0])
    distance = polyline_distance(points, np.vstack([corners, corners[:1]]))
    signed: Floats = np.where(inside, distance, -distance)
    return signed


def polyline_distance(points: Floats, line: Floats) -> Floats:
    """Distance of points (n, d) to a polyline (k, d); one point counts as a polyline."""
    if len(line) == 1:
        alone: Floats = np.linalg.norm(points - line[0], axis=1)
        return alone
    distance = np.full(len(points), np.inf)
    for a, b in zip(line[:-1], line[1:], strict=True):
        along = b - a
        t = np.clip(((points - a) @ along) / (along @ along), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(points - a - t[:, None] * along, axis=1))
    return distance
