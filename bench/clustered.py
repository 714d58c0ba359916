"""Made-up embeddings that are clustered like real ones: subjects with a few ears each, in a space of falling variance.

Uniform noise would be unfair to every index: its nearest neighbours are all equally far.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

RANK = 128  # directions that carry identity, where no other number is asked for
WITHIN = 0.6  # spread of one subject's ears, beside a spread of 1 between subjects
NOISE = 0.3  # length of what is in no direction of identity
CHUNK = 20_000


def clustered(count: int, dim: int, per_subject: int = 4, seed: int = 0, rank: int = RANK) -> Iterator[Matrix]:
    """`count` unit vectors in chunks of (up to 20,000, dim) float32; consecutive ones share a subject."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.normal(size=(dim, min(rank, dim))))[0].astype(np.float32)
    spectrum = (np.arange(1, basis.shape[1] + 1) ** -0.5).astype(np.float32)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        centres = random.standard_normal((size // per_subject + 1, basis.shape[1]), dtype=np.float32)
        inside = centres[np.arange(size) // per_subject]
        inside = (inside + WITHIN * random.standard_normal(inside.shape, dtype=np.float32)) * spectrum
        vectors = unit(inside @ basis.T)
        yield unit(vectors + NOISE / np.sqrt(dim) * random.standard_normal(vectors.shape, dtype=np.float32))


def unit(vectors: Matrix) -> Matrix:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
