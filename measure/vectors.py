"""Checks and arithmetic that several measures share: finite (N, D) vectors, unit length, cosine similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from measure.errors import MeasureError

Vectors = NDArray[np.float64]


def as_vectors(values: ArrayLike, name: str = "vectors") -> Vectors:
    """(N, D) float64, or MeasureError: finite and neither empty nor of another shape."""
    vectors = np.asarray(values, dtype=np.float64)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise MeasureError(f"{name} must be (N, D) with N and D at least 1; given {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise MeasureError(f"{name} must be finite; row {int(np.argmin(np.isfinite(vectors).all(axis=1)))} is not")
    return vectors


def as_pair(a: ArrayLike, b: ArrayLike) -> tuple[Vectors, Vectors]:
    """Two (N, D) arrays of one shape."""
    first, second = as_vectors(a, "a"), as_vectors(b, "b")
    if first.shape != second.shape:
        raise MeasureError(f"a and b must have one shape; given {first.shape} and {second.shape}")
    return first, second


def unit(vectors: Vectors) -> Vectors:
    """Rows at length 1; a zero row stays zero (its similarity to everything is 0)."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
