"""Landmark errors: normalised mean error, its cumulative distribution (CED), failure rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FAILURE = 0.10
"""A picture whose normalised mean error is above this counts as failed."""


def normalised_error(predicted: Array, truth: Array, size: Array, counts: NDArray[np.bool_]) -> Array:
    """Normalised mean error (NME) of each picture.

    Args:
        predicted, truth: (N, K, 2) in one unit.
        size: (N,) what a distance is divided by, such as the diagonal of the ear's box.
        counts: (N, K) which landmarks count; a picture without any gets NaN.
    """
    distance = np.linalg.norm(predicted - np.where(counts[..., None], truth, predicted), axis=2)
    number = counts.sum(axis=1)
    mean = np.divide(distance.sum(axis=1), number, out=np.full(len(number), np.nan), where=number > 0)
    return np.asarray(mean / size, np.float64)


def box_diagonal(boxes: Array) -> Array:
    """(N, 4) x1, y1, x2, y2 -> (N,)."""
    return np.asarray(np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1), np.float64)


def landmark_size(truth: Array, counts: NDArray[np.bool_]) -> Array:
    """The largest distance between two of a picture's landmarks that count: (N, K, 2), (N, K) -> (N,)."""
    apart = np.linalg.norm(truth[:, :, None] - truth[:, None], axis=3)
    both = counts[:, :, None] & counts[:, None]
    return np.asarray(np.where(both, apart, 0.0).max(axis=(1, 2)), np.float64)


def ced(errors: Array, at: Array) -> Array:
    """Share of pictures whose error is at most each value of `at`; inf stands for an ear that was not found."""
    return np.asarray((errors[:, None] <= at).mean(axis=0), np.float64)


def ced_area(errors: Array, most: float = FAILURE) -> float:
    """Area under the CED from 0 to `most`, as a share of the best there can be, 0 to 1."""
    return float(np.clip(1 - errors / most, 0, 1).mean())


def failure_rate(errors: Array, most: float = FAILURE) -> float:
    """Share of pictures whose error is above `most`."""
    return float((~(errors <= most)).mean())
