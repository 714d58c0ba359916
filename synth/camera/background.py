"""Surroundings behind a head: blurred shapes, rooms of edges, or plain walls, in linear light."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from synth.arrays import Floats

KINDS = ("plain", "boxes", "discs", "bars")


def draw_background(r: np.random.Generator, height: int, width: int, tint: Floats) -> Floats:
    """(height, width, 3) float64 about 0.3, in the light's tint (3,)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    image = np.ones((height, width, 3)) * np.exp(r.normal(-1.3, 0.7)) * np.exp(r.normal(0, 0.25, 3))
    angle = r.uniform(0, 2 * math.pi)
    image *= (1 + r.uniform(0, 0.8) * (math.cos(angle) * x + math.sin(angle) * y))[..., None]
    kind = KINDS[r.integers(len(KINDS))]
    for _ in range(r.integers(4, 22) if kind != "plain" else 0):
        inside = _shape(r, kind, x, y)
        image[inside] = 0.15 * image[inside] + 0.85 * np.exp(r.normal(-1.4, 0.9)) * np.exp(r.normal(0, 0.35, 3))
    sigma = math.exp(r.uniform(math.log(0.0015), math.log(0.035))) * max(height, width)
    image = gaussian_filter(image, (sigma, sigma, 0))
    grain = gaussian_filter(r.normal(size=(height, width)), r.uniform(1, 6))
    image *= np.clip(1 + r.uniform(0, 0.05) * grain / (grain.std() + 1e-9), 0.3, 2)[..., None]
    return image * tint


def _shape(r: np.random.Generator, kind: str, x: Floats, y: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Pixels of one shape."""
    cx, cy = r.uniform(-0.1, 1.1, 2)
    w, h = r.uniform(0.03, 0.5, 2)
    a = r.uniform(0, math.pi) if kind != "boxes" else 0.0
    u = (x - cx) * math.cos(a) + (y - cy) * math.sin(a)
    v = (y - cy) * math.cos(a) - (x - cx) * math.sin(a)
    if kind == "discs":
        return np.asarray((u / w) ** 2 + (v / h) ** 2 < 0.25)
    return np.asarray((np.abs(u) < w / 2) & (np.abs(v) < h / 2))
