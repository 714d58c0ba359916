"""Names for the arrays that the renderer passes around, and the few functions that every part of it uses.

Lengths are decimetres, as in the MPFB2 head: x to the left ear, y up, z to the face. Colours are linear light, RGB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


def smoothstep(x: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t: Floats = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def unit(vectors: Floats) -> Floats:
    """Vectors (..., 3) scaled to length 1; a vector of zeros stays one."""
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors) + 1e-20)
    scaled: Floats = vectors / lengths[..., None]
    return scaled


def dot(a: Floats, b: Floats) -> Floats:
    """Scalar products (n,) of vectors (n, 3)."""
    products: Floats = np.einsum("ni,ni->n", a, b)
    return products


def nearest(tree: cKDTree, points: Floats, count: int = 1) -> tuple[Floats, Ints]:
    """Distances and rows of the tree's `count` points nearest to each of `points`: (n,) for one, else (n, count)."""
    apart, at = tree.query(points, k=count)
    return np.asarray(apart), np.asarray(at)
