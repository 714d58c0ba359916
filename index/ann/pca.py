"""How few directions tell neighbours apart: a graph over them is smaller and faster than one over every number.

Embeddings do not fill their dimensions evenly. The leading eigenvectors of their second moments keep inner products
best (Eckart and Young, 1936); how many of them are enough is asked of the vectors themselves, not of their variance:
what is spread over all directions weighs much and decides nothing.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from index.neighbours import Matrix

PARTS = (8, 4, 2)  # of the numbers of a vector, from the fewest directions
QUERIES, NEAREST = 200, 10
CANDIDATES = 2 * NEAREST  # fewer than are compared exactly later: a gallery is denser than a sample of it
ENOUGH = 0.995  # share of the truly nearest that must be among the candidates


def projection(sample: Matrix, least: int = 0) -> Any:
    """From unit vectors (N, D) a FAISS transform of D numbers to as few as find its neighbours, `least` or more."""
    dim = sample.shape[1]
    directions = principal(sample)
    sizes = [dim // part for part in PARTS if dim // part >= least]
    size = next((size for size in sizes if share_kept(sample, directions[:, :size]) >= ENOUGH), dim)
    transform = faiss.LinearTransform(dim, size, False)
    faiss.copy_array_to_vector(np.ascontiguousarray(directions[:, :size].T).ravel(), transform.A)
    transform.is_trained = True
    return transform


def principal(sample: Matrix) -> Matrix:
    """Orthonormal directions (D, D) in columns, by falling second moment; not centred, since a cosine is not either."""
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(vectors[:, ::-1], dtype=np.float32)


def share_kept(sample: Matrix, directions: Matrix) -> float:
    """Share of the truly nearest of some vectors that are candidates when only these directions are compared."""
    if directions.shape[1] == 0 or len(sample) <= CANDIDATES:
        return 0.0
    queries = sample[:: max(1, len(sample) // QUERIES)][:QUERIES]
    small = sample @ directions
    true = np.argpartition(-(queries @ sample.T), NEAREST, axis=1)[:, : NEAREST + 1]
    near = np.argpartition(-((queries @ directions) @ small.T), CANDIDATES, axis=1)[:, : CANDIDATES + 1]
    kept = [len(set(some) & set(candidates)) for some, candidates in zip(true.tolist(), near.tolist(), strict=True)]
    return sum(kept) / true.size
