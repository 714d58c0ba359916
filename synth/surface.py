"""Triangles to pixels: normals, a z-buffer, values carried to pixels, and shadow look-ups.

Points that are rasterised are (x px, y px, depth); the nearest surface has the smallest depth.
"""

from __future__ import annotations

import math

import numpy as np

from synth.arrays import Floats, Ints
from synth.compiled import compiled

FAR = 1e9
"""Depth of a pixel that nothing covers."""


@compiled
def vertex_normals(points: Floats, triangles: Ints) -> Floats:
    """Unit normals (n, 3), each the area-weighted mean of its triangles'."""
    normals = np.zeros((points.shape[0], 3))
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in range(normals.shape[0]):
        length = math.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-12
        normals[i] /= length
    return normals


@compiled
def rasterise(
    points: Floats, triangles: Ints, height: int, width: int, nearest: float = 1e-3
) -> tuple[Ints, Floats, Floats]:
    """Which triangle each pixel shows (H, W; -1 none), its depth (H, W) and its barycentric weights (H, W, 2).

    Triangles with a corner at a depth of `nearest` or less are left out.
    """
    shown = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), FAR)
    weights = np.zeros((height, width, 2))
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
        x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
        x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0 or min(z0, z1, z2) <= nearest:
            continue
        first_x = max(0, int(math.ceil(min(x0, x1, x2) - 0.5)))
        last_x = min(width - 1, int(math.floor(max(x0, x1, x2) - 0.5)))
        first_y = max(0, int(math.ceil(min(y0, y1, y2) - 0.5)))
        last_y = min(height - 1, int(math.floor(max(y0, y1, y2) - 0.5)))
        for y in range(first_y, last_y + 1):
            for x in range(first_x, last_x + 1):
                px, py = x + 0.5 - x0, y + 0.5 - y0
                w1 = (px * (y2 - y0) - (x2 - x0) * py) / area
                w2 = ((x1 - x0) * py - px * (y1 - y0)) / area
                if w1 < -1e-6 or w2 < -1e-6 or w1 + w2 > 1 + 1e-6:
                    continue
                z = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
                if z < depth[y, x]:
                    depth[y, x] = z
                    shown[y, x] = t
                    weights[y, x, 0] = w1
                    weights[y, x, 1] = w2
    return shown, depth, weights


def depth_map(points: Floats, triangles: Ints, side: int) -> Floats:
    """Depth alone, (side, side): what a light sees of a surface. Depths may be negative."""
    return rasterise(points, triangles, side, side, -FAR)[1]


@compiled
def carry(values: Floats, triangles: Ints, shown: Ints, weights: Floats) -> Floats:
    """Values of vertices (n, k) at p pixels: triangles `shown` (p,), weights (p, 2) -> (p, k) float32."""
    out = np.empty((shown.shape[0], values.shape[1]), np.float32)
    for i in range(shown.shape[0]):
        a, b, c = triangles[shown[i], 0], triangles[shown[i], 1], triangles[shown[i], 2]
        u, v = weights[i, 0], weights[i, 1]
        for k in range(values.shape[1]):
            out[i, k] = (1 - u - v) * values[a, k] + u * values[b, k] + v * values[c, k]
    return out


@compiled
def shadow(depth: Floats, points: Floats, bias: float, offsets: Floats) -> tuple[Floats, Floats]:
    """For projected points (p, 3): share of the taps (k, 2 px) that see the light, and mean depth of what blocks it."""
    height, width = depth.shape
    lit = np.empty(points.shape[0], np.float32)
    blocked = np.empty(points.shape[0], np.float32)
    for i in range(points.shape[0]):
        seen, behind = 0.0, 0.0
        for k in range(offsets.shape[0]):
            x, y = int(points[i, 0] + offsets[k, 0]), int(points[i, 1] + offsets[k, 1])
            if x < 0 or y < 0 or x >= width or y >= height:
                seen += 1
                continue
            gap = points[i, 2] - depth[y, x]
            if gap < bias:
                seen += 1
            behind += max(gap, 0.0)
        lit[i] = seen / offsets.shape[0]
        blocked[i] = behind / offsets.shape[0]
    return lit, blocked
