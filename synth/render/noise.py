"""Random values fixed in space: smooth noise, its slope, and spots. A point of skin keeps them in every picture."""

from __future__ import annotations

import math

import numpy as np

from synth.arrays import Floats
from synth.compiled import compiled


@compiled
def hashed(x: int, y: int, z: int, seed: int) -> float:
    """A value in [-1, 1] for each cell."""
    h = (x * 374761393 + y * 668265263 + z * 1274126177 + seed * 974634777) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1103515245) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2654435761) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0xFFFFFF) / 8388607.5 - 1.0


@compiled
def noise(x: float, y: float, z: float, seed: int) -> float:
    """Value noise in [-1, 1]; one cell is one unit."""
    cx, cy, cz = int(math.floor(x)), int(math.floor(y)), int(math.floor(z))
    fx, fy, fz = x - cx, y - cy, z - cz
    fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
    value = 0.0
    for dz in range(2):
        wz = fz if dz else 1 - fz
        for dy in range(2):
            wy = fy if dy else 1 - fy
            left, right = hashed(cx, cy + dy, cz + dz, seed), hashed(cx + 1, cy + dy, cz + dz, seed)
            value += wz * wy * ((1 - fx) * left + fx * right)
    return value


@compiled
def noise_at(points: Floats, frequency: float, seed: int) -> Floats:
    """Value noise (n,) float32 at points (n, 3); `frequency` cells a unit of length."""
    out = np.empty(points.shape[0], np.float32)
    for i in range(points.shape[0]):
        out[i] = noise(points[i, 0] * frequency, points[i, 1] * frequency, points[i, 2] * frequency, seed)
    return out


@compiled
def slope(x: float, y: float, z: float, seed: int) -> tuple[float, float, float]:
    """Gradient of value noise, per cell."""
    cx, cy, cz = int(math.floor(x)), int(math.floor(y)), int(math.floor(z))
    fx, fy, fz = x - cx, y - cy, z - cz
    dx, dy, dz = 6 * fx * (1 - fx), 6 * fy * (1 - fy), 6 * fz * (1 - fz)
    fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
    a, b = hashed(cx, cy, cz, seed), hashed(cx + 1, cy, cz, seed)
    c, d = hashed(cx, cy + 1, cz, seed), hashed(cx + 1, cy + 1, cz, seed)
    e, f = hashed(cx, cy, cz + 1, seed), hashed(cx + 1, cy, cz + 1, seed)
    g, h = hashed(cx, cy + 1, cz + 1, seed), hashed(cx + 1, cy + 1, cz + 1, seed)
    near_low, near_high = a + fx * (b - a), c + fx * (d - c)
    far_low, far_high = e + fx * (f - e), g + fx * (h - g)
    near, far = near_low + fy * (near_high - near_low), far_low + fy * (far_high - far_low)
    along_x = (1 - fz) * ((b - a) * (1 - fy) + (d - c) * fy) + fz * ((f - e) * (1 - fy) + (h - g) * fy)
    along_y = (1 - fz) * (near_high - near_low) + fz * (far_high - far_low)
    return dx * along_x, dy * along_y, dz * (far - near)


@compiled
def spots(x: float, y: float, z: float, density: float, seed: int) -> float:
    """Soft dots in [0, 1]: a share `density` of the cells holds one."""
    cx, cy, cz = int(math.floor(x)), int(math.floor(y)), int(math.floor(z))
    strongest = 0.0
    for ix in range(cx - 1, cx + 2):
        for iy in range(cy - 1, cy + 2):
            for iz in range(cz - 1, cz + 2):
                chance = (hashed(ix, iy, iz, seed) + 1) * 0.5
                if chance > density:
                    continue
                dx = ix + 0.5 + 0.4 * hashed(ix, iy, iz, seed + 1) - x
                dy = iy + 0.5 + 0.4 * hashed(ix, iy, iz, seed + 2) - y
                dz = iz + 0.5 + 0.4 * hashed(ix, iy, iz, seed + 3) - z
                radius = 0.22 + 0.12 * hashed(ix, iy, iz, seed + 4)
                dot = math.exp(-(dx * dx + dy * dy + dz * dz) / (radius * radius))
                strongest = max(strongest, dot * (0.5 + 0.5 * chance / density))
    return strongest
