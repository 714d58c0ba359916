"""How alike two sets of vectors of the SAME pictures are: shared nearest neighbours, cosine, error against spread.

Used to judge precisions, graphs and bundles against each other. Knows nothing of indexes: the search is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from measure.errors import MeasureError
from measure.vectors import Vectors, as_pair, as_vectors, unit

BLOCK_ROWS = 1024  # rows compared at a time: (1024, N) float64 in memory


@dataclass(frozen=True)
class CosineReport:
    """Cosine similarity of row i of a with row i of b, over all rows."""

    min: float
    p1: float
    """First percentile."""
    mean: float


def overlap_at_k(a: ArrayLike, b: ArrayLike, k: int = 10) -> float:
    """The mean share, 0 to 1, of the k nearest rows (cosine, itself excluded) that a row has in both. a, b: (N, D)."""
    first, second = as_vectors(a, "a"), as_vectors(b, "b")  # D may differ: two bundles need not agree on it
    if len(first) != len(second):
        raise MeasureError(f"a and b must be of the same pictures; given {len(first)} and {len(second)} rows")
    if not 1 <= k < len(first):
        raise MeasureError(f"k is {k}; with {len(first)} rows 1 to {len(first) - 1} are possible")
    first, second = unit(first), unit(second)
    shared = 0
    for start in range(0, len(first), BLOCK_ROWS):
        near, other = _nearest(first, start, k), _nearest(second, start, k)
        shared += int((near[:, :, None] == other[:, None, :]).sum())
    return shared / (k * len(first))


def cosine_report(a: ArrayLike, b: ArrayLike) -> CosineReport:
    """How well b points where a does, row by row. a, b: (N, D)."""
    first, second = as_pair(a, b)
    cosine = (unit(first) * unit(second)).sum(axis=1)
    return CosineReport(float(cosine.min()), float(np.percentile(cosine, 1)), float(cosine.mean()))


def median_distance(a: ArrayLike) -> float:
    """The median Euclidean distance between DIFFERENT rows: the yardstick for an error. 0: the output does not vary."""
    vectors = as_vectors(a, "a")
    if len(vectors) < 2:
        raise MeasureError(f"{len(vectors)} row: a distance between different rows needs at least 2")
    distances = [np.linalg.norm(vectors[row + 1 :] - vectors[row], axis=1) for row in range(len(vectors) - 1)]
    return float(np.median(np.concatenate(distances)))


def _nearest(vectors: Vectors, start: int, k: int) -> NDArray[np.int64]:
    block = vectors[start : start + BLOCK_ROWS] @ vectors.T
    block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
    return np.asarray(np.argpartition(-block, k - 1, axis=1)[:, :k], dtype=np.int64)
