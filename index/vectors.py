"""Vectors at the door of the gallery: checked, made unit length, packed into bytes and back.

Storage is little-endian float32. Which encoder made a vector is not known here; the space id travels beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import BadVector

STORED = np.dtype("<f4")


def as_matrix(vectors: ArrayLike, dim: int, name: str = "embeddings") -> NDArray[np.float32]:
    """Check `vectors`: a C-contiguous (N, dim) float32 matrix; a single (dim,) vector becomes (1, dim)."""
    try:
        matrix = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise BadVector(f"{name} is not a matrix of numbers ({error}): give {dim} numbers per vector") from None
    if matrix.ndim != 2 or matrix.shape[1] != dim:
        raise BadVector(f"{name} has shape {np.shape(vectors)}: this gallery holds vectors of {dim} numbers")
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise BadVector(f"{name}[{int(np.argmin(finite))}] holds NaN or infinity: every number must be finite")
    return np.ascontiguousarray(matrix)


def as_unit(vectors: ArrayLike, dim: int, name: str = "embeddings") -> NDArray[np.float32]:
    """Check `vectors` and return them as (N, dim) float32 of unit length, so that an inner product is a cosine."""
    matrix = as_matrix(vectors, dim, name)
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    if not (lengths > 1e-12).all():
        raise BadVector(f"{name}[{int(np.argmin(lengths))}] is zero: it points nowhere, so nothing is near it")
    return np.ascontiguousarray(matrix / lengths, dtype=np.float32)


def centred(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (N, D) less the `mean` (D,) of their gallery, at unit length again: what all ears share is gone."""
    moved = vectors - mean
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=-1, keepdims=True), 1e-12), dtype=np.float32)


def pack(vector: NDArray[np.float32]) -> bytes:
    """(D,) float32 -> 4 D bytes."""
    return vector.astype(STORED, copy=False).tobytes()


def unpack(blobs: list[bytes], dim: int) -> NDArray[np.float32]:
    """Packed vectors -> (N, dim) float32."""
    return np.frombuffer(b"".join(blobs), dtype=STORED).reshape(len(blobs), dim).astype(np.float32, copy=False)
